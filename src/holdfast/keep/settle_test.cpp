#include "holdfast/keep/settle.hpp"

#include <gtest/gtest.h>

namespace holdfast::keep {
namespace {

using namespace std::chrono_literals;

Id id(unsigned char c) {
    Id one;
    one.bytes[0] = std::byte{c};
    return one;
}
constexpr Duration k_settle = 250ms;

class SettlerTest : public ::testing::Test {
protected:
    bool look(Duration at, const Seen& seen) { return settler_.look({at.count()}, seen); }
    Settler settler_{k_settle};
};

TEST_F(SettlerTest, WhatIsGoodAndFinishedCountsAtOnceAndOnce) {    // EA-03
    EXPECT_TRUE(look(0ms, {id(1), true, true}));
    EXPECT_FALSE(look(1ms, {id(1), true, true}));
    EXPECT_FALSE(look(1s, {id(1), true, false}));
    EXPECT_TRUE(look(2s, {id(2), true, true}));
    EXPECT_TRUE(look(3s, {id(1), true, true}));
    EXPECT_FALSE(settler_.due().has_value());
}

TEST_F(SettlerTest, AHalfWrittenFileThatBecomesGoodIsNeverBad) {
    EXPECT_TRUE(look(0ms, {id(1), true, true}));
    EXPECT_FALSE(look(10ms, {id(2), false, true}));    // truncated by one process, written by the next
    EXPECT_EQ(settler_.due()->nanoseconds, Duration(260ms).count());
    EXPECT_FALSE(look(200ms, {id(3), false, false}));    // more of it
    EXPECT_EQ(settler_.due()->nanoseconds, Duration(450ms).count());    // each change begins the time anew
    EXPECT_FALSE(look(449ms, {id(3), false, false}));
    EXPECT_TRUE(look(449ms, {id(4), true, true}));
    EXPECT_FALSE(settler_.due().has_value());
}

TEST_F(SettlerTest, WhatStaysBadIsToldAfterTheTime) {
    EXPECT_FALSE(look(0ms, {id(2), false, true}));
    EXPECT_FALSE(look(249ms, {id(2), false, true}));
    EXPECT_TRUE(look(250ms, {id(2), false, true}));
    EXPECT_FALSE(look(10s, {id(2), false, true}));
}

TEST_F(SettlerTest, AGoodBeginningOfAFileIsNotKept) {    // half an .env is well-formed, too
    EXPECT_FALSE(look(0ms, {id(1), true, false}));
    EXPECT_FALSE(look(100ms, {id(2), true, false}));
    EXPECT_FALSE(look(300ms, {id(2), true, false}));
    EXPECT_TRUE(look(350ms, {id(2), true, false}));    // nothing told that it was closed (another host wrote it)
}

TEST_F(SettlerTest, AFileThatIsGoneForAMomentIsNotMissing) {
    EXPECT_TRUE(look(0ms, {id(1), true, true}));
    EXPECT_FALSE(look(5ms, {}));
    EXPECT_FALSE(look(6ms, {id(1), true, true}));
    EXPECT_FALSE(settler_.due().has_value());
    EXPECT_FALSE(look(7ms, {}));
    EXPECT_TRUE(look(257ms, {}));
}

}    // namespace
}    // namespace holdfast::keep
