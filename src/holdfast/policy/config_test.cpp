#include "holdfast/policy/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Error refused(std::string_view text) {
    const Result<Config> config = parse_config(text, "holdfast.toml");
    if (config) return Error{ErrorCode::internal, "it was accepted", ""};
    return config.error();
}

TEST(Config, EveryKeyHasADefault) {
    const Config config = parse_config("[[postgres]]\n[[redis]]\n[[clickhouse]]\n", "f").value();
    ASSERT_EQ(config.postgres.size(), 1u);
    EXPECT_EQ(config.postgres[0].name, "postgres");
    EXPECT_EQ(config.postgres[0].port, 5432);
    EXPECT_EQ(config.postgres[0].proof, Proof::digest);
    EXPECT_EQ(config.redis[0].host, "127.0.0.1");
    EXPECT_EQ(config.clickhouse[0].url, "http://127.0.0.1:8123");
    EXPECT_EQ(config.clickhouse[0].method, ClickHouseMethod::http);
    EXPECT_EQ(config.repository.pack_size_mib, 16u);
}

// HA-08
TEST(Config, SaysWhereElseTheRowsOfADuckDbAre) {
    constexpr std::string_view k_start =
        "[[clickhouse]]\n[[redis]]\n[[duckdb]]\npath = \"/t.duckdb\"\n[[duckdb.rebuild]]\n";
    const auto with = [&](std::string_view rule) { return std::string(k_start) + std::string(rule); };
    const Config config =
        parse_config(with("table = \"fills\"\nfrom = \"clickhouse\"\nsource = \"desk.f\"\nselect = \"*, 1 AS x\"\n"
                          "version = \"v\"\n[[duckdb.rebuild]]\ntable = \"o\"\nfrom = \"redis\"\n"
                          "keys = \"o:*\"\nfields = [\"a\"]\n"),
                     "f")
            .value();
    ASSERT_EQ(config.duckdb[0].rebuild.size(), 2u);
    EXPECT_EQ(config.duckdb[0].rebuild[0].source, "desk.f");
    EXPECT_EQ(config.duckdb[0].rebuild[0].select, "*, 1 AS x");
    EXPECT_EQ(config.duckdb[0].rebuild[0].version, "v");
    EXPECT_EQ(config.duckdb[0].rebuild[1].select, "*");
    EXPECT_THAT(config.duckdb[0].rebuild[1].fields, ElementsAre("a"));
    EXPECT_TRUE(parse_config(with("from = \"clickhouse\"\n"), "f"));    // all tables of the same names
    EXPECT_THAT(refused(with("table = \"o\"\n")).message, HasSubstr("needs the key 'from'"));
    EXPECT_THAT(refused(with("from = \"clickhouse\"\nquery = \"SELECT 1\"\n")).message,
                HasSubstr("needs the key 'table'"));
    EXPECT_THAT(refused(with("table = \"o\"\nfrom = \"elsewhere\"\n")).message,
                HasSubstr("no [[clickhouse]] or [[redis]]"));
    EXPECT_THAT(refused(with("table = \"o\"\nfrom = \"redis\"\n")).message, HasSubstr("which keys of a Redis"));
    EXPECT_THAT(refused(with("table = \"o\"\nfrom = \"clickhouse\"\nstream = \"o\"\n")).message,
                HasSubstr("is no Redis"));
    EXPECT_THAT(refused(with("table = \"o\"\nfrom = \"redis\"\nstream = \"o\"\nkeys = \"o:*\"\n")).message,
                HasSubstr("does not go with"));
    EXPECT_THAT(refused(with("table = \"o\"\nfrom = \"redis\"\ntabel = \"o\"\n")).message,
                HasSubstr("[[duckdb.rebuild]]"));
}

TEST(Config, AnEmptyFileIsAConfigurationOfNothing) { EXPECT_TRUE(parse_config("", "f")->postgres.empty()); }

