#include "holdfast/policy/token_bucket.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

using namespace std::chrono_literals;

TEST(TokenBucket, LetsTheBurstThroughAndThenHoldsTheRate) {
    Instant now{0};
    TokenBucket bucket(1000, 100, now);
    EXPECT_EQ(bucket.take(100, now), 0s);
    EXPECT_EQ(bucket.take(500, now), 500ms);
    EXPECT_EQ(bucket.take(500, now), 1s);    // who comes second waits for the first one's bytes, too
}

TEST(TokenBucket, HoldsTheRateOverAnyMixOfSizes) {
    Instant now{0};
    TokenBucket bucket(1 << 20, 1 << 16, now);
    std::uint64_t sum = 0;
    for (std::uint64_t i = 1; i <= 2000; ++i) {
        const std::uint64_t bytes = i * 7919 % 100'000;
        sum += bytes;
        now = now + bucket.take(bytes, now);
    }
    EXPECT_NEAR(static_cast<double>(sum - (1 << 16)) / seconds(now - Instant{0}), 1 << 20, 1);
}

TEST(TokenBucket, SavesUpNoMoreThanTheBurst) {
    Instant now{0};
    TokenBucket bucket(1000, 100, now);
    now = now + 1h;
    EXPECT_EQ(bucket.take(100, now), 0s);
    EXPECT_EQ(bucket.take(1000, now), 1s);
}

TEST(TokenBucket, BearsAClockThatStandsStillOrSteppedBack) {
    TokenBucket bucket(1000, 100, Instant{5'000'000'000});
    EXPECT_EQ(bucket.take(1100, Instant{4'000'000'000}), 1s);
    EXPECT_EQ(bucket.take(0, Instant{6'000'000'000}), 0s);
}

}    // namespace
}    // namespace holdfast::policy
