#include "holdfast/source/examine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/duckdb_keeper.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/duckdb_writer.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::source {
namespace {

using policy::Advice;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

policy::RedisConfig config_of(const testing::RedisServer& server) {
    policy::RedisConfig config;
    config.port = server.port();
    config.append_only = true;
    return config;
}

std::string setting_of(testing::RedisServer& server, const std::string& name) {
    const auto told = server.talk({{"CONFIG", "GET", name}});
    return told ? *told : told.error().message;
}

// Requirements: MT-17, EA-09. What is applied is kept when the server starts again.
TEST(ExamineRedis, AppliesWhatTheProfileWantsForGood) {
    auto server = testing::RedisServer::start({"maxmemory-policy allkeys-lru", "maxmemory 512mb"});
    ASSERT_TRUE(server) << server.error().message;
    const auto config = config_of(*server);
    const Advices advices = examine_redis(config, {"ea"}, 0);
    EXPECT_THAT(advices,
                Contains(AllOf(Field(&Advice::subject, "redis"), Field(&Advice::setting, "maxmemory-policy"))));
    EXPECT_THAT(advices, Contains(Field(&Advice::setting, "appendonly")));
    EXPECT_THAT(advices, Contains(Field(&Advice::setting, "save")));
    const Status applied = apply_redis(config, advices);
    ASSERT_TRUE(applied) << applied.error().message;
    ASSERT_TRUE(server->stop());
    ASSERT_TRUE(server->restart());
    for (const Advice& advice : examine_redis(config, {"ea"}, 0)) EXPECT_EQ(advice.setting, "") << advice.text;
    EXPECT_THAT(setting_of(*server, "appendfsync"), HasSubstr("always"));
    EXPECT_THAT(setting_of(*server, "maxmemory-policy"), HasSubstr("volatile-lru"));
    EXPECT_THAT(setting_of(*server, "save"), HasSubstr("60 1000"));
}

// MT-14. The server hangs at it, and is not asked.
TEST(ExamineRedis, APipeThatAKilledRestoreLeftIsTrouble) {
    const auto folder = os::TempFolder::create("hf-examine-");
    ASSERT_TRUE(folder);
    policy::RedisConfig config;
    config.data_folder = folder->path();
    ASSERT_EQ(::mkfifo((folder->path() + "/dump.rdb").c_str(), 0600), 0);
    const Advices advices = examine_redis(config, {}, 0);
    ASSERT_EQ(advices.size(), 1u);
    EXPECT_THAT(advices[0].text, HasSubstr("is a pipe and no data"));
    EXPECT_THAT(advices[0].cure, HasSubstr("--resume"));
}

// Requirement: NS-17 (Redis restored with 0 keys).
TEST(ExamineRedis, AnEmptyServerThatHadKeysIsTrouble) {
    auto server = testing::RedisServer::start({"appendonly yes"});
    ASSERT_TRUE(server) << server.error().message;
    const auto empty = Contains(AllOf(Field(&Advice::severity, policy::Severity::trouble),
                                      Field(&Advice::text, HasSubstr("the newest backup has 7")),
                                      Field(&Advice::cure, "holdfast restore latest --only redis")));
    EXPECT_THAT(examine_redis(config_of(*server), {}, 7), empty);
    ASSERT_TRUE(server->talk({{"SET", "a", "1"}}));
    EXPECT_THAT(examine_redis(config_of(*server), {}, 7), ::testing::Not(empty));
}

TEST(ExamineRedis, AServerThatIsAwayIsTroubleWithARemedy) {
    auto server = testing::RedisServer::start();
    ASSERT_TRUE(server) << server.error().message;
    const auto config = config_of(*server);
    server->kill();
    EXPECT_THAT(examine_redis(config, {"ea"}, 0), ElementsAre(AllOf(Field(&Advice::severity, policy::Severity::trouble),
                                                                    Field(&Advice::cure, ::testing::Not(IsEmpty())))));
}

// What a role cannot read is told before a backup stops there.
TEST(ExaminePostgres, ARoleThatMayNotReadEverythingIsTold) {
    auto server = testing::PostgresServer::start({.settings = {}, .fsync = true});
    ASSERT_TRUE(server) << server.error().message;
    policy::PostgresConfig config;
    config.host = server->socket_folder();
    config.port = server->port();
    EXPECT_THAT(examine_postgres(config), IsEmpty());
    ASSERT_TRUE(server->sql("postgres",
                            "CREATE ROLE \"plain one\" LOGIN; CREATE ROLE reader LOGIN IN ROLE pg_read_all_data; "
                            "CREATE TABLE closed (i int);"));
    config.user = "reader";
    EXPECT_THAT(examine_postgres(config), IsEmpty());
    config.user = "plain one";
    EXPECT_THAT(examine_postgres(config),
                ElementsAre(AllOf(Field(&Advice::text, HasSubstr("public.closed")),
                                  Field(&Advice::cure, HasSubstr("GRANT pg_read_all_data TO \"plain one\";")))));
    config.bin_folder = "/nowhere";
    EXPECT_THAT(examine_postgres(config), Contains(Field(&Advice::text, HasSubstr("pg_dump"))));
}

// NS-17: what would cut or hold up a dump, and what a power failure would destroy.
TEST(ExaminePostgres, TimeoutsAndSettingsThatLoseDataAreTold) {
    auto server = testing::PostgresServer::start({.settings = {"full_page_writes=off"}, .fsync = true});
    ASSERT_TRUE(server) << server.error().message;
    policy::PostgresConfig config;
    config.host = server->socket_folder();
    config.port = server->port();
    EXPECT_THAT(examine_postgres(config),
                ElementsAre(Field(&Advice::cure, HasSubstr("ALTER SYSTEM SET full_page_writes = on"))));
    ASSERT_TRUE(server->sql("postgres", "ALTER ROLE postgres SET statement_timeout = '30s'"));
    EXPECT_THAT(examine_postgres(config),
                Contains(AllOf(Field(&Advice::text, HasSubstr("end after 30s")),
                               Field(&Advice::cure, "ALTER ROLE \"postgres\" SET statement_timeout = 0"))));
}

// A role that pg_read_all_data does not help, and a cluster that is to be copied by its files.
TEST(ExaminePostgres, WhatEachMethodNeedsIsToldBeforeABackupNeedsIt) {
    auto server = testing::PostgresServer::start({.settings = {}, .fsync = true});
    ASSERT_TRUE(server) << server.error().message;
    policy::PostgresConfig config;
    config.host = server->socket_folder();
    config.port = server->port();
    ASSERT_TRUE(server->sql("postgres",
                            "CREATE ROLE reader LOGIN IN ROLE pg_read_all_data; CREATE TABLE t(i int); "
                            "ALTER TABLE t ENABLE ROW LEVEL SECURITY; SELECT lo_from_bytea(0, 'x')"));
    config.user = "reader";
    EXPECT_THAT(examine_postgres(config),
                ElementsAre(Field(&Advice::cure, AllOf(HasSubstr("ALTER ROLE \"reader\" BYPASSRLS;"),
                                                       HasSubstr("GRANT SELECT ON LARGE OBJECT")))));
    config.method = policy::PostgresMethod::physical;
    EXPECT_THAT(examine_postgres(config),
                ElementsAre(Field(&Advice::cure, HasSubstr("ALTER ROLE \"reader\" REPLICATION;"))));
    ASSERT_TRUE(server->sql("postgres", "ALTER ROLE \"reader\" REPLICATION;"));
    EXPECT_THAT(examine_postgres(config), IsEmpty());
}

TEST(ExamineClickHouse, OneThatIsWellIsNotSpokenOf) {
    auto server = testing::ClickHouseServer::start();
    ASSERT_TRUE(server) << server.error().message;
    policy::ClickHouseConfig config;
    config.url = server->url();
    EXPECT_THAT(examine_clickhouse(config), IsEmpty());
    config.url = "http://127.0.0.1:1";
    EXPECT_THAT(examine_clickhouse(config), ElementsAre(Field(&Advice::severity, policy::Severity::trouble)));
}

// Requirement: HA-08 (the log's cap).
TEST(ExamineDuckDb, SaysWhatIsMissingAndWhatHasGrown) {
    const auto folder = os::TempFolder::create("hf-examine");
    ASSERT_TRUE(folder);
    policy::DuckDbConfig config;
    config.name = "trades";
    config.path = folder->path() + "/trades.duckdb";
    EXPECT_THAT(examine_duckdb(config, folder->path()),
                ElementsAre(Field(&Advice::cure, HasSubstr("holdfast restore latest --only trades"))));
    ASSERT_TRUE(testing::run_duckdb(config.path, "CREATE TABLE t AS SELECT 1 AS a; CHECKPOINT"));
    EXPECT_THAT(examine_duckdb(config, folder->path()), IsEmpty());
    ASSERT_TRUE(os::write_file(config.path + ".wal", {}));
    ASSERT_EQ(::truncate((config.path + ".wal").c_str(), off_t(300) << 20), 0);
    EXPECT_THAT(examine_duckdb(config, folder->path()),
                ElementsAre(Field(&Advice::text, HasSubstr("its log has 300 MiB"))));
}

// Requirements: HA-08, NS-17. Damage that DuckDB speaks of only when it is too late.
TEST(ExamineDuckDb, SaysWhatIsDamagedBeforeItIsOpened) {
    const auto folder = os::TempFolder::create("hf-examine");
    ASSERT_TRUE(folder);
    policy::DuckDbConfig config;
    config.name = "trades";
    config.path = folder->path() + "/trades.duckdb";
    auto writer =
        testing::DuckDbWriter::start(config.path, testing::DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
    ASSERT_TRUE(writer) << writer.error().message;
    EXPECT_THAT(examine_duckdb(config, folder->path()), IsEmpty());    // alive, and writing
    writer->kill();
    auto log = os::read_file(config.path + ".wal");
    ASSERT_TRUE(log) << log.error().message;
    EXPECT_THAT(examine_duckdb(config, folder->path()), IsEmpty());
    (*log)[log->size() / 2] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(config.path + ".wal", *log));
    EXPECT_THAT(examine_duckdb(config, folder->path()),
                ElementsAre(Field(&Advice::cure, "holdfast duckdb repair trades --replace")));
    ASSERT_TRUE(os::remove_tree(config.path + ".wal"));
    auto file = os::read_file(config.path);
    ASSERT_TRUE(file);
    for (const std::size_t at : {4200u, 8300u}) (*file)[at] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(config.path, *file));
    EXPECT_THAT(examine_duckdb(config, folder->path()),
                ElementsAre(Field(&Advice::severity, policy::Severity::trouble)));
}

