#include "holdfast/trade/clickhouse_sink.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "holdfast/testing/clickhouse_engine.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "holdfast/trade/history_test.hpp"
#include "holdfast/trade/rows.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ledger::Sequence;
using testing::ClickHouseEngine;
using testing::ClickHouseGeneration;

class ClickHouseSinkTest : public ::testing::TestWithParam<ClickHouseGeneration> {
protected:
    void SetUp() override {
        auto engine = ClickHouseEngine::start(GetParam(), HF_BIN_DIR "/hf-chdb-front");
        ASSERT_TRUE(engine) << engine.error().message;
        engine_.emplace(*std::move(engine));
        history_.orders(1, 60);
    }
    ClickHouseSink sink(std::string url = {}, std::string journal = "journal-1") const {
        ClickHouseSinkOptions options;
        options.server.url = url.empty() ? engine_->url() : std::move(url);
        options.server.idle_max = 30s;
        options.account = "demo-1";
        options.journal = std::move(journal);
        return ClickHouseSink(std::move(options), clock_);
    }
    std::string one(const std::string& query) const {
        db::clickhouse::Server server;
        server.url = engine_->url();
        auto client = db::clickhouse::Client::connect(std::move(server));
        if (!client) return client.error().message;
        auto rows = client->rows(query);
        if (!rows) return rows.error().message;
        return rows->empty() ? "" : (*rows)[0][0];
    }
    static Status apply_all(Sink& sink, const History& history, Sequence after, std::size_t batch) {
        while (after < history.last()) {
            const Sequence end = std::min<Sequence>(history.last(), after + batch);
            HF_DO(sink.apply(after, history.part(after, end)));
            after = end;
        }
        return {};
    }
    /// As in a store that was set back, but for its rows.
    void lose_marks() const {
        ASSERT_EQ(one("DROP TABLE holdfast.watermarks"), "");
        ASSERT_EQ(one("CREATE TABLE holdfast.watermarks (account String, journal String, sequence UInt64) ENGINE = "
                      "ReplacingMergeTree(sequence) ORDER BY (account, journal)"),
                  "");
    }
    std::uint16_t port() const {
        return static_cast<std::uint16_t>(std::stoi(engine_->url().substr(engine_->url().rfind(':') + 1)));
    }
    // As a reader sees them: each row once.
    std::string seen() const {
        return one("SELECT concat(toString(count()), ' ', toString(uniqExact(execution_id)), ' ', "
                   "toString(sum(quantity))) "
                   "FROM holdfast.executions FINAL") +
               ", " + one("SELECT concat(toString(count()), ' ', toString(sum(filled))) FROM holdfast.orders FINAL");
    }
    static std::string expected(const History& history) {
        std::size_t executions = 0;
        ledger::Decimal executed, filled;
        std::map<ledger::Uuid, ledger::Decimal> orders;
        for (const auto& change : history.changes()) {
            if (const auto* fact = std::get_if<ledger::OrderExecuted>(&change.fact.data)) {
                ++executions;
                executed += fact->execution.quantity;
            }
            if (change.order) orders[change.order->id] = change.order->filled;
        }
        for (const auto& [id, quantity] : orders) filled += quantity;
        const auto fixed = [](ledger::Decimal d) { return d.text(); };
        return fmt::format("{0} {0} {1}, {2} {3}", executions, fixed(executed), orders.size(), fixed(filled));
    }
    // 18.16 writes "450.00000000", 26 "450".
    static std::string plain(std::string text) {
        for (std::size_t at = 0; (at = text.find(".00000000")) != std::string::npos;) text.erase(at, 9);
        return text;
    }