TEST(Config, ReadsEveryKey) {
    const Config config = parse_config(R"(
stack = "desk-7"
scratch_folder = "/var/tmp"
[repository]
location = "/srv/vault"
password_file = "/etc/holdfast/password"
compression_level = 3
pack_size_mib = 32
memory_max_mib = 64
[[postgres]]
name = "pg-main"
host = "db1"
port = 5433
user = "backup"
password_command = "pass show pg"
maintenance_database = "template1"
databases = ["trading", "users"]
exclude_databases = ["scratch"]
tables = ["auth.*"]
schemas = ["auth"]
exclude_tables = ["auth.log"]
on_change = true
look_again_seconds = 9
restore_jobs = 3
globals = false
proof = "count"
bin_folder = "/usr/lib/postgresql/15/bin"
[[redis]]
socket = "/run/redis/redis.sock"
user = "holdfast"
password_file = "/etc/holdfast/redis"
data_folder = "/var/lib/redis"
db_file_name = "state.rdb"
append_only = true
append_folder_name = "aof"
stop_command = ["systemctl", "stop", "redis"]
start_command = ["systemctl", "start", "redis"]
owner = "redis"
[[duckdb]]
path = "/srv/data/Trades 1.duckdb"
proof = "none"
keep_every_milliseconds = 1000
keep_minutes = 0
keep_last = 12
keep_verified = 3
verify_every_minutes = 0
states_folder = "/srv/states"
[[clickhouse]]
url = "http://127.0.0.1:8124"
user = "reader"
method = "freeze"
databases = ["ticks"]
[[files]]
paths = ["/etc/desk"]
exclude = ["*.tmp"]
[[logs]]
paths = ["/var/log/desk"]
newer_than_days = 14
)",
                                       "f")
                              .value();
    EXPECT_EQ(config.stack, "desk-7");
    EXPECT_EQ(config.repository.location, "/srv/vault");
    EXPECT_EQ(config.repository.password.file, "/etc/holdfast/password");
    EXPECT_EQ(config.repository.compression_level, 3);
    EXPECT_EQ(config.repository.memory_max_mib, 64u);
    EXPECT_EQ(config.postgres[0].name, "pg-main");
    EXPECT_EQ(config.postgres[0].password.command, "pass show pg");
    EXPECT_THAT(config.postgres[0].databases, ElementsAre("trading", "users"));
    EXPECT_THAT(config.postgres[0].tables, ElementsAre("auth.*"));
    EXPECT_THAT(config.postgres[0].schemas, ElementsAre("auth"));
    EXPECT_THAT(config.postgres[0].exclude_tables, ElementsAre("auth.log"));
    EXPECT_TRUE(config.postgres[0].on_change);
    EXPECT_EQ(config.postgres[0].look_again_seconds, 9u);
    EXPECT_EQ(config.postgres[0].restore_jobs, 3u);
    EXPECT_THAT(refused("[[postgres]]\non_change = true\n").message, HasSubstr("tables"));
    EXPECT_FALSE(config.postgres[0].globals);
    EXPECT_EQ(config.postgres[0].proof, Proof::count);
    EXPECT_THAT(config.redis[0].stop_command, ElementsAre("systemctl", "stop", "redis"));
    EXPECT_TRUE(config.redis[0].append_only);
    EXPECT_EQ(config.duckdb[0].name, "trades_1");
    EXPECT_EQ(config.duckdb[0].proof, Proof::none);
    EXPECT_EQ(config.duckdb[0].keep_every_milliseconds, 1000u);
    EXPECT_EQ(config.duckdb[0].keep_minutes, 0u);
    EXPECT_EQ(config.duckdb[0].keep_last, 12u);
    EXPECT_EQ(config.duckdb[0].keep_verified, 3u);
    EXPECT_EQ(config.duckdb[0].verify_every_minutes, 0u);
    EXPECT_EQ(config.duckdb[0].states_folder, "/srv/states");
    EXPECT_THAT(config.clickhouse[0].databases, ElementsAre("ticks"));
    EXPECT_EQ(config.clickhouse[0].method, ClickHouseMethod::freeze);
    EXPECT_THAT(refused("[[clickhouse]]\nmethod = \"backup\"\n").message, HasSubstr("backup_folder"));
    EXPECT_EQ(parse_config("[[clickhouse]]\nmethod = \"backup\"\nbackup_folder = \"/srv/b\"\n", "f")
                  ->clickhouse[0]
                  .backup_folder,
              "/srv/b");
    EXPECT_EQ(config.files[0].name, "config");
    EXPECT_EQ(config.files[0].newer_than_days, 0u);
    EXPECT_EQ(config.logs[0].name, "logs");
    EXPECT_EQ(config.logs[0].newer_than_days, 14u);
}

TEST(Config, LogsOfTheLastSevenDaysAreTheDefault) {
    // NS-01
    EXPECT_EQ(parse_config("[[logs]]\npaths = [\"/var/log/x\"]\n", "f")->logs[0].newer_than_days, 7u);
}

TEST(Config, OneTableIsAListOfOne) { EXPECT_EQ(parse_config("[redis]\nport = 7000\n", "f")->redis[0].port, 7000); }

