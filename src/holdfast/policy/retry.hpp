#pragma once
// How long to wait before something that failed is tried again. Pure: chance and the time spent come in, a wait comes out.
//
//   rule      the n-th wait is first * 2^(n-1), at most `longest`, spread evenly over the upper `jitter` share of it, so
//             that many clients that lost one server do not come back in step; no wait begins that would end past `total`
//   units     chance in [0, 1)
//   threads   values only; safe anywhere

#include <optional>

#include "holdfast/base/clock.hpp"

namespace holdfast::policy {

struct RetryRule {
    Duration first = std::chrono::milliseconds(500);
    Duration longest = std::chrono::seconds(60);
    Duration total = std::chrono::minutes(15);    // from the first failure on
    double jitter = 0.5;
};

/// The wait after `failures` failures in a row (at least 1), `spent` after the first of them; nullopt: give up.
std::optional<Duration> wait_before_retry(const RetryRule& rule, unsigned failures, Duration spent, double chance);

}    // namespace holdfast::policy