    ShiftedClock clock_;
    std::optional<ClickHouseEngine> engine_;
    History history_;
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseSinkTest,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

TEST_P(ClickHouseSinkTest, KeepsEveryExecutionAndTheNewestStateOfOrders) {
    // Requirement: EA-06, MT-05, EA-01
    ClickHouseSink sink = this->sink();
    const auto mark = sink.watermark();
    ASSERT_TRUE(mark) << mark.error().message;
    EXPECT_EQ(*mark, 0u);
    const Status applied = apply_all(sink, history_, 0, 50);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(sink.watermark().value_or(0), history_.last());
    EXPECT_EQ(plain(seen()), expected(history_));
    EXPECT_EQ(one("SELECT toString(executed_at_utc) FROM holdfast.executions WHERE execution_id = 'E1-0'"),
              to_rfc3339({History::start()}).substr(0, 19).replace(10, 1, " "));

    // What is read back is what was written.
    db::clickhouse::Server server;
    server.url = engine_->url();
    auto client = db::clickhouse::Client::connect(std::move(server));
    ASSERT_TRUE(client);
    const auto rows =
        client->rows(clickhouse_select_orders("holdfast", "demo-1", "") + " FORMAT TabSeparatedWithNames");
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 61u);
    std::size_t equal = 0;
    for (std::size_t r = 1; r < rows->size(); ++r) {
        const auto order = read_row<ledger::Order>(
            [&](std::string_view name) -> std::optional<std::string_view> {
                for (std::size_t c = 0; c < (*rows)[0].size(); ++c)
                    if ((*rows)[0][c] == fmt::format("toString({})", name)) return (*rows)[r][c];
                return std::nullopt;
            },
            "an order");
        ASSERT_TRUE(order) << order.error().message;
        for (auto change = history_.changes().rbegin(); change != history_.changes().rend(); ++change) {
            if (!change->order || change->order->id != order->id) continue;
            EXPECT_EQ(order->state, change->order->state);
            EXPECT_EQ(order->filled_value, change->order->filled_value);
            EXPECT_EQ(order->changed_at, change->order->changed_at);
            EXPECT_EQ(order->strategy, change->order->strategy);
            EXPECT_EQ(order->broker_id, change->order->broker_id);
            ++equal;
            break;
        }
    }
    EXPECT_EQ(equal, 60u);
}

TEST_P(ClickHouseSinkTest, TakesRepeatedAndOverlappingRangesOnce) {
    ClickHouseSink sink = this->sink();
    ASSERT_TRUE(sink.apply(0, history_.part(0, 50)));
    ASSERT_TRUE(sink.apply(20, history_.part(20, 90)));
    ASSERT_TRUE(sink.apply(10, history_.part(10, 40)));
    const auto hole = sink.apply(95, history_.part(95, 100));
    ASSERT_FALSE(hole);
    EXPECT_EQ(hole.error().code, ErrorCode::changed);
    const Status rest = apply_all(sink, history_, 90, 40);
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_EQ(plain(seen()), expected(history_));
}

TEST_P(ClickHouseSinkTest, AStoreThatWasSetBackGetsTheRestAgain) {
    // Requirement: DD-09
    ClickHouseSink sink = this->sink();
    ASSERT_TRUE(apply_all(sink, history_, 0, 50));
    // The watermark goes back to 100 while all rows stay: the old facts come again under newer ones.
    lose_marks();
    ASSERT_EQ(one("INSERT INTO holdfast.watermarks VALUES ('demo-1', 'journal-1', 100)"), "");
    EXPECT_EQ(sink.watermark().value_or(0), 100u);
    ASSERT_EQ(one("OPTIMIZE TABLE holdfast.orders"), "");
    const Status again = apply_all(sink, history_, 100, 30);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(plain(seen()), expected(history_));
}

