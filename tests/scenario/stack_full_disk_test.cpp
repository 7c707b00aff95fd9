// The disk under a store, or under the vault, is full in the middle: it is said, what was there stays, and the same command
// goes through once there is room.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>

#include "holdfast/format/sha256.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/testing/trades_duckdb.hpp"
#include "scenario.hpp"
#include "small_disk.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;

class StackFullDisk : public Scenario {
protected:
    const SmallDisk disk_{at("small"), 1024 * k_mib};

    void SetUp() override {
        // The user postgres has to come through.
        std::filesystem::permissions(at("."), std::filesystem::perms(0711));
        make_repository();
    }

    // What a server makes meanwhile lies on the small disk.
    template <class Start>
    static auto on_small_disk(const std::string& folder, Start start) {
        const char* before = ::getenv("TMPDIR");
        const std::string kept = before ? before : "";
        ::setenv("TMPDIR", folder.c_str(), 1);
        auto started = start();
        if (before)
            ::setenv("TMPDIR", kept.c_str(), 1);
        else
            ::unsetenv("TMPDIR");
        return started;
    }
    Answer configured(std::vector<std::string> arguments) const {
        return holdfast(std::move(arguments), {{"HOLDFAST_CONFIG", at("holdfast.toml")}});
    }
    // By curl, as the server's own documentation does it.
    std::string ask(const testing::ClickHouseServer& server, const std::string& statement) const {
        const Answer answer = run({"curl", "-sS", "--fail-with-body", "--data-binary", statement, server.url()});
        EXPECT_EQ(answer.exit, 0) << statement << answer.output << answer.errors;
        return answer.output;
    }
    static void run_duckdb(const std::string& file, const std::string& text) {
        auto open = testing::TradesDuckDb::open(file);
        ASSERT_TRUE(open) << open.error().message;
        const auto done = open->execute(text);
        ASSERT_TRUE(done) << done.error().message;
    }
    struct Story {
        std::function<void()> change;
        std::function<std::string()> content;
        std::uint64_t room;    // free bytes during the first restore
        std::function<void()> before_restore = [] {};
    };
    // Backs up, changes, and restores over the change: first where there is room for half of it, then for all.
    void tell(const Story& story) const {
        const std::string saved = story.content();
        const Answer backed = configured({"backup"});
        ASSERT_EQ(backed.exit, 0) << backed.errors;
        story.change();
        const std::string changed = story.content();
        ASSERT_NE(changed, saved);
        story.before_restore();
        disk_.leave(story.room);
        const Answer full = configured({"restore", "latest", "--replace", "--yes", "--json"});
        EXPECT_EQ(full.exit, 1) << full.output << full.errors;
        EXPECT_THAT(full.output, HasSubstr("disk_full"));
        disk_.leave(512 * k_mib);
        EXPECT_EQ(story.content(), changed) << full.output << full.errors;
        story.before_restore();
        const Answer restored = configured({"restore", "latest", "--replace", "--yes"});
        EXPECT_EQ(restored.exit, 0) << restored.output << restored.errors;
        EXPECT_EQ(story.content(), saved);
    }
};

TEST_F(StackFullDisk, OfAPostgresLeavesTheDatabaseThatWasThere) {
    auto started = testing::PostgresServer::start();
    ASSERT_TRUE(started) << started.error().message;
    testing::PostgresServer server = *std::move(started);
    const auto sql = [&](const std::string& script) {
        const auto said = server.sql("trading", script);
        EXPECT_TRUE(said) << said.error().message;
        return said ? *said : "";
    };
    ASSERT_TRUE(server.run_tool({"mkdir", at("small/tables")}));
    ASSERT_TRUE(server.sql("postgres", fmt::format("CREATE TABLESPACE small LOCATION '{}'", at("small/tables"))));
    ASSERT_TRUE(server.sql("postgres", "CREATE DATABASE trading TABLESPACE small"));
    sql("CREATE TABLE trades AS SELECT n AS id, md5(n::text) || md5((n + 1)::text) AS note FROM generate_series(1, "
        "600000) n");
    write(at("holdfast.toml"),
          fmt::format("stack = \"desk\"\n[[postgres]]\nhost = \"{}\"\nport = {}\ndatabases = [\"trading\"]\n",
                      server.socket_folder(), server.port()));
    tell({.change = [&] { sql("TRUNCATE trades; INSERT INTO trades VALUES (1, 'what was there'); CHECKPOINT"); },
          .content = [&] { return sql("SELECT count(*), md5(string_agg(note, ',' ORDER BY id)) FROM trades"); },
          .room = 24 * k_mib});
}

