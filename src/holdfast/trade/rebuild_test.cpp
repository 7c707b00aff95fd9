#include "holdfast/trade/rebuild.hpp"

#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/trade/history_test.hpp"

namespace holdfast::trade {
namespace {

using ledger::Sequence;

class RebuildTest : public ::testing::Test {
protected:
    void SetUp() override {
        auto redis = testing::RedisServer::start();
        auto clickhouse = testing::ClickHouseServer::start();
        ASSERT_TRUE(redis && clickhouse);
        redis_server_.emplace(*std::move(redis));
        clickhouse_server_.emplace(*std::move(clickhouse));
        RedisPlace place;
        place.login.port = redis_server_->port();
        redis_.emplace(RedisLink(std::move(place)), RedisSinkOptions{"demo-1", "journal-1", 1});
        folder_.emplace(*os::TempFolder::create("hf-rebuild"));
        duckdb_.emplace(DuckDbSinkOptions{folder_->path() + "/trades.duckdb", "demo-1", "journal-1"}, clock_);
        ClickHouseSinkOptions options;
        options.server.url = clickhouse_server_->url();
        options.account = "demo-1";
        options.journal = "journal-1";
        clickhouse_.emplace(std::move(options), clock_);
        history_.orders(1, 60);
    }
    Stores stores() { return {&*redis_, &*duckdb_, &*clickhouse_}; }
    static Status write(Sink& sink, const History& history, Sequence to) {
        HF_TRY(const Sequence mark, sink.watermark());
        return mark >= to ? Status() : sink.apply(mark, history.part(mark, to));
    }
    // The open orders are the book's, to the last value.
    static void expect_book(const Rebuilt& found, const ledger::Book& book) {
        EXPECT_EQ(found.open.size(), book.open().size());
        for (const FoundOrder& open : found.open) {
            const ledger::Order* expected = book.find(open.order.id);
            ASSERT_NE(expected, nullptr) << open.order.id.text();
            EXPECT_EQ(open.order.state, expected->state);
            EXPECT_EQ(open.order.filled, expected->filled);
            EXPECT_EQ(open.order.filled_value, expected->filled_value);
            EXPECT_EQ(open.order.attempts, expected->attempts);
            EXPECT_EQ(open.order.broker_id, expected->broker_id);
            EXPECT_EQ(open.order.strategy, expected->strategy);
            EXPECT_EQ(open.order.accepted_at, expected->accepted_at);
            EXPECT_EQ(open.order.parked, expected->parked);
        }
    }

