#include "holdfast/trade/duckdb_sink.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/history_test.hpp"
#include "holdfast/trade/rows.hpp"

namespace holdfast::trade {
namespace {

using ledger::Sequence;

class DuckDbSinkTest : public ::testing::Test {
protected:
    DuckDbSinkTest() : folder_(*os::TempFolder::create("hf-duckdb-sink")) { history_.orders(1, 60); }
    std::string path() const { return folder_.path() + "/trades.duckdb"; }
    DuckDbSink sink() const { return DuckDbSink({path(), "demo-1", "journal-1"}, clock_); }

    static Status apply_all(Sink& sink, const History& history, Sequence after, std::size_t batch) {
        while (after < history.last()) {
            const Sequence end = std::min<Sequence>(history.last(), after + batch);
            HF_DO(sink.apply(after, history.part(after, end)));
            after = end;
        }
        return {};
    }
    // All tables, as one text.
    static std::string content(DuckDbSink& sink) {
        std::string all;
        for (const char* table : {"orders", "executions", "failed_syncs", "trades", "watermark"}) {
            const auto rows = sink.query(fmt::format("SELECT CAST(t AS VARCHAR) FROM {} t ORDER BY 1", table));
            all += fmt::format("{}:\n", table);
            if (!rows) return rows.error().message;
            for (const auto& row : rows->rows) all += row[0].value_or("NULL") + "\n";
        }
        return all;
    }
    static std::string one(DuckDbSink& sink, const std::string& sql) {
        const auto rows = sink.query(sql);
        return !rows ? rows.error().message : rows->rows.empty() ? "" : rows->rows[0][0].value_or("NULL");
    }

