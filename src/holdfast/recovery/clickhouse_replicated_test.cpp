// Replicated tables on two real servers and a real ZooKeeper: restored once, on one replica; the other gets the rows by the log.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/zookeeper_server.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;

class ClickHouseReplicated : public ::testing::Test {
protected:
    void SetUp() override {
        auto keeper = testing::ZooKeeperServer::start();
        ASSERT_TRUE(keeper) << keeper.error().message;
        keeper_.emplace(*std::move(keeper));
        for (const char* name : {"a", "b"}) {
            auto server = testing::ClickHouseServer::start({}, {keeper_->port(), name});
            ASSERT_TRUE(server) << server.error().message;
            servers_.push_back(*std::move(server));
            clients_.emplace_back();
            connect(servers_.size() - 1);
            run(servers_.size() - 1, "CREATE DATABASE d");
        }
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        config_.url = servers_[0].url();
    }
    void connect(std::size_t which) {
        db::clickhouse::Server server;
        server.url = servers_[which].url();
        auto client = db::clickhouse::Client::connect(std::move(server));
        ASSERT_TRUE(client) << client.error().message;
        clients_[which].emplace(*std::move(client));
    }
    void run(std::size_t which, const std::string& statement) {
        const auto done = clients_[which]->execute(statement);
        ASSERT_TRUE(done) << statement << ": " << done.error().message;
    }
    std::string value(std::size_t which, const std::string& query) {
        const auto rows = clients_[which]->rows(query);
        if (!rows) return rows.error().message;
        return rows->empty() ? "" : (*rows)[0][0];
    }
    std::string content(std::size_t which, const std::string& table = "d.t") {
        return value(
            which,
            fmt::format("SELECT concat(toString(count()), ' ', toString(sum(sipHash64(toString(tuple(*)))))) FROM {}",
                        table));
    }
    void create(std::size_t which) {
        run(which,
            "CREATE TABLE d.t (day Date, n UInt64) ENGINE = ReplicatedMergeTree('/tables/t', '{replica}') PARTITION BY "
            "toYYYYMM(day) ORDER BY n");
    }
    void insert(std::size_t which, int month, int count) {
        run(which, fmt::format("INSERT INTO d.t SELECT toDate('2026-{:02}-01') + number % 28, number * {} FROM "
                               "system.numbers LIMIT {}",
                               month, month, count));
    }
    void sync(std::size_t which) { run(which, "SYSTEM SYNC REPLICA d.t"); }
    void back_up() {
        const auto captured = source::capture_alone(
            *repository_, clock_, "clickhouse", folder_.path(),
            [&](source::CaptureContext& context) { return source::capture_clickhouse(config_, context); });
        ASSERT_TRUE(captured) << captured.error().message;
        facts_ = captured->facts;
        snapshot_ = captured->snapshot;
    }
    Result<json::Value> restore(WhenExisting existing = WhenExisting::refuse, const TableChoice* tables = nullptr) {
        return restore_clickhouse(
            config_, {*repository_, snapshot_, facts_, clock_, "clickhouse", folder_.path(), existing,
                      [this](std::string_view sentence) { said_ += std::string(sentence) + "\n"; }, tables});
    }
    void expect_no_leftovers() {
        for (const std::size_t which : {0u, 1u})
            EXPECT_EQ(value(which, "SELECT count() FROM system.tables WHERE name LIKE '%holdfast_re%'"), "0") << which;
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = os::TempFolder::create("hf-clickhouse-test-").value();
    std::optional<testing::ZooKeeperServer> keeper_;
    std::vector<testing::ClickHouseServer> servers_;
    std::vector<std::optional<db::clickhouse::Client>> clients_;
    std::unique_ptr<vault::Repository> repository_;
    vault::SnapshotEntry snapshot_;
    json::Value facts_;
    policy::ClickHouseConfig config_;
    std::string said_;
};

// EA-06, EA-11: dropped on every replica by mistake. Restored on one; the other joins and has the rows, once.
TEST_F(ClickHouseReplicated, IsRestoredOnceAndReachesEachReplica) {
    create(0);
    create(1);
    insert(0, 1, 1000);
    insert(1, 2, 500);
    sync(0);
    sync(1);
    const std::string before = content(0);
    ASSERT_THAT(before, HasSubstr("1500 "));
    ASSERT_EQ(content(1), before);
    back_up();
    for (const std::size_t which : {0u, 1u}) run(which, "DROP TABLE d.t");
    const auto result = restore();
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ((*result)["tables"].items()[0]["proof"].text(), "digest");
    EXPECT_EQ(content(0), before);
    create(1);
    sync(1);
    EXPECT_EQ(content(1), before);
    // It lives on: what comes in at one side reaches the other, also after a restart.
    insert(1, 3, 10);
    sync(0);
    EXPECT_EQ(value(0, "SELECT count() FROM d.t"), "1510");
    servers_[0].kill();
    ASSERT_TRUE(servers_[0].restart());
    connect(0);
    EXPECT_EQ(value(0, "SELECT count() FROM d.t"), "1510");
    expect_no_leftovers();
}

// The second replica is made first, empty, as a runbook may do: it gets the rows through the log.
TEST_F(ClickHouseReplicated, FillsATableThatIsThereAndEmpty) {
    create(0);
    insert(0, 1, 1000);
    const std::string before = content(0);
    back_up();
    run(0, "DROP TABLE d.t");
    create(1);
    create(0);
    const auto result = restore();
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    sync(1);
    EXPECT_EQ(content(0), before);
    EXPECT_EQ(content(1), before);
    expect_no_leftovers();
}

// One replica lost its table only: the others have the rows, newer ones, too. Adding the backup to them would double rows.
TEST_F(ClickHouseReplicated, AddsNothingToWhatOtherReplicasHold) {
    create(0);
    create(1);
    insert(0, 1, 1000);
    sync(1);
    back_up();
    run(0, "DROP TABLE d.t");
    const auto joined = restore();
    ASSERT_TRUE(joined) << joined.error().message << " | " << joined.error().hint;
    EXPECT_THAT(said_, HasSubstr("other replicas hold its rows"));
    EXPECT_EQ(value(0, "SELECT count() FROM d.t"), "1000");
    EXPECT_EQ(value(1, "SELECT count() FROM d.t"), "1000");

    insert(1, 2, 7);
    run(0, "DROP TABLE d.t");
    const auto other = restore();
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::mismatch);
    EXPECT_THAT(other.error().hint, HasSubstr("--rename"));
    EXPECT_EQ(value(1, "SELECT count() FROM d.t"), "1007");
    expect_no_leftovers();
}