TEST_P(ClickHouseSinkTest, AnAnswerThatIsLostAfterTheInsertDoublesNothing) {
    // Requirement: DD-09, MT-05
    auto proxy = testing::FaultProxy::start(port());
    ASSERT_TRUE(proxy);
    ClickHouseSink sink = this->sink(fmt::format("http://127.0.0.1:{}", (*proxy)->port()));
    ASSERT_TRUE(sink.apply(0, history_.part(0, 50)));
    Sequence at = 50;
    // Each connection dies after so many bytes of answers, further on each time: within every answer of a batch once.
    unsigned failures = 0;
    std::uint64_t limit = 0;
    (*proxy)->cut_now();
    while (at < history_.last()) {
        ASSERT_LT(failures, 400u);
        limit += 97;
        (*proxy)->plan([limit](unsigned) { return testing::LineFaults{{}, limit, false}; });
        const Sequence end = std::min<Sequence>(history_.last(), at + 60);
        const Status applied = sink.apply(at, history_.part(at, end));
        if (applied) {
            at = end;
            limit = 0;
            (*proxy)->cut_now();
            continue;
        }
        EXPECT_TRUE(applied.error().retryable()) << applied.error().message;
        ++failures;
    }
    EXPECT_GT(failures, 10u);
    EXPECT_EQ(plain(seen()), expected(history_));
    // Not even before a reader asks for FINAL.
    EXPECT_EQ(one("SELECT toString(count() = uniqExact(execution_id)) FROM holdfast.executions"), "1");
}

TEST_P(ClickHouseSinkTest, RowsThatTheServerOnlyBelievesToHaveAreNotConfirmed) {
    // Requirement: DD-09
    ClickHouseSink sink = this->sink();
    ASSERT_TRUE(sink.apply(0, history_.part(0, 100)));
    // The rows and the mark go, and a modern server still remembers the token of the batch: it drops it without a word.
    const std::string partition = one("SELECT partition FROM system.parts WHERE active AND table = 'executions'");
    ASSERT_EQ(one("ALTER TABLE holdfast.executions DROP PARTITION " + partition), "");
    lose_marks();
    Status again = sink.apply(0, history_.part(0, 100));
    for (int attempt = 0; attempt < 3 && !again; ++attempt) {
        EXPECT_TRUE(again.error().retryable()) << again.error().message;
        EXPECT_EQ(sink.watermark().value_or(9), 0u);
        again = sink.apply(0, history_.part(0, 100));
    }
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_TRUE(apply_all(sink, history_, 100, 100));
    EXPECT_EQ(plain(seen()), expected(history_));
}

TEST_P(ClickHouseSinkTest, AnInsertThatIsCutInTheMiddleIsSentAgain) {
    // Requirement: DD-09
    History history;
    history.orders(1, 4000);
    auto proxy = testing::FaultProxy::start(port());
    ASSERT_TRUE(proxy);
    ClickHouseSink sink = this->sink(fmt::format("http://127.0.0.1:{}", (*proxy)->port()));
    Status applied;
    std::uint64_t limit = 2'000;
    for (int attempt = 0; attempt < 100; ++attempt, limit = limit * 3 / 2) {
        (*proxy)->plan([limit](unsigned) { return testing::LineFaults{limit, {}, false}; });
        (*proxy)->cut_now();
        applied = sink.apply(0, history.part(0, history.last()));
        if (applied) break;
        EXPECT_TRUE(applied.error().retryable()) << applied.error().message;
    }
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_GT((*proxy)->cuts(), 5u);
    EXPECT_EQ(plain(seen()), expected(history));
}

TEST_P(ClickHouseSinkTest, AnOlderStateOfAnOrderDoesNotStandForItsNewerOne) {
    // Requirement: DD-09
    constexpr std::uint64_t k_orders = 4000;
    History history;
    history.order(6);
    for (std::uint64_t n = 7; n < k_orders; ++n) history.accept(n);
    const Sequence accepted = history.last();
    for (std::uint64_t n = 7; n < k_orders; ++n) history.fill(n, 10);
    auto proxy = testing::FaultProxy::start(port());
    ASSERT_TRUE(proxy);
    ClickHouseSink sink = this->sink(fmt::format("http://127.0.0.1:{}", (*proxy)->port()));
    ASSERT_TRUE(sink.apply(0, history.part(0, accepted)));
    // The mark goes and all orders stay, as accepted; now they come again as filled, and each body is cut further on.
    lose_marks();
    Status applied;
    std::uint64_t limit = 100'000;
    for (int attempt = 0; attempt < 100; ++attempt, limit = limit * 5 / 4) {
        (*proxy)->plan([limit](unsigned) { return testing::LineFaults{limit, {}, false}; });
        (*proxy)->cut_now();
        applied = sink.apply(0, history.part(0, history.last()));
        if (applied) break;
        EXPECT_TRUE(applied.error().retryable()) << applied.error().message;
    }
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_GT((*proxy)->cuts(), 5u);
    EXPECT_EQ(plain(seen()), expected(history));
}