TEST_F(StackFullDisk, OfARedisLeavesTheFilesThatWereThere) {
    auto started = on_small_disk(at("small"), [] { return testing::RedisServer::start({"save 3600 1"}); });
    ASSERT_TRUE(started) << started.error().message;
    testing::RedisServer server = *std::move(started);
    const auto fill = [&](int keys) {
        std::vector<std::vector<std::string>> commands{{"FLUSHALL"}};
        for (int i = 0; i < keys; ++i)
            commands.push_back({"SET", fmt::format("order:{}", i), format::sha256(as_bytes(std::to_string(i))).hex()});
        ASSERT_TRUE(server.talk(commands));
    };
    fill(200'000);
    write(at("holdfast.toml"), fmt::format("stack = \"desk\"\n[[redis]]\nport = {}\ndata_folder = \"{}\"\n",
                                           server.port(), server.data_folder()));
    tell({.change = [&] { fill(10); },
          .content =
              [&] {
                  if (server.pid() == 0) {
                      EXPECT_TRUE(server.restart());
                  }
                  const auto said = server.talk({{"DBSIZE"}, {"GET", "order:7"}});
                  EXPECT_TRUE(said) << said.error().message;
                  return said ? *said : "";
              },
          .room = 6 * k_mib,
          .before_restore = [&] { EXPECT_TRUE(server.stop()); }});
}

TEST_F(StackFullDisk, OfADuckDbLeavesTheFileThatWasThere) {
    const std::string file = at("small/ticks.duckdb");
    const auto sql = [&](const std::string& text) { run_duckdb(file, text); };
    sql("CREATE TABLE ticks AS SELECT i AS id, md5(i::VARCHAR) AS note FROM range(800000) t(i)");
    write(at("holdfast.toml"), fmt::format("stack = \"desk\"\n[[duckdb]]\npath = \"{}\"\n", file));
    tell({.change = [&] { sql("DELETE FROM ticks WHERE id > 9"); },
          .content =
              [&] {
                  auto open = testing::TradesDuckDb::open(file);
                  EXPECT_TRUE(open) << open.error().message;
                  const auto told = open->value("SELECT concat(count(*), ' ', sum(hash(id, note))) FROM ticks");
                  EXPECT_TRUE(told) << told.error().message;
                  return told ? *told : "";
              },
          .room = 8 * k_mib});
}

TEST_F(StackFullDisk, OfAClickHouseLeavesTheTableThatWasThere) {
    auto started = testing::ClickHouseServer::start(at("small"));
    ASSERT_TRUE(started) << started.error().message;
    testing::ClickHouseServer server = *std::move(started);
    const auto sql = [&](const std::string& text) { return ask(server, text); };
    sql("CREATE DATABASE trading");
    sql("CREATE TABLE trading.ticks (id UInt64, note UInt64) ENGINE = MergeTree ORDER BY id");
    sql("INSERT INTO trading.ticks SELECT number, cityHash64(number) FROM numbers(3000000)");
    write(at("holdfast.toml"), fmt::format("stack = \"desk\"\n[[clickhouse]]\nurl = \"{}\"\n", server.url()));
    tell({.change =
              [&] {
                  sql("TRUNCATE TABLE trading.ticks");
                  sql("INSERT INTO trading.ticks SELECT number, number FROM numbers(10)");
              },
          .content = [&] { return sql("SELECT count(), sum(note) FROM trading.ticks"); },
          .room = 8 * k_mib});
}

// The vault's disk: the backup fails wherever the disk fills, and the earlier snapshot stays good.
TEST_F(StackFullDisk, OfTheVaultFailsTheBackupAndKeepsTheEarlierOne) {
    auto redis = testing::RedisServer::start();
    auto postgres = testing::PostgresServer::start();
    auto clickhouse = testing::ClickHouseServer::start();
    ASSERT_TRUE(redis && postgres && clickhouse);
    const std::string duckdb = at("ticks.duckdb");
    // About 4 MiB of each store that zstd can do little about.
    const auto fill = [&](int seed) {
        std::vector<std::vector<std::string>> commands;
        for (int i = 0; i < 4000; ++i) {
            std::string value;
            for (int part = 0; part < 32; ++part)
                value += as_text(format::sha256(as_bytes(fmt::format("{} {} {}", seed, i, part))).bytes);
            commands.push_back({"SET", fmt::format("order:{}", i), value});
        }
        ASSERT_TRUE(redis->talk(commands));
        ASSERT_TRUE(postgres->sql(
            "postgres",
            fmt::format("DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT n AS id, sha256(('{}' || n)::bytea) AS note "
                        "FROM generate_series(1, 120000) n",
                        seed)));
        ask(*clickhouse, "DROP TABLE IF EXISTS t");
        ask(*clickhouse, "CREATE TABLE t (note UInt64) ENGINE = MergeTree ORDER BY tuple()");
        ask(*clickhouse, fmt::format("INSERT INTO t SELECT cityHash64({}, number) FROM numbers(500000)", seed));
        run_duckdb(
            duckdb,
            fmt::format("CREATE OR REPLACE TABLE t AS SELECT hash({}, i) AS note FROM range(500000) t(i)", seed));
    };
    write(at("holdfast.toml"),
          fmt::format("stack = \"desk\"\n[[redis]]\nport = {}\n[[postgres]]\nhost = \"{}\"\nport = {}\n"
                      "databases = [\"postgres\"]\n[[clickhouse]]\nurl = \"{}\"\n[[duckdb]]\npath = \"{}\"\n",
                      redis->port(), postgres->socket_folder(), postgres->port(), clickhouse->url(), duckdb));
    const auto in_vault = [&](std::vector<std::string> arguments) {
        return holdfast(std::move(arguments),
                        {{"HOLDFAST_CONFIG", at("holdfast.toml")}, {"HOLDFAST_REPOSITORY", at("small/repository")}});
    };
    ASSERT_EQ(in_vault({"init"}).exit, 0);
    fill(1);
    const Answer first = in_vault({"backup"});
    ASSERT_EQ(first.exit, 0) << first.errors;
    fill(2);
    for (const std::uint64_t room : {0, 3, 7, 11}) {
        disk_.leave(room * k_mib);
        const Answer full = in_vault({"backup", "--json"});
        EXPECT_EQ(full.exit, 1) << room << full.output << full.errors;
        EXPECT_THAT(full.output, HasSubstr("disk_full")) << room;
        EXPECT_EQ(in_vault({"snapshots", "--json"}).json()["snapshots"].items().size(), 1u) << room;
        const Answer readable = in_vault({"dump", "latest", "/duckdb/ticks.duckdb", "--no-lock"});
        EXPECT_EQ(readable.exit, 0) << room << readable.errors;
    }
    disk_.leave(512 * k_mib);
    const Answer whole = in_vault({"backup"});
    EXPECT_EQ(whole.exit, 0) << whole.errors;
    const Answer checked = in_vault({"check", "--read-data"});
    EXPECT_EQ(checked.exit, 0) << checked.errors;
}

}    // namespace
}    // namespace holdfast::scenario
