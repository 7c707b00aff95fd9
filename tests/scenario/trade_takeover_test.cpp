// What only the stores and the broker still know: a journal that is lost, a host that takes over from another one, one that stood
// still. Requirements: EA-13, MT-07, MT-15, HA-05, HA-09, DD-09.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "holdfast/http/line.hpp"
#include "holdfast/os/host.hpp"
#include "trade_books.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

os::SystemClock g_clock;

class TradeTakeover : public ::testing::Test {
protected:
    void start(unsigned hosts) {
        auto started = TradeStack::start({.broker = {"walk_ms=20", "seed=7", "partial=0.05"}, .hosts = hosts});
        ASSERT_TRUE(started) << started.error().message << "\n" << started.error().hint;
        stack_ = *std::move(started);
        for (unsigned host = 0; host < hosts; ++host) sockets_.push_back(stack_->socket(host));
        good(stack_->start_engine(0));
        good(stack_->wait_for_gate(0));
    }
    static void good(const Status& status) {
        ASSERT_TRUE(status) << status.error().message << "\n" << status.error().hint;
    }

    json::Value ask(unsigned host, const std::string& path, const std::string& body, int status) const {
        http::Line line({stack_->socket(host), {}, 0}, {});
        const auto answer = line.ask("POST", path, body, 10s);
        EXPECT_TRUE(answer) << answer.error().message;
        if (!answer) return {};
        EXPECT_EQ(answer->status, status) << answer->body;
        return json::parse(answer->body, "the answer").value_or(json::Value());
    }
    static std::string far_order(unsigned number) {
        return fmt::format(R"({{"id":"0197b8e4-7b6a-7c3e-9d3f-{:012x}","symbol":"EURUSD","side":"sell","quantity":"1",)"
                           R"("type":"limit","price":"9999"}})",
                           number);
    }
    std::uint64_t open_orders(unsigned host) const {
        const auto status = stack_->status(host);
        return status ? (*status)["orders"]["open"].natural() : ~std::uint64_t{0};
    }
    /// The host does not trade; what its journal still has for ClickHouse and DuckDB has gone there.
    void wait_until_written(unsigned host) const {
        json::Value status;
        for (int i = 0; i < 1200; ++i) {
            if (auto told = stack_->status(host)) status = *std::move(told);
            std::size_t level = 0;
            for (const json::Value& store : status["stores"].items())
                level += store["store"].text() != "redis" && store["backlog"].natural() == 0 &&
                         store["error"].text().empty();
            if (level == 2) return;
            g_clock.sleep(100ms);
        }
        FAIL() << json::dump(status) << stack_->log_tail(host);
    }

    std::unique_ptr<TradeStack> stack_;
    std::vector<std::string> sockets_;
};

// Requirements: EA-01, EA-08, MT-11.
TEST_F(TradeTakeover, RedisGivesSignalsAndHoldsResultsAndWhoLives) {
    ASSERT_NO_FATAL_FAILURE(start(1));
    const std::string id = "0197b8e4-7b6a-7c3e-9d3f-0000000000ff";
    const auto added =
        stack_->redis({"XADD", "hf:{desk-1}:rtss", "*", "id", id, "symbol", "EURUSD", "side", "buy", "quantity", "1"});
    ASSERT_TRUE(added) << added.error().message;
    const auto expect_soon = [&](const std::vector<std::string>& command, std::string_view part) {
        std::string reply;
        for (int i = 0; i < 600 && reply.find(part) == std::string::npos; ++i) {
            g_clock.sleep(100ms);
            reply = stack_->redis(command).value_or("");
        }
        EXPECT_NE(reply.find(part), std::string::npos) << command[1] << ": " << reply << stack_->log_tail();
    };
    expect_soon({"HGETALL", "hf:{desk-1}:rts:" + id}, "\r\nfilled\r\n");
    expect_soon({"XRANGE", "hf:{desk-1}:rtrs", "-", "+"}, "execution_id");
    expect_soon({"XLEN", "hf:{desk-1}:rtss"}, ":0\r\n");    // what was taken leaves the stream
    expect_soon({"HGETALL", "hf:{desk-1}:ris:host-a"}, "trading");
    good(stack_->wait_until_settled());
    good(stack_->stop_engine());
    expect_equal_books(*stack_);
}

TEST_F(TradeTakeover, ALostJournalIsMadeAnewFromTheStores) {
    ASSERT_NO_FATAL_FAILURE(start(1));
    for (unsigned i = 0; i < 5; ++i) ask(0, "/v1/signals", far_order(i), 202);
    {
        SignalFeed feed(sockets_, 100);
        g_clock.sleep(2s);
        good(feed.finish());
    }
    for (int i = 0; i < 1200 && open_orders(0) != 5; ++i) g_clock.sleep(100ms);
    ASSERT_EQ(open_orders(0), 5u) << stack_->log_tail();
    wait_until_written(0);
    good(stack_->kill(TradeStack::Part::engine));
    good(stack_->lose_journal());
    good(stack_->start_engine());
    good(stack_->wait_for_gate());
    EXPECT_EQ(open_orders(0), 5u) << stack_->log_tail();
    // Known again, though the journal that knew it is gone.
    EXPECT_EQ(ask(0, "/v1/signals", far_order(3), 200)["verdict"].text(), "duplicate");
    SignalFeed feed(sockets_, 100);
    g_clock.sleep(1s);
    good(feed.finish());
    for (unsigned i = 0; i < 5; ++i)
        ask(0, "/v1/cancel", fmt::format(R"({{"order":"0197b8e4-7b6a-7c3e-9d3f-{:012x}"}})", i), 200);
    good(stack_->wait_until_settled());
    good(stack_->stop_engine());
    expect_equal_books(*stack_);
}