TEST_P(ClickHouseSinkTest, GoesOnAfterKillsInMidBatch) {
    // Requirement: DD-09, HA-09
    History history;
    history.orders(1, 6000);
    ClickHouseSink sink = this->sink();
    Sequence at = 0;
    for (int kill = 0; kill < 3; ++kill) {
        std::thread killer([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20 + 30 * kill));
            engine_->kill();
        });
        while (at < history.last()) {
            const Sequence end = std::min<Sequence>(history.last(), at + 500);
            const Status applied = sink.apply(at, history.part(at, end));
            if (!applied) {
                EXPECT_TRUE(worth_retrying(applied.error())) << applied.error().message;
                break;
            }
            at = end;
        }
        killer.join();
        ASSERT_TRUE(engine_->restart());
        const auto mark = sink.watermark();
        ASSERT_TRUE(mark) << mark.error().message;
        EXPECT_GE(*mark, at) << "a confirmed batch is gone";
        at = *mark;
    }
    const Status rest = apply_all(sink, history, at, 5000);
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_EQ(plain(seen()), expected(history));
}

TEST_P(ClickHouseSinkTest, OrdersGoAfterThirtyDaysAndExecutionsStay) {
    // Requirement: EA-01, EA-06
    ClickHouseSink sink = this->sink();
    ASSERT_TRUE(sink.apply(0, history_.part(0, 100)));
    EXPECT_NE(one("SELECT toString(count()) FROM holdfast.orders"), "0");
    const std::string executions = one("SELECT toString(count()) FROM holdfast.executions");
    if (GetParam() == ClickHouseGeneration::v26) {
        const std::string ddl = one("SHOW CREATE TABLE holdfast.orders");
        EXPECT_NE(ddl.find("toIntervalDay(30)"), std::string::npos) << ddl;
        EXPECT_NE(ddl.find("ZSTD(3)"), std::string::npos);
        EXPECT_EQ(one("SHOW CREATE TABLE holdfast.executions").find("TTL"), std::string::npos);
        return;
    }
    clock_.shift = 24h * 45;
    ASSERT_TRUE(sink.apply(100, history_.part(100, 101)));
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.orders"), "0");
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.executions"), executions);
}

TEST_P(ClickHouseSinkTest, NoValueStopsIt) {
    History history;
    history.extremes();
    ClickHouseSink sink = this->sink();
    const Status applied = apply_all(sink, history, 0, 100);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.executions FINAL"), "3");
    EXPECT_EQ(one("SELECT toString(deadline) FROM holdfast.orders FINAL"), "9223372036854775807");
}

TEST_P(ClickHouseSinkTest, EachJournalHasItsWatermarkAndTheLaterSessionsStateStays) {
    // Requirement: HA-05, DD-09
    History earlier;
    earlier.note(ledger::SessionStarted{"a", 1, true});
    earlier.orders(1, 30);
    const Sequence taken_over = earlier.last();
    // Its last sessions end after the other one's began: versions of the other lie between those of one batch.
    earlier.note(ledger::SessionStarted{"a", 3, true});
    earlier.orders(100, 12);
    History later;
    later.note(ledger::SessionStarted{"b", 2, true});
    for (std::uint64_t n = 5; n <= 29; n += 6) {    // partially filled
        ledger::Order order = *earlier.book().find(test_id(n));
        later.note(ledger::OrderFound{order, {fmt::format("E{}-0", n)}, "clickhouse"});
        later.fill(n, 7, 1);
    }
    later.orders(200, 12);
    {
        ClickHouseSink sink = this->sink({}, "journal-2");
        const Status applied = apply_all(sink, later, 0, 1000);
        ASSERT_TRUE(applied) << applied.error().message;
    }
    ClickHouseSink sink = this->sink();
    ASSERT_EQ(sink.watermark().value_or(9), 0u);
    ASSERT_TRUE(sink.apply(0, earlier.part(0, taken_over - 10)));
    const Status applied = apply_all(sink, earlier, taken_over - 10, 1000);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(sink.watermark().value_or(0), earlier.last());
    EXPECT_EQ(this->sink({}, "journal-2").watermark().value_or(0), later.last());
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.orders FINAL WHERE state = 'filled' AND order_id IN (" +
                  fmt::format("'{}', '{}')", test_id(5).text(), test_id(29).text())),
              "2");
    std::set<std::string> executions;
    for (const History* history : {&earlier, &later})
        for (const auto& change : history->changes())
            if (const auto* fact = std::get_if<ledger::OrderExecuted>(&change.fact.data))
                executions.insert(fact->execution.id);
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.executions FINAL"), std::to_string(executions.size()));
}

