#include "holdfast/trade/lease.hpp"

#include <algorithm>

namespace holdfast::trade {
namespace {

class NoLease final : public LeaseStore {
public:
    explicit NoLease(const Clock& clock) : clock_(clock) {}

private:
    static constexpr Duration k_forever = std::chrono::hours(24 * 365);
    Result<LeaseAnswer> acquire(std::optional<FencingToken> own) override {
        const std::int64_t now = std::max<std::int64_t>(clock_.now().nanoseconds / 1'000'000, 0);
        // There are no others that could have had one in between.
        const FencingToken previous = std::max(last_, own.value_or(0));
        last_ = std::max(previous + 1, static_cast<FencingToken>(now));
        return LeaseGrant{last_, k_forever, previous};
    }
    Result<LeaseAnswer> renew(FencingToken token) override { return LeaseGrant{token, k_forever}; }
    Status release(FencingToken) override { return {}; }
    std::string name() const override { return "none"; }

    const Clock& clock_;
    FencingToken last_ = 0;
};

}    // namespace

std::unique_ptr<LeaseStore> no_lease(const Clock& clock) { return std::make_unique<NoLease>(clock); }

}    // namespace holdfast::trade
