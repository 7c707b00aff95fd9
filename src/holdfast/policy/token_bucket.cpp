#include "holdfast/policy/token_bucket.hpp"

#include <algorithm>

namespace holdfast::policy {

TokenBucket::TokenBucket(std::uint64_t rate, std::uint64_t burst, Instant now)
    : rate_(static_cast<double>(rate)), burst_(static_cast<double>(burst)), level_(burst_), at_(now) {
    HF_ASSERT(rate > 0 && burst > 0);
}

Duration TokenBucket::take(std::uint64_t bytes, Instant now) {
    if (now > at_) {
        level_ = std::min(burst_, level_ + rate_ * seconds(now - at_));
        at_ = now;
    }
    level_ -= static_cast<double>(bytes);
    if (level_ >= 0) return Duration::zero();
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(-level_ / rate_));
}

}    // namespace holdfast::policy
