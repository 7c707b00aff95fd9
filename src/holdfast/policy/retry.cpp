#include "holdfast/policy/retry.hpp"

#include <algorithm>

namespace holdfast::policy {

std::optional<Duration> wait_before_retry(const RetryRule& rule, unsigned failures, Duration spent, double chance) {
    HF_ASSERT(failures > 0 && chance >= 0 && chance < 1);
    Duration wait = std::min(rule.first, rule.longest);
    // Doubling ends at the longest wait: no overflow, however many failures there were.
    for (unsigned i = 1; i < failures && wait < rule.longest; ++i) wait = std::min(wait * 2, rule.longest);
    wait -= Duration(static_cast<Duration::rep>(static_cast<double>(wait.count()) * rule.jitter * chance));
    if (spent + wait > rule.total) return std::nullopt;
    return wait;
}

}    // namespace holdfast::policy
