#pragma once
// What must hold at the end of every story of the trade path.

#include <gtest/gtest.h>

#include "holdfast/testing/trade_stack.hpp"

namespace holdfast::testing {

/// The engines must have been stopped.
inline void expect_equal_books(TradeStack& stack) {
    const auto result = stack.compare();
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_GT(result->executions, 0u);
    EXPECT_EQ(result->refused_twice, 0u) << "an order reached the broker twice";
    EXPECT_EQ(result->overfilled, 0u);
    for (const TradeStack::Compared& store : result->stores) {
        SCOPED_TRACE(store.store);
        EXPECT_EQ(store.missing, 0u);
        EXPECT_EQ(store.unknown, 0u);
        EXPECT_EQ(store.different, 0u);
        EXPECT_EQ(store.executions, result->executions);
    }
}

}    // namespace holdfast::testing