TEST(Config, AnUnknownKeyIsToldWithItsPlaceAndTheLikelyOne) {
    const Error error = refused("stack = \"a\"\n\n[[postgres]]\n  databses = [\"x\"]\n");
    EXPECT_EQ(error.code, ErrorCode::config);
    EXPECT_EQ(error.message, "holdfast.toml:4:3: unknown key 'databses' in [[postgres]]; did you mean 'databases'?");
    EXPECT_THAT(error.hint, HasSubstr("exclude_databases"));
}

TEST(Config, AnUnknownTableIsToldToo) {
    EXPECT_EQ(refused("[[postgre]]\n").message,
              "holdfast.toml:1:3: unknown key 'postgre' in the file's top; did you mean 'postgres'?");
}

TEST(Config, BrokenTomlIsToldWithItsPlace) {
    const Error error = refused("stack = \"a\"\n[repository\nlocation = 1\n");
    EXPECT_EQ(error.code, ErrorCode::config);
    EXPECT_THAT(error.message, StartsWith("holdfast.toml:2:"));
}

TEST(Config, WrongTypesAndRangesAreRefused) {
    EXPECT_EQ(refused("[[redis]]\nport = \"6379\"\n").message,
              "holdfast.toml:2:8: port in [[redis]] must be a whole number from 1 to 65535");
    EXPECT_THAT(refused("[[redis]]\nport = 0\n").message, HasSubstr("from 1 to 65535"));
    EXPECT_THAT(refused("[[redis]]\nport = 65536\n").message, HasSubstr("from 1 to 65535"));
    EXPECT_THAT(refused("[[redis]]\nport = 1.5\n").message, HasSubstr("whole number"));
    EXPECT_THAT(refused("stack = 7\n").message, HasSubstr("a text in quotes"));
    EXPECT_THAT(refused("[[redis]]\nappend_only = \"yes\"\n").message, HasSubstr("true or false"));
    EXPECT_THAT(refused("[[postgres]]\ndatabases = \"x\"\n").message, HasSubstr("a list of texts"));
    EXPECT_THAT(refused("[[postgres]]\ndatabases = [1]\n").message, HasSubstr("a list of texts"));
    EXPECT_THAT(refused("[[postgres]]\nproof = \"sha\"\n").message, HasSubstr("\"digest\", \"count\" or \"none\""));
    EXPECT_THAT(refused("redis = 5\n").message, HasSubstr("must be a table"));
    EXPECT_THAT(refused("repository = \"/srv\"\n").message, HasSubstr("must be a table"));
    EXPECT_THAT(refused("[repository]\npack_size_mib = 500\n").message, HasSubstr("from 4 to 128"));
}

TEST(Config, ARelativePathIsRefused) {
    EXPECT_THAT(refused("[[duckdb]]\npath = \"a.duckdb\"\n").message, HasSubstr("not an absolute path"));
    EXPECT_THAT(refused("[[files]]\npaths = [\"etc\"]\n").message, HasSubstr("not absolute: 'etc'"));
}

TEST(Config, APasswordInTheFileIsRefusedWithoutRepeatingIt) {
    const Error error = refused("[[redis]]\npassword = \"hunter2\"\n");
    EXPECT_EQ(error.message, "holdfast.toml:2:12: a password must not stand in [[redis]]");
    EXPECT_THAT(error.hint, HasSubstr("password_file"));
    EXPECT_THAT(error.message + error.hint, testing::Not(HasSubstr("hunter2")));
}

TEST(Config, TwoSourcesOfOnePasswordAreRefused) {
    EXPECT_THAT(refused("[repository]\npassword_file = \"/a\"\npassword_command = \"b\"\n").message,
                HasSubstr("several places"));
    EXPECT_THAT(refused("[[redis]]\npassword_keyring = \"a\"\npassword_credential = \"b\"\n").message,
                HasSubstr("several places"));
}

TEST(Config, APhysicalCopyTakesTheWholeCluster) {
    const Config config = parse_config(
                              "[[postgres]]\nmethod = \"physical\"\ndata_folder = \"/srv/pg\"\nowner = \"postgres\"\n"
                              "start_command = [\"a\", \"b\"]\n[[postgres]]\nname = \"dumps\"\n",
                              "f")
                              .value();
    EXPECT_EQ(config.postgres[0].method, PostgresMethod::physical);
    EXPECT_EQ(config.postgres[0].data_folder, "/srv/pg");
    EXPECT_THAT(config.postgres[0].start_command, ElementsAre("a", "b"));
    EXPECT_EQ(config.postgres[1].method, PostgresMethod::dump);
    for (const char* key : {"databases = [\"a\"]", "tables = [\"a\"]", "on_change = true", "exclude_databases = []",
                            "globals = false", "proof = \"none\""})
        EXPECT_THAT(refused(std::string("[[postgres]]\nmethod = \"physical\"\n") + key + "\n").message,
                    HasSubstr("does not go with method = \"physical\""));
    EXPECT_THAT(refused("[[postgres]]\nmethod = \"files\"\n").message, HasSubstr("\"dump\" or \"physical\""));
}