    os::TempFolder folder_;
    os::SystemClock clock_;
    History history_;
};

TEST_F(DuckDbSinkTest, SaysWhatToDoAboutAFolderThatIsNotThere) {
    DuckDbSink sink({folder_.path() + "/nowhere/trades.duckdb", "demo-1", "journal-1"}, clock_);
    const auto told = sink.watermark();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, ErrorCode::not_found);
    EXPECT_NE(told.error().hint.find("mkdir -p " + folder_.path() + "/nowhere"), std::string::npos)
        << told.error().hint;
    EXPECT_FALSE(os::exists(folder_.path() + "/nowhere"));
}

TEST_F(DuckDbSinkTest, KeepsOrdersExecutionsAndWhatFailed) {
    // Requirement: MT-04, EA-04
    DuckDbSink sink = this->sink();
    ASSERT_EQ(sink.watermark().value_or(9), 0u);
    const Status applied = apply_all(sink, history_, 0, 50);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(*sink.watermark(), history_.last());
    EXPECT_EQ(one(sink, "SELECT count(*) FROM orders"), "60");
    EXPECT_EQ(one(sink, "SELECT count(*) FROM executions"), "50") << "10 of each kind, 20 of those in two parts";
    EXPECT_EQ(one(sink, "SELECT count(*) FROM trades"), "40");
    EXPECT_EQ(one(sink, "SELECT reason FROM failed_syncs WHERE key = '" + test_id(4).text() + "'"),
              "the broker is away");
    EXPECT_EQ(one(sink, "SELECT count(*) FROM failed_syncs"), "5") << "parked and not closed";
    EXPECT_EQ(one(sink, "SELECT average_price FROM trades WHERE order_id = '" + test_id(2).text() + "'"), "1.23456789");

    // What is read back is what was written, to the last place.
    const auto rows = sink.query(duckdb_select_orders(""));
    ASSERT_TRUE(rows) << rows.error().message;
    std::size_t equal = 0;
    for (const auto& row : rows->rows) {
        const auto order = read_row<ledger::Order>(
            [&](std::string_view name) -> std::optional<std::string_view> {
                for (std::size_t c = 0; c < rows->columns.size(); ++c)
                    if (rows->columns[c] == name && row[c]) return *row[c];
                return std::nullopt;
            },
            "an order");
        ASSERT_TRUE(order) << order.error().message;
        for (auto change = history_.changes().rbegin(); change != history_.changes().rend(); ++change) {
            if (!change->order || change->order->id != order->id) continue;
            EXPECT_EQ(order->state, change->order->state);
            EXPECT_EQ(order->filled_value, change->order->filled_value);
            EXPECT_EQ(order->changed_at, change->order->changed_at);
            EXPECT_EQ(order->deadline, change->order->deadline);
            EXPECT_EQ(order->strategy, change->order->strategy);
            EXPECT_EQ(order->parked, change->order->parked);
            ++equal;
            break;
        }
    }
    EXPECT_EQ(equal, 60u);
}

TEST_F(DuckDbSinkTest, TakesRepeatedAndOverlappingRangesOnce) {
    DuckDbSink sink = this->sink();
    ASSERT_TRUE(sink.apply(0, history_.part(0, 50)));
    ASSERT_TRUE(sink.apply(20, history_.part(20, 90)));
    ASSERT_TRUE(sink.apply(10, history_.part(10, 40)));
    const Status rest = apply_all(sink, history_, 90, 31);
    ASSERT_TRUE(rest) << rest.error().message;
    const std::string once = content(sink);
    ASSERT_TRUE(apply_all(sink, history_, 0, 17));
    EXPECT_EQ(content(sink), once);
    const auto hole = sink.apply(history_.last() + 5, history_.part(0, 1));
    ASSERT_FALSE(hole);
    EXPECT_EQ(hole.error().code, ErrorCode::changed);

    DuckDbSink other({folder_.path() + "/other.duckdb", "demo-1", "journal-1"}, clock_);
    ASSERT_TRUE(apply_all(other, history_, 0, 10'000));
    EXPECT_EQ(content(other), once);
}

TEST_F(DuckDbSinkTest, AParkedOrderLeavesFailedSyncsWhenItGoesOn) {
    // Requirement: EA-04
    History history;
    history.order(4);
    DuckDbSink sink = this->sink();
    ASSERT_TRUE(apply_all(sink, history, 0, 1));
    EXPECT_EQ(one(sink, "SELECT key FROM failed_syncs WHERE kind = 'order'"), test_id(4).text());
    const Sequence before = history.last();
    history.send(4);
    ASSERT_TRUE(sink.apply(before, history.part(before, history.last())));
    EXPECT_EQ(one(sink, "SELECT count(*) FROM failed_syncs"), "0");
}

TEST_F(DuckDbSinkTest, EachJournalHasItsWatermarkAndTheLaterSessionsStateStays) {
    // Requirement: HA-05
    const auto orders = [](DuckDbSink& sink) {
        return one(sink,
                   "SELECT string_agg(CAST(o AS VARCHAR), ' ' ORDER BY version) FROM orders o WHERE order_id IN ('" +
                       test_id(3).text() + "', '" + test_id(4).text() + "')");
    };
    const auto failed = [](DuckDbSink& sink) {
        return one(sink, "SELECT string_agg(CAST(f AS VARCHAR), ' ') FROM failed_syncs f");
    };
    History later;
    later.note(ledger::SessionStarted{"b", 2, true});
    later.order(4);    // parked
    later.order(3);    // rejected
    std::string orders_then, failed_then;
    {
        DuckDbSink sink({path(), "demo-1", "journal-2"}, clock_);
        ASSERT_TRUE(apply_all(sink, later, 0, 50));
        orders_then = orders(sink);
        failed_then = failed(sink);
        ASSERT_NE(failed_then.find("the broker is away"), std::string::npos) << failed_then;
    }
    // An earlier session's facts about the same orders, and about one that only it knows.
    History earlier;
    earlier.note(ledger::SessionStarted{"a", 1, true});
    earlier.accept(4);
    earlier.send(4);
    earlier.accept(3);
    earlier.note(ledger::OrderParked{test_id(3), "no line"});
    earlier.order(1);
    DuckDbSink sink = this->sink();
    ASSERT_EQ(sink.watermark().value_or(9), 0u);
    const Status applied = apply_all(sink, earlier, 0, 3);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(sink.watermark().value_or(0), earlier.last());
    EXPECT_EQ(orders(sink), orders_then);
    EXPECT_EQ(failed(sink), failed_then);
    EXPECT_EQ(one(sink, "SELECT count(*) FROM orders"), "3");
    EXPECT_EQ(one(sink, "SELECT string_agg(journal || ' ' || sequence, ', ' ORDER BY journal) FROM watermark"),
              fmt::format("journal-1 {}, journal-2 {}", earlier.last(), later.last()));
}

TEST_F(DuckDbSinkTest, AFileOfAnEarlierShapeIsRefusedAndLeftAlone) {
    {
        DuckDbSink sink = this->sink();
        ASSERT_TRUE(sink.query("ALTER TABLE orders RENAME COLUMN version TO sequence"));
    }
    const auto refused = sink().watermark();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
    EXPECT_NE(refused.error().hint.find("move the file away"), std::string::npos);
    EXPECT_TRUE(os::exists(path()));
}

TEST_F(DuckDbSinkTest, TextThatIsNoUtf8DoesNotStopIt) {
    History history;
    history.accept(1);
    history.note(ledger::OrderClosed{test_id(1), ledger::OrderState::rejected, "ung\xfcltig \xf0\x9f\x92\xb0 \xc3"});
    DuckDbSink sink = this->sink();
    const Status applied = apply_all(sink, history, 0, 10);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(one(sink, "SELECT reason FROM orders"), "ung\xef\xbf\xbdltig \xf0\x9f\x92\xb0 \xef\xbf\xbd");
}

TEST_F(DuckDbSinkTest, NoValueStopsIt) {
    History history;
    history.extremes();
    DuckDbSink sink = this->sink();
    const Status applied = apply_all(sink, history, 0, 100);
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_EQ(one(sink, "SELECT count(*) FROM executions"), "3");
    const auto rows = sink.query(duckdb_select_executions(""));
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->rows[1][7], "-1");
    EXPECT_TRUE(sink.query(duckdb_select_orders("")));
    EXPECT_EQ(one(sink, "SELECT CAST(value AS VARCHAR) FROM trades").substr(0, 2), "30")
        << "3 units at the highest price";
}

TEST_F(DuckDbSinkTest, ADamagedFileIsSetAsideAndWrittenAnew) {
    // Requirement: MT-14
    std::string before;
    {
        DuckDbSink sink = this->sink();
        ASSERT_TRUE(apply_all(sink, history_, 0, 50));
        before = content(sink);
    }
    auto bytes = os::read_file(path());
    ASSERT_TRUE(bytes);
    for (std::size_t i = 4096; i < 12288; ++i) (*bytes)[i] = std::byte{0x5a};
    ASSERT_TRUE(os::write_file(path(), *bytes));
    DuckDbSink sink = this->sink();
    const auto mark = sink.watermark();
    ASSERT_TRUE(mark) << mark.error().message;
    EXPECT_EQ(*mark, 0u);
    EXPECT_TRUE(os::exists(sink.set_aside())) << "the damaged file is kept";
    ASSERT_TRUE(apply_all(sink, history_, 0, 50));
    EXPECT_EQ(content(sink), before);
}

TEST_F(DuckDbSinkTest, AFileThatIsGoneIsMadeAnew) {
    {
        ASSERT_TRUE(sink().apply(0, history_.part(0, 50)));
    }
    ASSERT_TRUE(os::remove_tree(path()));
    DuckDbSink sink = this->sink();
    EXPECT_EQ(sink.watermark().value_or(9), 0u);
    EXPECT_EQ(sink.set_aside(), "");
}

TEST_F(DuckDbSinkTest, AnOtherAccountsFileIsRefused) {
    {
        ASSERT_TRUE(sink().apply(0, history_.part(0, 50)));
    }
    DuckDbSink other({path(), "demo-2", "journal-1"}, clock_);
    const auto refused = other.watermark();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::config);
    EXPECT_TRUE(os::exists(path()));
}

TEST_F(DuckDbSinkTest, ABatchThatFailsHalfWayLeavesNothing) {
    DuckDbSink sink = this->sink();
    ASSERT_TRUE(sink.apply(0, history_.part(0, 50)));
    const std::string before = content(sink);
    ASSERT_TRUE(sink.query("ALTER TABLE executions RENAME TO hidden"));    // written after the orders
    const Status failed = sink.apply(50, history_.part(50, 150));
    ASSERT_FALSE(failed);
    EXPECT_TRUE(worth_retrying(failed.error())) << failed.error().message;
    ASSERT_TRUE(sink.query("ALTER TABLE hidden RENAME TO executions"));
    EXPECT_EQ(content(sink), before);
    ASSERT_TRUE(apply_all(sink, history_, 50, 50));
    EXPECT_EQ(one(sink, "SELECT count(*) FROM executions"), "50");
}

TEST_F(DuckDbSinkTest, AKilledOwnerLosesNoBatchAndNoHalfOne) {
    // Requirement: DD-09
    History history;
    history.orders(1, 1200);
    for (int round = 0; round < 4; ++round) {
        int pipe[2];
        ASSERT_EQ(::pipe(pipe), 0);
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            DuckDbSink sink({path(), "demo-1", "journal-1"}, clock_);
            Sequence at = sink.watermark().value_or(history.last());
            while (at < history.last()) {
                const Sequence end = std::min<Sequence>(history.last(), at + 50);
                if (!sink.apply(at, history.part(at, end))) ::_exit(3);
                at = end;
                if (::write(pipe[1], &at, sizeof at) != sizeof at) ::_exit(4);
            }
            ::_exit(0);
        }
        ::close(pipe[1]);
        Sequence acknowledged = 0, got = 0;
        for (int n = 0; n < 5 * (round + 1) && ::read(pipe[0], &got, sizeof got) == sizeof got; ++n) acknowledged = got;
        ::kill(child, SIGKILL);
        int status = 0;
        ::waitpid(child, &status, 0);
        while (::read(pipe[0], &got, sizeof got) == sizeof got) acknowledged = got;
        ::close(pipe[0]);
        ASSERT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << "exit " << WEXITSTATUS(status);

        // Looked at from a child as well: a library that has run in this process does not survive the next fork.
        const pid_t judge = ::fork();
        if (judge == 0) {
            DuckDbSink sink({path(), "demo-1", "journal-1"}, clock_);
            const auto mark = sink.watermark();
            if (!mark || *mark < acknowledged || !sink.set_aside().empty()) ::_exit(5);
            std::size_t executions = 0;
            for (const auto& change : history.part(0, *mark))
                executions += std::holds_alternative<ledger::OrderExecuted>(change.fact.data);
            ::_exit(one(sink, "SELECT count(*) FROM executions") == std::to_string(executions) ? 0 : 6);
        }
        ::waitpid(judge, &status, 0);
        ASSERT_TRUE(WIFEXITED(status));
        ASSERT_EQ(WEXITSTATUS(status), 0) << "after " << acknowledged;
    }
}

TEST_F(DuckDbSinkTest, FailedBatchesAndSettingsOutliveTheProcess) {
    // Requirement: MT-12
    {
        DuckDbSink sink = this->sink();
        ASSERT_TRUE(sink.put({"clickhouse", 10, 60, 5, "it's away", clock_.now(), clock_.now()}));
        ASSERT_TRUE(sink.put({"clickhouse", 10, 90, 6, "it's away", clock_.now(), clock_.now()}));
        ASSERT_TRUE(sink.configure("profile", "mt5"));
    }
    DuckDbSink sink = this->sink();
    const auto failed = sink.all();
    ASSERT_TRUE(failed) << failed.error().message;
    ASSERT_EQ(failed->size(), 1u);
    EXPECT_EQ((*failed)[0].last, 90u);
    EXPECT_EQ((*failed)[0].attempts, 6u);
    EXPECT_EQ((*failed)[0].reason, "it's away");
    EXPECT_EQ(sink.configuration()->at("profile"), "mt5");
    ASSERT_TRUE(sink.clear("clickhouse"));
    EXPECT_TRUE(sink.all()->empty());
}

}    // namespace
}    // namespace holdfast::trade