TEST_F(TradeTakeover, WhatAStoreHasLostIsSaidAndWrittenAgain) {
    ASSERT_NO_FATAL_FAILURE(start(1));
    ask(0, "/v1/signals", far_order(1), 202);
    {
        SignalFeed feed(sockets_, 100);
        g_clock.sleep(1s);
        good(feed.finish());
    }
    for (int i = 0; i < 1200 && open_orders(0) != 1; ++i) g_clock.sleep(100ms);
    wait_until_written(0);
    const auto reconcile = [&](std::vector<std::string> more) {
        more.insert(more.begin(), {"trade", "reconcile"});
        return stack_->holdfast(more);
    };
    auto said = reconcile({});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->status.code, 0) << said->output << said->errors;
    // Behind everybody's back: the watermarks still say that all is there.
    const std::string key = "hf:{desk-1}:rts:0197b8e4-7b6a-7c3e-9d3f-000000000001";
    ASSERT_EQ(stack_->redis({"DEL", key}).value_or(""), ":1\r\n");
    good(stack_->clickhouse("TRUNCATE TABLE holdfast.executions"));
    said = reconcile({"--dry-run"});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->status.code, 1) << said->output;
    EXPECT_NE(said->output.find("redis: order 0197b8e4-7b6a-7c3e-9d3f-000000000001 is missing"), std::string::npos)
        << said->output;
    EXPECT_NE(said->output.find("clickhouse: execution"), std::string::npos) << said->output;
    EXPECT_EQ(stack_->redis({"EXISTS", key}).value_or(""), ":0\r\n") << "a dry run changes nothing";
    said = reconcile({});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->status.code, 0) << said->output << said->errors;
    EXPECT_EQ(stack_->redis({"EXISTS", key}).value_or(""), ":1\r\n");
    said = reconcile({"--dry-run"});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->status.code, 0) << said->output;
    // And what would be lost with this host: everything, for all stores of this stack lie on it.
    said = stack_->holdfast({"trade", "exposure"});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_EQ(said->status.code, 1) << said->output;
    EXPECT_NE(said->output.find("no store lies on another host"), std::string::npos) << said->output;
    ask(0, "/v1/cancel", R"({"order":"0197b8e4-7b6a-7c3e-9d3f-000000000001"})", 200);
    good(stack_->wait_until_settled());
    good(stack_->stop_engine());
    expect_equal_books(*stack_);
}

TEST_F(TradeTakeover, AnotherHostTakesOverAndTheFirstOneComesBack) {
    ASSERT_NO_FATAL_FAILURE(start(2));
    good(stack_->start_engine(1));
    SignalFeed feed(sockets_, 100);
    g_clock.sleep(1s);
    stack_->kill_engine(0);
    good(stack_->wait_for_gate(1));
    g_clock.sleep(1s);
    good(stack_->start_engine(0));
    wait_until_written(0);
    stack_->kill_engine(1);
    good(stack_->wait_for_gate(0));
    g_clock.sleep(1s);
    good(feed.finish());
    EXPECT_EQ(feed.acknowledged(), feed.begun());
    good(stack_->wait_until_settled(0));
    good(stack_->start_engine(1));
    wait_until_written(1);
    good(stack_->stop_engine(1));
    good(stack_->stop_engine(0));
    expect_equal_books(*stack_);
}

TEST_F(TradeTakeover, AHostThatStoodStillSendsNothingAfterItsLease) {
    ASSERT_NO_FATAL_FAILURE(start(2));
    good(stack_->start_engine(1));
    SignalFeed feed(sockets_, 100);
    g_clock.sleep(1s);
    stack_->signal_engine(0, SIGSTOP);
    good(stack_->wait_for_gate(1));
    stack_->signal_engine(0, SIGCONT);
    // It notices by itself, and trades no more.
    json::Value status;
    for (int i = 0; i < 600; ++i) {
        if (auto told = stack_->status(0)) status = *std::move(told);
        if (status["gate"].text() == "closed" && status["lease"]["state"].text() != "held") break;
        g_clock.sleep(100ms);
    }
    EXPECT_EQ(status["gate"].text(), "closed") << json::dump(status);
    g_clock.sleep(1s);
    good(feed.finish());
    good(stack_->wait_until_settled(1));
    wait_until_written(0);
    good(stack_->stop_engine(0));
    good(stack_->stop_engine(1));
    expect_equal_books(*stack_);
}

}    // namespace
}    // namespace holdfast::testing
