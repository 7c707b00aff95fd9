#include "holdfast/policy/kept_states.hpp"

#include <gmock/gmock.h>

namespace holdfast::policy {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Timestamp minute(std::int64_t n) { return {n * 60'000'000'000}; }

// DD-01, DD-02: by age, by count, and the newest verified one in any case.
TEST(ExpiredStates, StayByAgeByCountAndOnceVerified) {
    const std::vector<KeptStates> kept{
        {1, minute(0), 5, true}, {2, minute(10), 5, true}, {3, minute(20), 5, false}, {4, minute(30), 5, false}};
    EXPECT_THAT(expired_states({}, minute(99), {0min, 1, 1}), IsEmpty());
    // Generation 1 ended when 2 began.
    EXPECT_THAT(expired_states(kept, minute(30), {25min, 0, 0}), IsEmpty());
    EXPECT_THAT(expired_states(kept, minute(30), {20min, 0, 0}), ElementsAre(1));
    EXPECT_THAT(expired_states(kept, minute(30), {0min, 0, 0}), ElementsAre(1, 2, 3));
    EXPECT_THAT(expired_states(kept, minute(30), {0min, 6, 0}), ElementsAre(1, 2));
    EXPECT_THAT(expired_states(kept, minute(30), {0min, 5, 0}), ElementsAre(1, 2, 3));
    EXPECT_THAT(expired_states(kept, minute(30), {0min, 0, 1}), ElementsAre(1, 3));
    EXPECT_THAT(expired_states(kept, minute(30), {0min, 0, 2}), ElementsAre(3));
}

TEST(ExpiredStates, AVerificationSpeaksForThreeOfItsIntervals) {
    EXPECT_EQ(trust_after_verification(0), Duration(15min));
    EXPECT_EQ(trust_after_verification(5), Duration(15min));
    EXPECT_EQ(trust_after_verification(60), Duration(180min));
}

}    // namespace
}    // namespace holdfast::policy
