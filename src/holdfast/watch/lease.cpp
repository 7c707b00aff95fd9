#include "holdfast/watch/lease.hpp"

#include <algorithm>
#include <utility>

#include "holdfast/base/result.hpp"

namespace holdfast::watch {

LeaseKeeper::LeaseKeeper(LeaseMargins margins) : margins_(margins) {
    HF_ASSERT(margins.stop > Duration::zero() && margins.ask > margins.stop && margins.retry > Duration::zero());
}

void LeaseKeeper::granted(FencingToken token, Instant asked_at, Duration ttl) {
    HF_ASSERT(ttl > margins_.ask);    // or it would be asked for in a loop
    const Lease granted{token, asked_at + (ttl - margins_.stop), asked_at + (ttl - margins_.ask)};
    if (lease_) {
        if (granted.token < lease_->token || granted.stops_at <= lease_->stops_at) return;
        // The state behind a token was read under it: a newer one begins anew.
        if (granted.token > lease_->token) demoted_ = lease_->token;
    }
    lease_ = granted;
}

void LeaseKeeper::held_elsewhere(Instant now, Duration left) {
    ask_not_before_ = now + std::clamp(left, Duration(margins_.retry / 10), margins_.retry);
}

void LeaseKeeper::failed(Instant now) { ask_not_before_ = now + margins_.retry; }

void LeaseKeeper::lost(FencingToken token, Instant now) {
    if (!lease_ || lease_->token != token) return;
    demoted_ = token;
    lease_.reset();
    ask_not_before_ = now;
}

LeaseKeeper::Action LeaseKeeper::next(Instant now) {
    if (demoted_) return Demote{*std::exchange(demoted_, std::nullopt)};
    if (lease_ && now >= lease_->stops_at) return Demote{std::exchange(lease_, std::nullopt)->token};
    const Instant ask_at = lease_ ? std::max(lease_->ask_at, ask_not_before_) : ask_not_before_;
    if (now >= ask_at) return lease_ ? Ask{lease_->token} : Ask{};
    return Wait{lease_ ? std::min(ask_at, lease_->stops_at) : ask_at};
}

std::optional<FencingToken> LeaseKeeper::token(Instant now) const {
    // A token whose demotion has not been said yet is not replaced in anybody's eyes: nobody acts before it is.
    if (!lease_ || demoted_ || now >= lease_->stops_at) return std::nullopt;
    return lease_->token;
}

std::optional<Instant> LeaseKeeper::not_after() const {
    if (!lease_ || demoted_) return std::nullopt;
    return lease_->stops_at;
}

}    // namespace holdfast::watch
