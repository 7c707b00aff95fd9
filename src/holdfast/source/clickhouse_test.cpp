// ClickHouse tables into a real repository, while merges, inserts and drops happen at the worst moments.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/source/clickhouse_table.hpp"
#include "holdfast/testing/clickhouse_engine.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::source {
namespace {

using testing::ClickHouseEngine;
using testing::ClickHouseGeneration;
using ::testing::HasSubstr;

class ClickHouseCapture : public ::testing::TestWithParam<ClickHouseGeneration> {
protected:
    void SetUp() override {
        auto engine = ClickHouseEngine::start(GetParam(), HF_BIN_DIR "/hf-chdb-front");
        ASSERT_TRUE(engine) << engine.error().message;
        engine_.emplace(*std::move(engine));
        repository_ = make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        db::clickhouse::Server server;
        server.url = engine_->url();
        auto client = db::clickhouse::Client::connect(std::move(server));
        ASSERT_TRUE(client) << client.error().message;
        client_.emplace(*std::move(client));
        config_.url = engine_->url();
        run("CREATE DATABASE d");
        auto backup = vault::Backup::start(*repository_, {});
        ASSERT_TRUE(backup) << backup.error().message;
        backup_ = *std::move(backup);
    }
    void run(const std::string& statement) {
        const auto done = client_->execute(statement);
        ASSERT_TRUE(done) << statement << ": " << done.error().message;
    }
    std::string value(const std::string& query) {
        const auto rows = client_->rows(query);
        if (!rows) return rows.error().message;
        return rows->empty() ? "" : (*rows)[0][0];
    }
    void insert(int first, int count) {
        run(fmt::format("INSERT INTO d.t (n, s) SELECT number + {}, toString(number) FROM system.numbers LIMIT {}",
                        first, count));
    }
    void make_table(const std::string& engine = "MergeTree ORDER BY n") {
        run("CREATE TABLE d.t (n UInt64, s String) ENGINE = " + engine);
    }
    Result<clickhouse::TakenRows> take(std::function<void()> after_listing, const std::string& engine = "MergeTree") {
        HF_TRY(const auto columns, clickhouse::list_columns(*client_, "d", "t"));
        return clickhouse::take_rows(*client_, *backup_, {"d", "t", engine, ""}, engine, columns,
                                     {policy::Proof::digest,
                                      "clickhouse",
                                      "d/t",
                                      nullptr,
                                      policy::ClickHouseMethod::http,
                                      {},
                                      std::move(after_listing)});
    }
    Result<json::Value> capture(std::optional<EarlierCopy> earlier = {}) {
        CaptureContext context{*backup_, clock_, "clickhouse", folder_.path()};
        if (earlier) context.earlier = [earlier] { return earlier; };
        return capture_clickhouse(config_, context);
    }
    /// A server that tells no hash tells the time of a part to the second: only what is older than that is known again.
    void wait_until_parts_are_old() {
        for (int i = 0; i < 600; ++i) {
            if (value("SELECT now() > max(modification_time) + 2 FROM system.parts WHERE active AND database = 'd'") ==
                "1")
                return;
            clock_.sleep(std::chrono::milliseconds(50));
        }
        FAIL() << "the server's clock stands still";
    }
    std::vector<std::string> files_in(const std::string& folder) {
        auto outcome = backup_->commit();
        if (!outcome) return {outcome.error().message};
        backup_.reset();
        if (!repository_->load_index(true)) return {"no index"};
        const auto snapshot = repository_->find_snapshot("latest");
        if (!snapshot) return {snapshot.error().message};
        const auto node = repository_->find_node(snapshot->snapshot.tree, folder);
        if (!node) return {node.error().message};
        const auto tree = repository_->read_tree(node->subtree);
        std::vector<std::string> names;
        for (const auto& entry : tree->nodes) names.push_back(entry.name);
        return names;
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = os::TempFolder::create("hf-clickhouse-test-").value();
    std::optional<ClickHouseEngine> engine_;
    std::optional<db::clickhouse::Client> client_;
    std::unique_ptr<vault::Repository> repository_;
    std::unique_ptr<vault::Backup> backup_;
    policy::ClickHouseConfig config_;
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseCapture,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

TEST_P(ClickHouseCapture, TakesTheMergedPartWhenTheListedOnesAreGone) {
    make_table();
    run("SYSTEM STOP MERGES d.t");    // until the listing is out
    for (int i = 0; i < 4; ++i) insert(i * 1000, 1000);
    int listings = 0;
    const auto taken = take([&] {
        if (++listings > 1) return;
        run("SYSTEM START MERGES d.t");
        run("OPTIMIZE TABLE d.t FINAL");
    });
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(listings, 2);
    EXPECT_EQ(taken->rows, 4000u);
    ASSERT_EQ(taken->files.size(), 1u);
    EXPECT_EQ(std::to_string(taken->digest), value("SELECT sum(cityHash64(toString(tuple(n, s)))) FROM d.t"));
    EXPECT_THAT(files_in("clickhouse/d/t"), ::testing::ElementsAre(taken->files[0].name + ".native"));
}

TEST_P(ClickHouseCapture, DropsPartsThatALaterListingNoLongerHas) {
    // Partition 0's part is taken under the first listing; by the third its rows are in a merged part.
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree PARTITION BY n % 2 ORDER BY n");
    run("SYSTEM STOP MERGES d.t");
    insert(0, 1000);
    std::vector<std::string> first;
    int listings = 0;
    const auto taken = take([&] {
        ++listings;
        if (listings == 1) {
            first.push_back(value("SELECT name FROM system.parts WHERE active AND table = 't' AND partition = '0'"));
            run("ALTER TABLE d.t DROP PARTITION 1");
            insert(1000, 1000);
        } else if (listings == 2) {
            run("SYSTEM START MERGES d.t");
            run("OPTIMIZE TABLE d.t PARTITION 0 FINAL");
        }
    });
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(listings, 3);
    EXPECT_EQ(taken->rows, 1500u);
    EXPECT_EQ(std::to_string(taken->digest), value("SELECT sum(cityHash64(toString(tuple(n, s)))) FROM d.t"));
    const auto files = files_in("clickhouse/d/t");
    EXPECT_THAT(files, ::testing::SizeIs(2));
    EXPECT_THAT(files, ::testing::Not(::testing::Contains(first[0] + ".native")));
}

TEST_P(ClickHouseCapture, GivesUpWhenEveryListingIsOutOfDate) {
    make_table();
    int listings = 0;
    const auto taken = take([&] {
        insert(++listings * 10, 10);
        run("OPTIMIZE TABLE d.t FINAL");
        run("TRUNCATE TABLE d.t");
    });
    // A listing without parts is complete, whatever happens after it.
    ASSERT_TRUE(taken) << taken.error().message;
    insert(0, 10);
    listings = 0;
    const auto never = take([&] {
        run("TRUNCATE TABLE d.t");
        insert(++listings * 10, 10);
    });
    ASSERT_FALSE(never);
    EXPECT_EQ(never.error().code, ErrorCode::changed);
    EXPECT_TRUE(never.error().retryable());
}

TEST_P(ClickHouseCapture, ReadsAWholeTableAgainWhenRowsCameIn) {
    make_table("Log");
    insert(0, 100);
    int reads = 0;
    const auto taken = take(
        [&] {
            if (++reads == 1) insert(100, 50);
        },
        "Log");
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(reads, 2);
    EXPECT_EQ(taken->rows, 150u);
    const auto never = take([&] { insert(1000, 10); }, "Log");
    ASSERT_FALSE(never);
    EXPECT_EQ(never.error().code, ErrorCode::changed);
}

TEST_P(ClickHouseCapture, SaysThatTheServerDiedInTheMiddle) {
    make_table();
    insert(0, 100'000);
    const auto taken = take([&] { engine_->kill(); });
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::unreachable) << taken.error().message;
}

TEST_P(ClickHouseCapture, SeesThatTheTableIsGone) {
    make_table();
    insert(0, 100);
    const auto taken = take([&] { run("DROP TABLE d.t"); });
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::not_found) << taken.error().message;
}

TEST_P(ClickHouseCapture, CountsOnlyRowsThatWereNotDeleted) {
    if (GetParam() == ClickHouseGeneration::v18) return;    // lightweight deletes came later
    make_table("MergeTree PARTITION BY n >= 1000 ORDER BY n");
    insert(0, 1000);
    insert(1000, 1000);
    run("DELETE FROM d.t WHERE n < 1100 SETTINGS lightweight_deletes_sync = 2");    // all of one part, some of the other
    const auto taken = take({});
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(taken->rows, 900u);
    EXPECT_EQ(taken->files.size(), 1u);
}

TEST_P(ClickHouseCapture, TellsWhatItTook) {
    // EA-06
    make_table("MergeTree PARTITION BY n % 3 ORDER BY n");
    insert(0, 3000);
    run("CREATE TABLE d.`odd/name.sql` (a UInt8) ENGINE = TinyLog");
    run("CREATE VIEW d.v AS SELECT n FROM d.t");
    const auto facts = capture();
    ASSERT_TRUE(facts) << facts.error().message;
    EXPECT_TRUE((*facts)["version"].text().starts_with(GetParam() == ClickHouseGeneration::v18 ? "18." : "26."));
    ASSERT_EQ((*facts)["databases"].items().size(), 1u);    // neither system nor the empty default
    ASSERT_EQ((*facts)["tables"].items().size(), 3u);
    const auto& odd = (*facts)["tables"].items()[0];
    EXPECT_EQ(odd["name"].text(), "odd/name.sql");
    EXPECT_EQ(odd["definition"].text(), "d/odd%2Fname%2Esql.sql");
    const auto& table = (*facts)["tables"].items()[1];
    EXPECT_EQ(table["rows"].natural(), 3000u);
    EXPECT_EQ(table["parts"].items().size(), 3u);
    EXPECT_EQ(table["digest"].text(), value("SELECT sum(cityHash64(toString(tuple(n, s)))) FROM d.t"));
    EXPECT_FALSE((*facts)["tables"].items()[2]["data"].boolean());
    EXPECT_THAT(files_in("clickhouse/d"), ::testing::ElementsAre("odd%2Fname%2Esql.sql", "t", "t.sql", "v.sql"));
}

TEST_P(ClickHouseCapture, StoresUnchangedPartsOnce) {
    // EA-11: what is incremental is what changed
    make_table();
    run("SYSTEM STOP MERGES d.t");
    for (int i = 0; i < 3; ++i)
        run(fmt::format(
            "INSERT INTO d.t SELECT number + {}, toString(cityHash64(number, {})) FROM system.numbers LIMIT 100000",
            i * 100'000, i));
    ASSERT_TRUE(capture());
    const auto first = backup_->commit();
    ASSERT_TRUE(first) << first.error().message;
    insert(1'000'000, 100);
    backup_.reset();
    ASSERT_TRUE(repository_->load_index(true));
    backup_ = vault::Backup::start(*repository_, {}).value();
    const auto facts = capture();
    ASSERT_TRUE(facts) << facts.error().message;
    const auto second = backup_->commit();
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_GT(first->summary.data_added, 5'000'000u);
    EXPECT_LT(second->summary.data_added, 50'000u);
    EXPECT_EQ((*facts)["tables"].items()[0]["rows"].natural(), 300'100u);
}

// Requirement: EA-11. And it costs what changed: a part that an earlier snapshot has is not read again.
TEST_P(ClickHouseCapture, ReadsOnlyPartsThatNoSnapshotHas) {
    make_table();
    run("SYSTEM STOP MERGES d.t");
    for (int i = 0; i < 3; ++i) insert(i * 1000, 1000);
    wait_until_parts_are_old();
    std::optional<EarlierCopy> earlier;
    const auto next = [&]() -> json::Value {
        if (!backup_) backup_ = vault::Backup::start(*repository_, {}).value();
        const auto facts = capture(earlier);
        EXPECT_TRUE(facts) << facts.error().message;
        const auto committed = backup_->commit();
        EXPECT_TRUE(committed) << committed.error().message;
        backup_.reset();
        EXPECT_TRUE(repository_->load_index(true));
        earlier = EarlierCopy{repository_->find_snapshot("latest")->snapshot.tree, *facts};
        EXPECT_EQ((*facts)["tables"].items()[0]["digest"].text(),
                  value("SELECT sum(cityHash64(toString(tuple(n, s)))) FROM d.t"));
        return *facts;
    };
    EXPECT_EQ(next()["parts_reused"].natural(), 0u);
    insert(1'000'000, 100);
    const json::Value second = next();
    EXPECT_EQ(second["parts_reused"].natural(), 3u);
    EXPECT_EQ(second["how"].text(), "3 of 4 parts were there already");
    EXPECT_EQ(second["tables"].items()[0]["rows"].natural(), 3100u);
    // The files are there, whole.
    const auto& parts = second["tables"].items()[0]["parts"].items();
    ASSERT_EQ(parts.size(), 4u);
    for (const json::Value& part : parts) {
        const auto node = repository_->find_node(earlier->tree, "clickhouse/" + part["file"].text());
        ASSERT_TRUE(node) << node.error().message;
        EXPECT_EQ(node->size, part["bytes"].natural());
    }

    // A merge makes a new part of all.
    run("SYSTEM START MERGES d.t");
    run("OPTIMIZE TABLE d.t FINAL");
    EXPECT_EQ(next()["parts_reused"].natural(), 0u);
    wait_until_parts_are_old();
    EXPECT_EQ(next()["parts_reused"].natural(), GetParam() == ClickHouseGeneration::v18 ? 0u : 1u);
    EXPECT_EQ(next()["parts_reused"].natural(), 1u);

    // The same part reads otherwise once the table has another column.
    run("ALTER TABLE d.t ADD COLUMN more UInt8 DEFAULT 7");
    if (!backup_) backup_ = vault::Backup::start(*repository_, {}).value();
    const auto altered = capture(earlier);
    ASSERT_TRUE(altered) << altered.error().message;
    EXPECT_EQ((*altered)["parts_reused"].natural(), 0u);
}

// Its first parts are named as those of the table before it, with as many rows.
TEST_P(ClickHouseCapture, ATableThatWasMadeAnewIsReadAnew) {
    make_table();
    insert(1'000'000, 1000);
    const auto first = capture();
    ASSERT_TRUE(first) << first.error().message;
    ASSERT_TRUE(backup_->commit());
    ASSERT_TRUE(repository_->load_index(true));
    const EarlierCopy earlier{repository_->find_snapshot("latest")->snapshot.tree, *first};
    run("DROP TABLE d.t");
    make_table();
    insert(2'000'000, 1000);
    backup_ = vault::Backup::start(*repository_, {}).value();
    const auto second = capture(earlier);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ((*second)["parts_reused"].natural(), 0u);
    EXPECT_EQ((*second)["tables"].items()[0]["digest"].text(),
              value("SELECT sum(cityHash64(toString(tuple(n, s)))) FROM d.t"));
}

TEST_P(ClickHouseCapture, TakesOnlyTheChosenDatabases) {
    run("CREATE DATABASE e");
    run("CREATE TABLE default.x (a UInt8) ENGINE = TinyLog");
    config_.exclude_databases = {"d"};
    auto facts = capture();
    ASSERT_TRUE(facts) << facts.error().message;
    ASSERT_EQ((*facts)["databases"].items().size(), 2u);
    EXPECT_EQ((*facts)["databases"].items()[0].text(), "default");
    EXPECT_EQ((*facts)["databases"].items()[1].text(), "e");
    config_.databases = {"e", "no_such_database"};
    facts = capture();
    ASSERT_FALSE(facts);
    EXPECT_EQ(facts.error().code, ErrorCode::not_found);
    EXPECT_THAT(facts.error().message, HasSubstr("no_such_database"));
}

TEST_P(ClickHouseCapture, FailsWithTheWrongPassword) {
    const std::string file = folder_.path() + "/password";
    ASSERT_TRUE(os::write_file(file, as_bytes("wrong\n")));
    config_.user = "guarded";
    config_.password.file = file;
    const auto wrong = capture();
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, ErrorCode::denied);
    ASSERT_TRUE(os::write_file(file, as_bytes("guarded-key\n")));
    EXPECT_TRUE(capture());
}

TEST_P(ClickHouseCapture, WorksForAUserWhoMayOnlyRead) {
    make_table();
    insert(0, 10);
    config_.user = "reader";
    const auto facts = capture();
    ASSERT_TRUE(facts) << facts.error().message;
}

}    // namespace
}    // namespace holdfast::source