TEST_P(ClickHouseSinkTest, ASessionBetweenThoseOfABatchIsNotTakenForTheBatch) {
    // Requirement: HA-05, DD-09
    History own, other;
    own.note(ledger::SessionStarted{"a", 1, true});
    own.order(1);
    for (std::uint64_t n = 3; n < 60; n += 6) own.order(n);    // without executions
    own.note(ledger::SessionStarted{"a", 3, true});
    own.order(7);
    other.note(ledger::SessionStarted{"b", 2, true});
    other.order(9);
    other.order(13);
    other.order(19);    // as many executions as the own ones, in their time and with versions between theirs
    {
        ClickHouseSink sink = this->sink({}, "journal-2");
        ASSERT_TRUE(apply_all(sink, other, 0, 1000));
    }
    ASSERT_EQ(one("SELECT toString(count()) FROM holdfast.executions"), "2");
    auto proxy = testing::FaultProxy::start(port());
    ASSERT_TRUE(proxy);
    ClickHouseSink sink = this->sink(fmt::format("http://127.0.0.1:{}", (*proxy)->port()));
    ASSERT_EQ(sink.watermark().value_or(9), 0u);
    // After a failure at any byte the rows are looked for before they are sent again.
    Status applied;
    std::uint64_t limit = 200;
    for (int attempt = 0; attempt < 100; ++attempt, limit += 150) {
        (*proxy)->plan([limit](unsigned) { return testing::LineFaults{limit, {}, false}; });
        (*proxy)->cut_now();
        applied = sink.apply(0, own.part(0, own.last()));
        if (applied) break;
        EXPECT_TRUE(applied.error().retryable()) << applied.error().message;
    }
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_GT((*proxy)->cuts(), 5u);
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.executions FINAL"), "4");
}

TEST_P(ClickHouseSinkTest, TablesOfAnEarlierShapeAreRefused) {
    ASSERT_EQ(one("CREATE DATABASE holdfast"), "");
    ASSERT_EQ(one("CREATE TABLE holdfast.watermarks (account String, sequence UInt64) ENGINE = "
                  "ReplacingMergeTree(sequence) ORDER BY account"),
              "");
    const auto refused = sink().watermark();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported) << refused.error().message;
    EXPECT_FALSE(worth_retrying(refused.error()));
}

TEST_P(ClickHouseSinkTest, AccountsShareTablesAndNothingElse) {
    // Requirement: HA-05
    ClickHouseSink one_sink = sink();
    ASSERT_TRUE(apply_all(one_sink, history_, 0, 100));
    ClickHouseSinkOptions options;
    options.server.url = engine_->url();
    options.account = "o'ther\\";
    options.journal = "journal-1";
    ClickHouseSink other(std::move(options), clock_);
    EXPECT_EQ(other.watermark().value_or(9), 0u);
    const Status applied = apply_all(other, history_, 0, 100);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(one("SELECT toString(uniqExact(account)) FROM holdfast.executions FINAL"), "2");
    EXPECT_EQ(one("SELECT toString(count()) FROM holdfast.executions FINAL"), "100");
}

}    // namespace
}    // namespace holdfast::trade
