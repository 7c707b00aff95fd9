#include "holdfast/policy/retry.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

using namespace std::chrono_literals;

TEST(RetryRule, DoublesUpToTheLongestWait) {
    const RetryRule rule{.first = 500ms, .longest = 60s, .total = 1h, .jitter = 0.5};
    const Duration expected[] = {500ms, 1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s};
    for (unsigned n = 1; n <= 9; ++n) EXPECT_EQ(wait_before_retry(rule, n, 0s, 0), expected[n - 1]) << n;
    EXPECT_EQ(wait_before_retry(rule, 4'000'000'000u, 0s, 0), 60s);
}

TEST(RetryRule, SpreadsWaitsOverTheirUpperHalf) {
    const RetryRule rule{.first = 1s, .longest = 60s, .total = 1h, .jitter = 0.5};
    EXPECT_EQ(wait_before_retry(rule, 1, 0s, 0.5), 750ms);
    const Duration least = *wait_before_retry(rule, 1, 0s, 0.999999);
    EXPECT_GE(least, 500ms);
    EXPECT_LT(least, 501ms);
}

TEST(RetryRule, NeverWaitsPastTheTotal) {
    const RetryRule rule{.first = 4s, .longest = 60s, .total = 10s, .jitter = 0};
    EXPECT_EQ(wait_before_retry(rule, 1, 6s, 0), 4s);
    EXPECT_EQ(wait_before_retry(rule, 1, 6s + 1ns, 0), std::nullopt);
    EXPECT_EQ(wait_before_retry(rule, 2, 3s, 0), std::nullopt);
}

}    // namespace
}    // namespace holdfast::policy
