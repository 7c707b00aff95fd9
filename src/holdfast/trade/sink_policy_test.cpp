#include "holdfast/trade/sink_policy.hpp"

#include <gtest/gtest.h>

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;

Instant at(Duration since_start) { return Instant{} + since_start; }
bool writes(const SinkPolicy& policy, Instant now) {
    return std::holds_alternative<SinkPolicy::Write>(policy.next(now));
}
std::optional<Instant> until(const SinkPolicy& policy, Instant now) {
    return std::get<SinkPolicy::Wait>(policy.next(now)).until;
}

TEST(SinkPolicy, ClosesABatchAtFiftyRowsOrHalfASecond) {
    // Requirement: MT-05
    SinkPolicy policy(SinkProfile::mt5(), 1000);
    EXPECT_EQ(until(policy, at(0s)), std::nullopt);
    policy.waiting(1, false, at(0s));
    EXPECT_EQ(until(policy, at(100ms)), at(500ms));
    policy.waiting(49, false, at(400ms));
    EXPECT_FALSE(writes(policy, at(499ms)));
    EXPECT_TRUE(writes(policy, at(500ms))) << "counted from the oldest row";
    policy.written(at(500ms));
    policy.waiting(50, false, at(600ms));
    EXPECT_TRUE(writes(policy, at(600ms)));
}

TEST(SinkPolicy, AnExecutionGoesAtOnceWhenIdle) {
    // Requirement: MT-05
    SinkPolicy policy(SinkProfile::mt5(), 1000);
    policy.waiting(1, true, at(0s));
    EXPECT_TRUE(writes(policy, at(0s)));
    policy.written(at(10ms));
    policy.waiting(1, true, at(100ms));
    EXPECT_FALSE(writes(policy, at(100ms))) << "not idle: batched";
    EXPECT_EQ(until(policy, at(100ms)), at(510ms));
    EXPECT_TRUE(writes(policy, at(510ms)));
}

TEST(SinkPolicy, Mt5TriesFiveTimesThenTellsAndWaitsForAPerson) {
    // Requirement: MT-12
    SinkPolicy policy(SinkProfile::mt5(), 1000);
    policy.waiting(50, true, at(0s));
    Duration t = 0s;
    for (int attempt = 1; attempt <= 4; ++attempt) {
        ASSERT_TRUE(writes(policy, at(t)));
        const auto outcome = policy.failed(true, at(t));
        EXPECT_FALSE(outcome.tell || outcome.park) << attempt;
        EXPECT_EQ(policy.state(), SinkState::retrying);
        EXPECT_EQ(until(policy, at(t)), at(t + 5s));
        t += 5s;
    }
    ASSERT_TRUE(writes(policy, at(t)));
    const auto outcome = policy.failed(true, at(t));
    EXPECT_TRUE(outcome.tell && outcome.park);
    EXPECT_EQ(policy.state(), SinkState::suspended);
    EXPECT_FALSE(writes(policy, at(t + 24h)));
    policy.resume(at(t + 24h));
    EXPECT_TRUE(writes(policy, at(t + 24h)));
    policy.written(at(t + 24h));
    EXPECT_EQ(policy.state(), SinkState::following);
}

TEST(SinkPolicy, EaTriesThreeTimesThenEveryMinuteAndTellsOnce) {
    // Requirement: HA-09
    SinkPolicy policy(SinkProfile::ea(), 1000);
    policy.waiting(1, false, at(0s));
    EXPECT_FALSE(policy.failed(true, at(1s)).park);
    EXPECT_FALSE(policy.failed(true, at(6s)).park);
    auto outcome = policy.failed(true, at(11s));
    EXPECT_TRUE(outcome.tell && outcome.park);
    EXPECT_EQ(policy.state(), SinkState::retrying);
    EXPECT_EQ(until(policy, at(12s)), at(71s));
    ASSERT_TRUE(writes(policy, at(71s)));
    outcome = policy.failed(true, at(71s));
    EXPECT_FALSE(outcome.tell);
    EXPECT_TRUE(outcome.park);
    EXPECT_EQ(policy.attempts(), 4u);
    policy.written(at(131s));
    policy.waiting(1, false, at(132s));
    for (int i = 0; i < 2; ++i) EXPECT_FALSE(policy.failed(true, at(140s)).tell);
    EXPECT_TRUE(policy.failed(true, at(150s)).tell) << "it broke anew";
}

TEST(SinkPolicy, WhatNeedsHelpIsToldWithoutFurtherAttempts) {
    SinkPolicy policy(SinkProfile::mt5(), 1000);
    policy.waiting(1, false, at(0s));
    const auto outcome = policy.failed(false, at(0s));
    EXPECT_TRUE(outcome.tell && outcome.park);
    EXPECT_EQ(policy.state(), SinkState::suspended);
}

TEST(SinkPolicy, RedisGetsEveryFactAtOnceAndIsTriedEveryTwoSeconds) {
    // Requirement: HA-04
    SinkPolicy policy(SinkProfile::redis(), 1000);
    policy.waiting(1, false, at(0s));
    EXPECT_TRUE(writes(policy, at(0s)));
    Duration t = 0s;
    for (int attempt = 1; attempt <= 12; ++attempt, t += 2s) {
        ASSERT_TRUE(writes(policy, at(t)));
        EXPECT_EQ(policy.failed(true, at(t)).tell, attempt == 10);
        EXPECT_EQ(until(policy, at(t)), at(t + 2s));
    }
}

}    // namespace
}    // namespace holdfast::trade
