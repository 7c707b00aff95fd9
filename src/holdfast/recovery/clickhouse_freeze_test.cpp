// Parts as the server's own files: frozen, read, and attached again; what is known is known by content.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "holdfast/recovery/clickhouse_fixture_test.hpp"
#include "holdfast/source/clickhouse_freeze.hpp"

namespace holdfast::recovery {
namespace {

using ::testing::HasSubstr;

class ClickHouseFreeze : public ClickHouseRestore {
protected:
    ClickHouseFreeze() {
        config_.databases = {"d"};
        config_.method = policy::ClickHouseMethod::freeze;
    }
    std::string root() {
        std::string path = value("SELECT path FROM system.parts WHERE active LIMIT 1");
        for (int i = 0; i < 5; ++i) path.resize(path.rfind('/'));
        return path;
    }
    void expect_nothing_frozen() {
        const auto names = os::list_folder(root() + "/shadow");
        if (!names) return;
        for (const std::string& name : *names) EXPECT_FALSE(name.starts_with("holdfast_")) << name;
    }
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseFreeze,
                         ::testing::Values(ClickHouseGeneration::v18, ClickHouseGeneration::v26),
                         [](const auto& p) { return p.param == ClickHouseGeneration::v18 ? "v18" : "v26"; });

// EA-06, EA-11
TEST_P(ClickHouseFreeze, FilesComeBackAsPartsAfterALostDisk) {
    run("CREATE TABLE d.t (day Date, n UInt64, s String, k UInt32 MATERIALIZED n % 10, w DateTime MATERIALIZED now()) "
        "ENGINE = "
        "MergeTree PARTITION BY toYYYYMM(day) ORDER BY n");
    run("CREATE MATERIALIZED VIEW d.mv ENGINE = SummingMergeTree PARTITION BY tuple() ORDER BY day AS SELECT day, "
        "count() AS c FROM "
        "d.t GROUP BY day");
    run("CREATE TABLE d.log (a UInt8) ENGINE = Log");
    for (int i = 0; i < 3; ++i)
        run(
            fmt::format("INSERT INTO d.t (day, n, s) SELECT toDate('2026-01-01') + number % 90, number + {}, "
                        "toString(cityHash64(number)) "
                        "FROM system.numbers LIMIT 20000",
                        i * 20'000));
    run("INSERT INTO d.log VALUES (1), (2)");
    const std::string before = content("d.t", "day, n, s, k, w");
    back_up_on_top();
    expect_nothing_frozen();
    EXPECT_THAT(facts_["how"].text(), HasSubstr("as files"));
    for (const json::Value& table : facts_["tables"].items()) {
        if (table["name"].text() == "log") continue;
        for (const json::Value& part : table["parts"].items())
            EXPECT_FALSE(part["folder"].is_null()) << table["name"].text();
    }
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(content("d.t", "day, n, s, k, w"), before);
    EXPECT_EQ(value("SELECT sum(c) FROM d.mv"), "60000");
    EXPECT_EQ(value("SELECT sum(a) FROM d.log"), "3");
    for (const json::Value& table : result_["tables"].items())
        EXPECT_EQ(table["proof"].text(), "digest") << table["name"].text();
    expect_no_leftovers();
    run("INSERT INTO d.t (day, n, s) VALUES ('2026-01-01', 777777, 'new')");
    EXPECT_EQ(value("SELECT k FROM d.t WHERE n = 777777"), "7");
    // It outlives a crash of the server: what was attached is the server's own.
    engine_->kill();
    ASSERT_TRUE(engine_->restart());
    connect();
    EXPECT_EQ(value("SELECT count() FROM d.t"), "60001");
}

// By content, never by name or time: at once, on both generations.
TEST_P(ClickHouseFreeze, KnownPartsAreNotReadAgainAndARebuiltTableIs) {
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    run("SYSTEM STOP MERGES d.t");
    for (int i = 0; i < 3; ++i)
        run(fmt::format(
            "INSERT INTO d.t SELECT number + {}, toString(cityHash64(number)) FROM system.numbers LIMIT 5000",
            i * 5000));
    back_up_on_top();
    EXPECT_EQ(facts_["parts_reused"].natural(), 0u);
    run("INSERT INTO d.t VALUES (1000000, 'x')");
    back_up_on_top();
    EXPECT_EQ(facts_["parts_reused"].natural(), 3u);
    EXPECT_EQ(facts_["tables"].items()[0]["rows"].natural(), 15'001u);
    const std::string before = content("d.t");
    run("DROP TABLE d.t");
    expect_restored();
    EXPECT_EQ(content("d.t"), before);
    // Names, rows and sizes are the same, within the same second; the content is not.
    run("DROP TABLE d.t");
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    run("SYSTEM STOP MERGES d.t");
    run("INSERT INTO d.t SELECT number, 'aaaa' FROM system.numbers LIMIT 1000");
    back_up_on_top();
    run("DROP TABLE d.t");
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number, 'bbbb' FROM system.numbers LIMIT 1000");
    back_up_on_top();
    EXPECT_EQ(facts_["parts_reused"].natural(), 0u);
}

// A bit that flips in the vault: neither generation looks at the files that it attaches. Ours are checked before.
TEST_P(ClickHouseFreeze, DamageIsFoundBeforeAnythingIsAttachedOrReplaced) {
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number, toString(cityHash64(number)) FROM system.numbers LIMIT 50000");
    back_up_on_top();
    run("INSERT INTO d.t VALUES (99, 'newer')");
    const std::string live = content("d.t");
    int damaged = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path() + "/vault/data")) {
        if (!entry.is_regular_file() || entry.file_size() < 20'000) continue;
        auto bytes = os::read_file(entry.path().string());
        ASSERT_TRUE(bytes);
        (*bytes)[bytes->size() / 2] ^= std::byte{0x10};
        ASSERT_TRUE(os::write_file(entry.path().string(), *bytes));
        const auto result = restore(WhenExisting::switch_over);
        (*bytes)[bytes->size() / 2] ^= std::byte{0x10};
        ASSERT_TRUE(os::write_file(entry.path().string(), *bytes));
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, ErrorCode::corrupt) << result.error().message;
        EXPECT_EQ(content("d.t"), live);
        expect_no_leftovers();
        ++damaged;
    }
    EXPECT_GE(damaged, 1);
    expect_restored(WhenExisting::switch_over);
    EXPECT_EQ(value("SELECT count() FROM d.t"), "50000");
}

TEST_P(ClickHouseFreeze, OnePartitionOfFilesGoesIntoALiveTable) {
    run("CREATE TABLE d.t (day Date, n UInt64) ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY n");
    run("INSERT INTO d.t SELECT toDate('2026-01-01') + number % 90, number FROM system.numbers LIMIT 9000");
    const std::string before = content("d.t");
    back_up_on_top();
    run("ALTER TABLE d.t DROP PARTITION 202602");
    const TableChoice choice{{"d.t"}, "202602", {}};
    const auto result = restore_clickhouse(config_, context(WhenExisting::refuse, &choice));
    ASSERT_TRUE(result) << result.error().message << result.error().hint;
    EXPECT_EQ(content("d.t"), before);
    expect_no_leftovers();
}

// What a killed backup froze keeps the disk space of dropped parts: the next backup removes it, and only that.
TEST_P(ClickHouseFreeze, RemovesWhatAKilledBackupFroze) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t VALUES (1)");
    const pid_t gone = [] {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(0);
        ::waitpid(child, nullptr, 0);
        return child;
    }();
    run(fmt::format("ALTER TABLE d.t FREEZE WITH NAME '{}{}_1'", source::clickhouse::link_prefix(), gone));
    run(fmt::format("ALTER TABLE d.t FREEZE WITH NAME '{}{}_1'", source::clickhouse::link_prefix(),
                    ::getppid()));    // alive
    run("ALTER TABLE d.t FREEZE WITH NAME 'mine'");
    back_up_on_top();
    const auto names = os::list_folder(root() + "/shadow");
    ASSERT_TRUE(names);
    EXPECT_THAT(*names, ::testing::Contains("mine"));
    EXPECT_THAT(*names, ::testing::Contains(fmt::format("{}{}_1", source::clickhouse::link_prefix(), ::getppid())));
    EXPECT_THAT(*names,
                ::testing::Not(::testing::Contains(fmt::format("{}{}_1", source::clickhouse::link_prefix(), gone))));
}

// A table whose files cannot be reached is read as rows, and that is told.
TEST_P(ClickHouseFreeze, ReadsRowsWhereTheFilesAreOutOfReach) {
    run("CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n");
    run("INSERT INTO d.t SELECT number FROM system.numbers LIMIT 1000");
    // Another machine's server, as far as this one can tell.
    const std::string part = value("SELECT path FROM system.parts WHERE active AND database = 'd'");
    std::filesystem::rename(part + "/count.txt", part + "/count.txt.away");
    back_up_on_top();
    std::filesystem::rename(part + "/count.txt.away", part + "/count.txt");
    EXPECT_THAT(facts_["how"].text(), HasSubstr("is not on this machine"));
    EXPECT_TRUE(facts_["tables"].items()[0]["parts"].items()[0]["folder"].is_null());
    const std::string before = content("d.t");
    run("DROP TABLE d.t");
    expect_restored();
    EXPECT_EQ(content("d.t"), before);
}

// DD-10: as in clickhouse_merging_test.cpp, with files.
TEST_P(ClickHouseFreeze, FiftyBackupsOfATableThatIsWrittenAndMergedAllTheTime) {
    run("CREATE TABLE d.t (n UInt64, s String) ENGINE = MergeTree ORDER BY n");
    std::atomic<bool> stop = false;
    std::atomic<int> begun = 0, acknowledged = 0;
    const auto open = [&] {
        db::clickhouse::Server server;
        server.url = engine_->url();
        return db::clickhouse::Client::connect(std::move(server)).value();
    };
    std::thread writer([&, client = open()]() mutable {
        while (!stop) {
            const int batch = begun++;
            if (!client.execute(fmt::format(
                    "INSERT INTO d.t SELECT number + {}, toString(number) FROM system.numbers LIMIT 100", batch * 100)))
                break;
            ++acknowledged;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    });
    std::thread merger([&, client = open()]() mutable {
        while (!stop) {
            (void)client.execute("OPTIMIZE TABLE d.t FINAL");
            std::this_thread::sleep_for(std::chrono::milliseconds(300));
        }
    });
    while (acknowledged < 10) std::this_thread::yield();
    run("CREATE DATABASE check");
    for (int i = 0; i < 50; ++i) {
        const int before = acknowledged;
        back_up_on_top();
        const int after = begun;
        if (HasFatalFailure()) break;
        const TableChoice choice{{"d.t"}, "", {{"d.t", "check.t"}}};
        run("DROP TABLE IF EXISTS check.t");
        const auto restored = restore_clickhouse(config_, context(WhenExisting::refuse, &choice));
        EXPECT_TRUE(restored) << i << restored.error().message;
        if (!restored) break;
        const auto rows =
            client_->rows("SELECT count(), uniqExact(n), max(n), countIf(s != toString(n % 100)) FROM check.t");
        EXPECT_TRUE(rows) << rows.error().message;
        if (!rows) break;
        const int count = std::stoi((*rows)[0][0]);
        EXPECT_EQ(count % 100, 0) << i;
        EXPECT_GE(count, before * 100) << i;
        EXPECT_LE(count, after * 100) << i;
        EXPECT_EQ((*rows)[0][1], (*rows)[0][0]) << i;
        EXPECT_EQ(std::stoi((*rows)[0][2]), count - 1) << i;
        EXPECT_EQ((*rows)[0][3], "0") << i;
    }
    stop = true;
    writer.join();
    merger.join();
    expect_nothing_frozen();
}

// The server's own BACKUP and RESTORE, which only the newer one has.
class ClickHouseOwnBackup : public ClickHouseFreeze {
protected:
    void SetUp() override {
        ClickHouseFreeze::SetUp();
        if (HasFatalFailure()) return;
        config_.method = policy::ClickHouseMethod::backup;
        config_.backup_folder = engine_->backups();
        run("CREATE TABLE d.t (day Date, n UInt64, s String, k UInt32 MATERIALIZED n % 10) ENGINE = MergeTree "
            "PARTITION BY "
            "toYYYYMM(day) ORDER BY n");
        insert(0);
    }
    void insert(int from) {
        run(fmt::format(
            "INSERT INTO d.t (day, n, s) SELECT toDate('2026-01-01') + number % 90, number + {}, toString(number) "
            "FROM numbers(20000)",
            from));
    }
    void expect_nothing_left() { EXPECT_THAT(os::list_folder(engine_->backups()).value(), ::testing::IsEmpty()); }
};

INSTANTIATE_TEST_SUITE_P(Generations, ClickHouseOwnBackup, ::testing::Values(ClickHouseGeneration::v26),
                         [](const auto&) { return "v26"; });

// EA-06, EA-11
TEST_P(ClickHouseOwnBackup, PartsComeBackThroughItAndAreCheckedAfterwards) {
    run("CREATE MATERIALIZED VIEW d.mv ENGINE = SummingMergeTree PARTITION BY tuple() ORDER BY day AS SELECT day, "
        "count() AS c "
        "FROM d.t GROUP BY day");
    run("CREATE TABLE d.`odd name-%` (n UInt8, PROJECTION p (SELECT n ORDER BY n)) ENGINE = MergeTree ORDER BY "
        "tuple()");
    run("INSERT INTO d.`odd name-%` VALUES (1), (2)");
    insert(20'000);
    const std::string before = content("d.t", "day, n, s, k"), odd = content("d.`odd name-%`"), view = content("d.mv");
    back_up_on_top();
    EXPECT_THAT(facts_["how"].text(), HasSubstr("as files"));
    EXPECT_THAT(facts_["how"].text(), ::testing::Not(HasSubstr("HTTP")));
    expect_nothing_left();
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(content("d.t", "day, n, s, k"), before);
    EXPECT_EQ(content("d.`odd name-%`"), odd);
    EXPECT_EQ(content("d.mv"), view);
    expect_nothing_left();
}

TEST_P(ClickHouseOwnBackup, OnlyPartitionsWithNewPartsAreCopied) {
    back_up_on_top();
    back_up_on_top();
    EXPECT_EQ(facts_["how"].text(), "3 of 3 parts were there already, 3 as files");
    EXPECT_EQ(value("SELECT count() FROM system.backups"), "1");    // the second asked for none
    run("INSERT INTO d.t (day, n, s) VALUES ('2026-02-01', 1, 'new')");
    back_up_on_top();
    EXPECT_EQ(facts_["how"].text(), "3 of 4 parts were there already, 4 as files");
    EXPECT_EQ(
        value(
            "SELECT num_files > 0 AND num_files < 40 FROM system.backups ORDER BY start_time DESC, num_files LIMIT 1"),
        "1");
    const std::string before = content("d.t", "day, n, s, k");
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(content("d.t", "day, n, s, k"), before);
}

// RESTORE takes damaged files without a word: CHECK TABLE and the digest do not.
TEST_P(ClickHouseOwnBackup, DamageBehindARestoreThatSaysYesIsFound) {
    run("SYSTEM STOP MERGES d.t");
    back_up_on_top();
    insert(20'000);
    const std::string live = content("d.t");
    // As if the rows were other ones: the server restores them all the same.
    auto tables = json::Value::array();
    for (const json::Value& table : facts_["tables"].items()) {
        json::Value other = table;
        other.set("digest", "4711");
        tables.push(std::move(other));
    }
    facts_.set("tables", std::move(tables));
    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::mismatch);
    EXPECT_EQ(content("d.t"), live);
    expect_no_leftovers();
    expect_nothing_left();
}

TEST_P(ClickHouseOwnBackup, WhereTheServerMayNotWriteTheRowsAreRead) {
    config_.backup_folder = folder_.path() + "/elsewhere";
    ASSERT_TRUE(os::make_folders(config_.backup_folder));
    back_up_on_top();
    EXPECT_THAT(facts_["how"].text(), HasSubstr("0 as files, others over HTTP: d.t: "));
    EXPECT_THAT(facts_["how"].text(), HasSubstr("allowed_path"));
    const std::string before = content("d.t");
    lose_the_disk();
    expect_restored();
    EXPECT_EQ(content("d.t"), before);
}

TEST_P(ClickHouseOwnBackup, RemovesWhatAKilledBackupLeft) {
    const pid_t gone = ::fork();
    if (gone == 0) ::_exit(0);
    ASSERT_EQ(::waitpid(gone, nullptr, 0), gone);
    const std::string dead = fmt::format("{}/{}{}_1", engine_->backups(), source::clickhouse::link_prefix(), gone);
    const std::string alive =
        fmt::format("{}/{}{}_77", engine_->backups(), source::clickhouse::link_prefix(), ::getpid());
    ASSERT_TRUE(os::make_folders(dead + "/data"));
    ASSERT_TRUE(os::make_folders(alive));
    back_up_on_top();
    EXPECT_FALSE(os::exists(dead));
    EXPECT_TRUE(os::exists(alive));
}

}    // namespace
}    // namespace holdfast::recovery
