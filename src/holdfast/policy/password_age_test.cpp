#include "holdfast/policy/password_age.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

using std::chrono::days;
constexpr Timestamp k_made{1'700'000'000'000'000'000};

PasswordState state_after(Duration age, std::uint32_t max_age_days = k_password_max_age_days) {
    return judge_password(k_made, k_made + age, max_age_days).state;
}

TEST(PasswordAge, IsDueAfterNinetyDays) {    // DD-06
    EXPECT_EQ(state_after(days(0)), PasswordState::fresh);
    EXPECT_EQ(state_after(days(75)), PasswordState::fresh);
    EXPECT_EQ(state_after(days(77)), PasswordState::due_soon);
    EXPECT_EQ(state_after(days(90) - std::chrono::nanoseconds(1)), PasswordState::due_soon);
    EXPECT_EQ(state_after(days(90)), PasswordState::due);
    EXPECT_EQ(judge_password(k_made, k_made + days(100), 90).left, Duration(-days(10)));
}

TEST(PasswordAge, AShortLifeWarnsForAFifthOfIt) {
    EXPECT_EQ(state_after(days(7), 10), PasswordState::fresh);
    EXPECT_EQ(state_after(days(9), 10), PasswordState::due_soon);
    EXPECT_EQ(state_after(days(10), 10), PasswordState::due);
}

TEST(PasswordAge, ZeroDaysMeansNever) {
    EXPECT_EQ(state_after(days(10'000), 0), PasswordState::fresh);
    EXPECT_EQ(judge_password(k_made, k_made + days(10'000), 0).left, Duration::zero());
}

TEST(PasswordAge, AClockSetBackMakesNoNegativeAge) {
    const auto verdict = judge_password(k_made, k_made - days(400), 90);
    EXPECT_EQ(verdict.age, Duration::zero());
    EXPECT_EQ(verdict.state, PasswordState::fresh);
}

}    // namespace
}    // namespace holdfast::policy
