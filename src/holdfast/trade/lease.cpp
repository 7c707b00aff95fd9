#include "holdfast/trade/lease.hpp"

namespace holdfast::trade {
namespace {

class NoLease final : public LeaseStore {
    static constexpr Duration k_forever = std::chrono::hours(24 * 365);
    Result<LeaseAnswer> acquire(std::optional<FencingToken>) override { return LeaseGrant{0, k_forever}; }
    Result<LeaseAnswer> renew(FencingToken) override { return LeaseGrant{0, k_forever}; }
    Status release(FencingToken) override { return {}; }
    std::string name() const override { return "none"; }
};

}    // namespace

std::unique_ptr<LeaseStore> no_lease() { return std::make_unique<NoLease>(); }

}    // namespace holdfast::trade