TEST_F(ClickHouseReplicated, TakesNoPlaceBesideOtherReplicasButAPartitionGoesToAll) {
    create(0);
    create(1);
    insert(0, 1, 1000);
    insert(0, 2, 500);
    back_up();
    sync(1);
    const std::string before = content(0);
    run(0, "ALTER TABLE d.t DROP PARTITION 202602");
    insert(1, 2, 3);
    sync(0);
    const auto refused = restore(WhenExisting::switch_over);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_THAT(refused.error().hint, HasSubstr("--partition"));

    const TableChoice one{{"d.t"}, "202602", {}};
    const auto result = restore(WhenExisting::switch_over, &one);
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    sync(1);
    EXPECT_EQ(content(0), before);
    EXPECT_EQ(content(1), before);
    EXPECT_EQ(value(0, "SELECT count() FROM " + (*result)["tables"].items()[0]["kept_as"].text()), "3");
    expect_no_leftovers();
}

// Beside the live one, to look at: a plain table, as the path belongs to the live one.
TEST_F(ClickHouseReplicated, UnderAnotherNameItIsAPlainTable) {
    create(0);
    insert(0, 1, 1000);
    const std::string before = content(0);
    back_up();
    insert(0, 2, 5);
    const TableChoice back{{"d.t"}, "", {{"d.t", "d.t_back"}}};
    const auto result = restore(WhenExisting::refuse, &back);
    ASSERT_TRUE(result) << result.error().message << " | " << result.error().hint;
    EXPECT_EQ(content(0, "d.t_back"), before);
    EXPECT_EQ(value(0, "SELECT engine FROM system.tables WHERE database = 'd' AND name = 't_back'"), "MergeTree");
    EXPECT_EQ(value(0, "SELECT count() FROM d.t"), "1005");
    expect_no_leftovers();
}

// The server's disk is lost, ZooKeeper still knows its replica: that is said, with the cure.
TEST_F(ClickHouseReplicated, SaysThatZooKeeperStillKnowsTheReplica) {
    create(0);
    insert(0, 1, 100);
    back_up();
    ASSERT_TRUE(servers_[0].wipe());
    ASSERT_TRUE(servers_[0].restart());
    connect(0);
    const auto result = restore();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::exists) << result.error().message;
    EXPECT_THAT(result.error().hint, HasSubstr("SYSTEM DROP REPLICA"));
    expect_no_leftovers();
}

}    // namespace
}    // namespace holdfast::recovery