// MT-18, DD-08: told before the next start drops commits without a word.
TEST(ExamineDuckDb, SaysThatALogIsDamagedAndThatNoStateWasReadThrough) {
    const auto folder = os::TempFolder::create("hf-examine");
    ASSERT_TRUE(folder);
    policy::DuckDbConfig config;
    config.name = "trades";
    config.path = folder->path() + "/trades.duckdb";
    ASSERT_TRUE(testing::run_duckdb(
        config.path,
        "CREATE TABLE t (i INT); CHECKPOINT; PRAGMA disable_checkpoint_on_shutdown; INSERT INTO t VALUES (1)"));
    EXPECT_THAT(examine_duckdb(config, folder->path()), IsEmpty());
    os::SystemClock clock;
    {
        const auto keeper = DuckDbKeeper::open(
            {.path = config.path, .folder = duckdb_states_folder(config.path), .scratch = {}}, clock);
        ASSERT_TRUE(keeper && (*keeper)->take());
        EXPECT_THAT(examine_duckdb(config, folder->path()),
                    ElementsAre(Field(&Advice::text, HasSubstr("read through"))));
        ASSERT_TRUE((*keeper)->verify(db::DuckDbCheck::Depth::digest));
    }
    EXPECT_THAT(examine_duckdb(config, folder->path()), IsEmpty());
    Bytes log = os::read_file(config.path + ".wal").value();
    log[0] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(config.path + ".wal", log));
    EXPECT_THAT(examine_duckdb(config, folder->path()),
                ElementsAre(Field(&Advice::cure, "holdfast duckdb repair trades --replace")));
}

TEST(ExamineJournal, OneThatCameOutOfABackupIsToldUntilItHasSettled) {
    const auto folder = os::TempFolder::create("hf-examine");
    ASSERT_TRUE(folder);
    const policy::JournalConfig config{"journal", folder->path()};
    EXPECT_THAT(examine_journal(config), IsEmpty());
    ASSERT_TRUE(os::write_file(folder->path() + "/restored", {}));
    EXPECT_THAT(examine_journal(config), ElementsAre(Field(&Advice::cure, "holdfast trade run")));
    EXPECT_THAT(examine_journal({"journal", folder->path() + "/not"}),
                ElementsAre(Field(&Advice::severity, policy::Severity::trouble)));
}

}    // namespace
}    // namespace holdfast::source