TEST(Config, ComponentNamesAreUniqueAcrossKinds) {
    EXPECT_EQ(refused("[[redis]]\nname = \"a\"\n[[postgres]]\nname = \"a\"\n").message,
              "holdfast.toml:2:8: a second component is named 'a' (the first: line 4)");
    EXPECT_THAT(refused("[[redis]]\n[[redis]]\n").message, HasSubstr("a second component is named 'redis'"));
}

TEST(Config, ComponentNamesAreGoodFolderNames) {
    EXPECT_THAT(refused("[[redis]]\nname = \"../x\"\n").message, HasSubstr("no good name"));
    EXPECT_THAT(refused("[[redis]]\nname = \"\"\n").message, HasSubstr("no good name"));
    EXPECT_THAT(refused("[[redis]]\nname = \"duckdb\"\n").message, HasSubstr("kept for DuckDB"));
}

TEST(Config, AMirrorGuessesItsKindAndPlace) {
    // NS-05.
    const auto config = parse_config(
        "[[mirror]]\nlocation = \"s3:https://far.example/vault\"\n"
        "[[mirror]]\nname = \"tape\"\nlocation = \"/mnt/tape\"\nkind = \"tape\"\noff_site = true\ngrace_days = 30\n"
        "append_only = true\nlimit_upload_kib = 500\noptions = [\"s3.region=x\"]\n",
        "holdfast.toml");
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->mirrors.size(), 2u);
    EXPECT_EQ(config->mirrors[0].name, "mirror");
    EXPECT_EQ(config->mirrors[0].kind, StorageKind::object);
    EXPECT_TRUE(config->mirrors[0].off_site);
    EXPECT_EQ(config->mirrors[0].grace_days, 14u);
    EXPECT_EQ(config->mirrors[1].name, "tape");
    EXPECT_EQ(config->mirrors[1].kind, StorageKind::tape);
    EXPECT_TRUE(config->mirrors[1].off_site);
    EXPECT_TRUE(config->mirrors[1].append_only);
    EXPECT_EQ(config->mirrors[1].grace_days, 30u);
}

TEST(Config, AMirrorNeedsALocationAndANameOfItsOwn) {
    EXPECT_THAT(refused("[[mirror]]\nname = \"a\"\n").message, HasSubstr("[[mirror]] needs the key 'location'"));
    EXPECT_THAT(refused("[[mirror]]\nlocation = \"/a\"\nkind = \"floppy\"\n").message, HasSubstr("\"tape\""));
    EXPECT_THAT(
        refused("[[mirror]]\nname = \"a\"\nlocation = \"/a\"\n[[mirror]]\nname = \"a\"\nlocation = \"/b\"\n").message,
        HasSubstr("a second mirror is named 'a'"));
}

TEST(Config, ADuckDbNeedsItsPath) {
    EXPECT_EQ(refused("[[duckdb]]\n").message, "holdfast.toml:1:1: [[duckdb]] needs the key 'path'");
}

TEST(Config, AMisspeltKeyIsToldBeforeTheOneThatIsThenMissing) {
    const auto config = parse_config("[[mirror]]\nlocatoin = \"/x\"\n", "holdfast.toml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().message.find("did you mean 'location'"), std::string::npos) << config.error().message;
}

constexpr const char* k_stores = R"(
[[postgres]]
[[redis]]
[[duckdb]]
path = "/srv/trades.duckdb"
[[clickhouse]]
[[journal]]
path = "/var/lib/holdfast/desk-1"
)";

