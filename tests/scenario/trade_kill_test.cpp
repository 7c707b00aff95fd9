// The trade path on real processes: each part is killed again and again while signals flow; at the end the broker's book, DuckDB and
// ClickHouse hold the same executions. Requirements: EA-01, EA-13, EA-16, MT-04, MT-05, MT-07, MT-08, MT-12, HA-04, HA-05, HA-09, DD-09.

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <random>

#include "holdfast/os/host.hpp"
#include "trade_books.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

os::SystemClock g_clock;

unsigned rounds() {
    const auto text = os::environment("HF_TRADE_KILLS");
    return text ? static_cast<unsigned>(std::stoul(*text)) : 54;
}

TEST(TradeKillTest, NoTradeIsLostOrDoubledWhateverIsKilled) {
    auto started = TradeStack::start({.broker = {"walk_ms=20", "seed=7", "partial=0.05", "lose=0.01", "twice=0.01"}});
    ASSERT_TRUE(started) << started.error().message << "\n" << started.error().hint;
    TradeStack& stack = **started;
    ASSERT_TRUE(stack.start_engine());
    Status ok = stack.wait_for_gate();
    ASSERT_TRUE(ok) << ok.error().message;
    SignalFeed feed({stack.socket()}, 200);
    std::mt19937_64 random(20261127);
    for (unsigned round = 0; round < rounds(); ++round) {
        // Each part in its turn, the engine every other time; away for a moment or for longer than one attempt of its client.
        const TradeStack::Part part =
            round % 2 == 0 ? TradeStack::Part::engine : TradeStack::k_parts[1 + round / 2 % 5];
        SCOPED_TRACE(fmt::format("round {}: {}", round, TradeStack::name_of(part)));
        g_clock.sleep(std::chrono::milliseconds(random() % 400));
        ok = stack.kill(part);
        ASSERT_TRUE(ok) << ok.error().message;
        g_clock.sleep(std::chrono::milliseconds(random() % 500));
        ok = stack.bring_back(part);
        ASSERT_TRUE(ok) << ok.error().message;
        ok = stack.wait_for_gate();
        ASSERT_TRUE(ok) << ok.error().message;
    }
    ok = feed.finish();
    ASSERT_TRUE(ok) << ok.error().message;
    ok = stack.wait_until_settled();
    ASSERT_TRUE(ok) << ok.error().message;
    ok = stack.stop_engine();
    ASSERT_TRUE(ok) << ok.error().message;
    EXPECT_EQ(feed.refused(), 0u);
    EXPECT_EQ(feed.acknowledged(), feed.begun());
    expect_equal_books(stack);
}

}    // namespace
}    // namespace holdfast::testing