    os::SystemClock clock_;
    std::optional<testing::RedisServer> redis_server_;
    std::optional<testing::ClickHouseServer> clickhouse_server_;
    std::optional<os::TempFolder> folder_;
    std::optional<RedisSink> redis_;
    std::optional<DuckDbSink> duckdb_;
    std::optional<ClickHouseSink> clickhouse_;
    History history_;
};

TEST_F(RebuildTest, AnyOneStoreGivesBackTheOpenOrders) {
    // Requirement: MT-15
    ASSERT_TRUE(write(*redis_, history_, history_.last()));
    ASSERT_TRUE(write(*duckdb_, history_, history_.last()));
    ASSERT_TRUE(write(*clickhouse_, history_, history_.last()));
    const Stores all[] = {
        {&*redis_, nullptr, nullptr}, {nullptr, &*duckdb_, nullptr}, {nullptr, nullptr, &*clickhouse_}};
    for (const Stores& store : all) {
        const Rebuilt found = rebuild_from_stores(store, {});
        ASSERT_EQ(found.steps.size(), 1u);
        ASSERT_FALSE(found.steps[0].error) << found.steps[0].error->message;
        SCOPED_TRACE(found.steps[0].store);
        expect_book(found, history_.book());
        EXPECT_TRUE(found.complete);
        EXPECT_EQ(found.executions.size(), 50u);
        // Redis has let go of the failed ones.
        EXPECT_EQ(found.closed.size(), found.steps[0].store == "redis" ? 40u : 45u);
    }
}

TEST_F(RebuildTest, TheNewestFactCountsAndNothingCountsTwice) {
    // Requirement: MT-15, HA-05
    // Redis lost its newest facts in a failover; ClickHouse had been away; DuckDB is between them.
    ASSERT_TRUE(write(*redis_, history_, 150));
    ASSERT_TRUE(write(*duckdb_, history_, history_.last()));
    ASSERT_TRUE(write(*clickhouse_, history_, 90));
    std::vector<std::string> said;
    const Rebuilt found =
        rebuild_from_stores(stores(), {}, [&](const RebuildStep& step) { said.push_back(step.store); });
    EXPECT_EQ(said, (std::vector<std::string>{"redis", "duckdb", "clickhouse"}));
    EXPECT_TRUE(found.complete);
    expect_book(found, history_.book());
    EXPECT_EQ(found.executions.size(), 50u);
    EXPECT_EQ(found.steps[2].fresh_orders, 0u);
    EXPECT_EQ(found.steps[2].fresh_executions, 0u);
}

TEST_F(RebuildTest, TheLaterSessionsStateCountsWhicheverJournalItIsOf) {
    // Requirement: HA-05, MT-15
    ASSERT_TRUE(write(*duckdb_, history_, history_.last()));
    // Another instance took two open orders over, in a journal whose sequences begin at 1, and reached Redis only.
    History other;
    other.note(ledger::SessionStarted{"b", 7, true});
    for (const std::uint64_t n : {5u, 11u}) {
        other.note(ledger::OrderFound{*history_.book().find(test_id(n)), {fmt::format("E{}-0", n)}, "duckdb"});
        other.fill(n, 2, 1);
    }
    RedisPlace place;
    place.login.port = redis_server_->port();
    RedisSink redis(RedisLink(std::move(place)), {"demo-1", "journal-2", 7});
    ASSERT_TRUE(write(redis, other, other.last()));
    const auto expect_newest = [&](const Stores& from, std::string_view earlier, std::string_view later) {
        const Rebuilt found = rebuild_from_stores(from, {});
        ASSERT_EQ(found.open.size(), history_.book().open().size());
        for (const FoundOrder& open : found.open) {
            const ledger::Order* newest = other.book().find(open.order.id);
            EXPECT_EQ(open.where, newest ? later : earlier);
            EXPECT_EQ(open.order.filled, (newest ? newest : history_.book().find(open.order.id))->filled);
        }
        EXPECT_EQ(found.executions.size(), 52u) << "two of them only one store has";
    };
    expect_newest(stores(), "duckdb", "redis");
    // And the other way round, for Redis is asked first.
    ASSERT_TRUE(redis.link().command({"FLUSHALL"}));
    ASSERT_TRUE(write(*redis_, history_, history_.last()));
    DuckDbSink duckdb({folder_->path() + "/other.duckdb", "demo-1", "journal-2"}, clock_);
    ASSERT_TRUE(write(duckdb, other, other.last()));
    expect_newest({&*redis_, &duckdb, nullptr}, "redis", "duckdb");
}

TEST_F(RebuildTest, AnExecutionThatTheOrdersRowDoesNotCountYetIsCounted) {
    // Requirement: MT-15
    History history;
    history.accept(1);
    history.send(1);
    const Sequence before = history.last();
    history.fill(1, 4);
    ASSERT_TRUE(write(*redis_, history, before));
    ASSERT_TRUE(write(*duckdb_, history, history.last()));
    // A DuckDB that kept the execution and lost the order's row.
    ASSERT_TRUE(duckdb_->query("DELETE FROM orders"));
    const Rebuilt found = rebuild_from_stores(stores(), {});
    ASSERT_EQ(found.open.size(), 1u);
    EXPECT_EQ(found.open[0].where, "redis");
    EXPECT_EQ(found.open[0].order.filled, ledger::Decimal::whole(4));
    EXPECT_EQ(found.open[0].order.state, ledger::OrderState::partially_filled);
    EXPECT_EQ(found.open[0].executions, std::vector<std::string>{"E1-0"});
    EXPECT_EQ(found.open[0].order.filled_value, history.book().find(test_id(1))->filled_value);
}

TEST_F(RebuildTest, AStoreThatIsAwayIsSaidAndTheOthersAreUsed) {
    ASSERT_TRUE(write(*duckdb_, history_, history_.last()));
    redis_server_->kill();
    const Rebuilt found = rebuild_from_stores(stores(), {});
    ASSERT_EQ(found.steps.size(), 3u);
    ASSERT_TRUE(found.steps[0].error);
    EXPECT_EQ(found.steps[0].error->code, ErrorCode::unreachable);
    EXPECT_FALSE(found.complete);
    expect_book(found, history_.book());
}

TEST_F(RebuildTest, OldClosedOrdersAreLeftOut) {
    ASSERT_TRUE(write(*duckdb_, history_, history_.last()));
    ASSERT_TRUE(write(*clickhouse_, history_, history_.last()));
    const Rebuilt found = rebuild_from_stores(stores(), clock_.now() + std::chrono::hours(1));
    EXPECT_TRUE(found.closed.empty());
    expect_book(found, history_.book());
}

}    // namespace
}    // namespace holdfast::trade