TEST(Config, ReadsAnAccountOfTheTradePath) {
    const auto config = parse_config(std::string(k_stores) + R"(
[[trade]]
account = "desk-1"
instance = "a"
profile = "mt5"
redis = "redis"
redis_sentinels = ["10.0.0.1:26379"]
redis_master = "desk"
duckdb = "trades"
clickhouse = "clickhouse"
clickhouse_database = "history"
lease = "postgres"
lease_database = "trading"
lease_seconds = 20
socket = "/run/desk-1.sock"
signal_ttl_seconds = 10
retry_max_seconds = 600
duplicates_days = 30
resume_remainder = false
realtime_priority = 10
[trade.broker]
kind = "fix"
host = "fix.example"
port = 9880
sender = "DESK"
target = "BROKER"
username = "desk"
password_file = "/etc/holdfast/fix"
session_start = "22:00:00"
[trade.http]
listen = "127.0.0.1:8791"
token_file = "/etc/holdfast/token"
)",
                                     "f");
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->trade.size(), 1u);
    const TradeConfig& trade = config->trade[0];
    EXPECT_EQ(trade.profile, "mt5");
    EXPECT_EQ(trade.journal, "journal");
    EXPECT_THAT(trade.redis_sentinels, ElementsAre("10.0.0.1:26379"));
    EXPECT_EQ(trade.lease_seconds, 20u);
    EXPECT_FALSE(trade.resume_remainder);
    EXPECT_EQ(trade.realtime_priority, 10u);
    EXPECT_EQ(trade.broker.port, 9880);
    EXPECT_EQ(trade.broker.password.file, "/etc/holdfast/fix");
    EXPECT_EQ(trade.http.token.file, "/etc/holdfast/token");
}

TEST(Config, AnAccountNamesWhatIsThereAndItsOwn) {
    const std::string paper = "[trade.broker]\nkind = \"paper\"\naddress = \"127.0.0.1:9100\"\n";
    const auto said = [&](const std::string& trade) { return refused(k_stores + trade).message; };
    EXPECT_THAT(said("[[trade]]\naccount = \"a\"\nredis = \"cache\"\n" + paper),
                HasSubstr("names 'cache', and no [[redis]] has that name"));
    EXPECT_THAT(said("[[trade]]\naccount = \"a\"\nlease = \"pg\"\n" + paper), HasSubstr("no [[postgres]]"));
    EXPECT_THAT(said("[[trade]]\naccount = \"a\"\n"), HasSubstr("needs the key 'broker'"));
    EXPECT_THAT(said("[[trade]]\naccount = \"a b\"\n" + paper), HasSubstr("no good name for an account"));
    EXPECT_THAT(said("[[trade]]\naccount = \"a\"\n" + paper + "[[trade]]\naccount = \"b\"\n" + paper),
                HasSubstr("the journal 'journal' serves the account a already"));
    EXPECT_THAT(
        said("[[trade]]\naccount = \"a\"\n[trade.broker]\nkind = \"fix\"\nhost = \"h\"\nport = 1\nsender = \"s\"\n"),
        HasSubstr("[trade.broker] needs the key 'target'"));
    EXPECT_THAT(said("[[trade]]\naccount = \"a\"\n" + paper + "[trade.http]\nlisten = \":1\"\ntoken = \"secret\"\n"),
                HasSubstr("a token must not stand in [trade.http]"));
    EXPECT_THAT(said("[[trade]]\naccount = \"a\"\nprofile = \"mt4\"\n" + paper), HasSubstr("\"ea\" or \"mt5\""));
}
// Requirements: NS-10, NS-11, NS-21.
TEST(Config, WhatHappensAroundARestoreIsChecked) {
    const auto good = parse_config(R"([restore]
pause_command = ["desk", "pause"]
resume_command = ["desk", "resume"]
stop_commands = [["systemctl", "stop", "desk"], ["true"]]
start_commands = [["systemctl", "start", "desk"]]
trading_flag_redis = "redis"
rto_whole_seconds = 60
[doctor]
backup_age_max_hours = 2
[[redis]]
)",
                                   "h.toml");
    ASSERT_TRUE(good) << good.error().message;
    EXPECT_EQ(good->restore.stop_commands.size(), 2u);
    EXPECT_EQ(good->restore.stop_commands[0][1], "stop");
    EXPECT_EQ(good->restore.trading_flag_key, "TRADING_ENABLED");
    EXPECT_EQ(good->restore.rto_whole_seconds, 60u);
    EXPECT_EQ(good->restore.rto_database_seconds, 900u);
    EXPECT_EQ(good->restore.rto_redis_seconds, 300u);
    EXPECT_EQ(good->restore.keep_free_mib, 1024u);
    EXPECT_EQ(good->doctor.backup_age_max_hours, 2u);
    for (const char* bad :
         {"pause_command = [\"x\"]", "stop_commands = [[\"x\"]]", "check_commands = [\"x\"]", "check_commands = [[]]",
          "trading_flag_redis = \"other\"", "recent_trades_query = \"SELECT 1\"", "stop_command = [\"x\"]",
          "keep_free_mib = -1", "keep_free_mib = 1073741825", "keep_free_mib = \"1G\""})
        EXPECT_FALSE(parse_config(std::string("[restore]\n") + bad + "\n", "h.toml")) << bad;
}

}    // namespace
}    // namespace holdfast::policy
