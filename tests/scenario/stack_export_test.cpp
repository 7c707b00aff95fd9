// NS-02, NS-16, NS-19: a snapshot as a plain folder that sha256sum, gunzip, tar, psql and redis-server take with no holdfast at hand, and
// `holdfast validate`, of ours and of the guide's own scripts.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StackExport : public Scenario {
protected:
    void SetUp() override {
        auto redis = testing::RedisServer::start();
        ASSERT_TRUE(redis) << redis.error().message;
        redis_.emplace(*std::move(redis));
        auto postgres = testing::PostgresServer::start();
        ASSERT_TRUE(postgres) << postgres.error().message;
        postgres_.emplace(*std::move(postgres));
        sql("postgres", "CREATE DATABASE trading_db");
        sql("trading_db",
            "CREATE TABLE trades (id serial PRIMARY KEY, symbol text, price numeric(12,4));"
            "INSERT INTO trades (symbol, price) SELECT 'NIFTY' || i % 50, i * 1.25 FROM generate_series(1, 5000) i;");
        ASSERT_TRUE(redis_->talk({{"SET", "session:1", "token"},
                                  {"HSET", "order:7", "state", "filled"},
                                  {"SELECT", "3"},
                                  {"SET", "x", "y"}}));
        write(at("postgres.password"), postgres_->password() + "\n", 0600);
        ASSERT_TRUE(os::make_folders(at("etc/app"), 0755));
        write(at("etc/app/.env"), "TRADING_ENABLED=true\n", 0640);
        ASSERT_EQ(::symlink(".env", at("etc/app/current").c_str()), 0);
        ASSERT_TRUE(os::make_folders(at("log"), 0755));
        write(at("log/app.log"), "started\n");
        write(at("holdfast.toml"),
              fmt::format(R"(stack = "desk"
[[postgres]]
host = "127.0.0.1"
port = {}
password_file = "{}"
databases = ["trading_db"]
[[redis]]
port = {}
[[files]]
paths = ["{}"]
[[logs]]
paths = ["{}"]
)",
                          postgres_->port(), at("postgres.password"), redis_->port(), at("etc/app"), at("log")));
        make_cheap_repository();
        const Answer saved = holdfast({"backup", "--config", at("holdfast.toml")});
        ASSERT_EQ(saved.exit, 0) << saved.errors;
    }
    void sql(const std::string& database, const std::string& statements) {
        const Answer done = psql(database, {"-c", statements});
        ASSERT_EQ(done.exit, 0) << done.errors;
    }
    Answer psql(const std::string& database, std::vector<std::string> more) {
        std::vector<std::string> words{"psql",
                                       "-X",
                                       "-q",
                                       "-A",
                                       "-t",
                                       "-v",
                                       "ON_ERROR_STOP=1",
                                       "-h",
                                       "127.0.0.1",
                                       "-p",
                                       std::to_string(postgres_->port()),
                                       "-U",
                                       "postgres",
                                       "-d",
                                       database};
        words.insert(words.end(), more.begin(), more.end());
        return run(words, {{"PGPASSWORD", postgres_->password()}});
    }
    Answer shell(const std::string& line) { return run({"bash", "-c", "set -euo pipefail; " + line}); }
    // The layout of the guide's backup.sh: no .sha256 for config and logs.
    void make_as_the_scripts_do(const std::string& folder) {
        ASSERT_TRUE(redis_->talk({{"SAVE"}}));
        const std::string lines = fmt::format(R"(set -euo pipefail
mkdir -p {0}/database {0}/redis {0}/config {0}/logs {0}/metadata
pg_dump -h 127.0.0.1 -p {1} -U postgres trading_db | gzip > {0}/database/trading_db_20240101_020000.sql.gz
gzip -c {2}/dump.rdb > {0}/redis/dump_20240101_020000.rdb.gz
tar -czf {0}/config/config_20240101_020000.tar.gz -C {3} app
tar -czf {0}/logs/logs_20240101_020000.tar.gz -C {4} .
for d in database redis; do (cd {0}/$d; for f in *.gz; do sha256sum $f > $f.sha256; done); done
echo '{{"timestamp": "20240101_020000"}}' > {0}/metadata/backup_info.json)",
                                              folder, postgres_->port(), redis_->data_folder(), at("etc"), at("log"));
        const Answer made = run({"bash", "-c", lines}, {{"PGPASSWORD", postgres_->password()}});
        ASSERT_EQ(made.exit, 0) << made.errors;
    }
    /// The folder that was made.
    std::string exported(const std::vector<std::string>& more = {}) {
        std::vector<std::string> words{"export", "latest",   "--target",         at("backups"),
                                       "--json", "--config", at("holdfast.toml")};
        words.insert(words.end(), more.begin(), more.end());
        const Answer done = holdfast(words);
        EXPECT_EQ(done.exit, 0) << done.errors << done.output;
        return done.json()["folder"].text();
    }

    std::optional<testing::RedisServer> redis_;
    std::optional<testing::PostgresServer> postgres_;
};

TEST_F(StackExport, PlainToolsTakeItWithNoHoldfastAtHand) {
    const std::string folder = exported();
    const std::string stamp = os::file_name(folder);
    EXPECT_THAT(stamp, ::testing::MatchesRegex("[0-9]{8}_[0-9]{6}"));
    EXPECT_EQ(os::status_of(folder)->st_mode & 07777, 0700u);
    EXPECT_EQ(os::status_of(folder + "/redis/dump_" + stamp + ".rdb.gz")->st_mode & 07777, 0600u);
    // The guide's own words.
    const Answer checked = shell(
        fmt::format("cd {}; gunzip -t database/*.sql.gz redis/*.gz config/*.gz logs/*.gz; for d in database redis "
                    "config logs; do (cd $d && sha256sum -c *.sha256); done; cat metadata/backup_summary.txt",
                    folder));
    EXPECT_EQ(checked.exit, 0) << checked.errors;
    EXPECT_THAT(checked.output, HasSubstr("trading_db_" + stamp + ".sql.gz: OK"));
    EXPECT_THAT(checked.output, HasSubstr("database/globals_" + stamp + ".sql.gz"));

    sql("postgres", "CREATE DATABASE again");
    ASSERT_EQ(
        shell(fmt::format("gunzip -c {}/database/trading_db_{}.sql.gz > {}", folder, stamp, at("trading.sql"))).exit,
        0);
    const Answer loaded = psql("again", {"-f", at("trading.sql")});
    ASSERT_EQ(loaded.exit, 0) << loaded.errors;
    const std::string question = "SELECT count(*), sum(price), md5(string_agg(symbol, ',' ORDER BY id)) FROM trades";
    EXPECT_EQ(psql("again", {"-c", question}).output, psql("trading_db", {"-c", question}).output);

    const std::string digest = redis_->talk({{"DBSIZE"}}).value();
    redis_->kill();
    ASSERT_EQ(
        shell(fmt::format("gunzip -c {}/redis/dump_{}.rdb.gz > {}/dump.rdb", folder, stamp, redis_->data_folder()))
            .exit,
        0);
    ASSERT_TRUE(redis_->restart());
    EXPECT_EQ(redis_->talk({{"DBSIZE"}}).value(), digest);

    ASSERT_TRUE(os::make_folders(at("root")));
    ASSERT_EQ(shell(fmt::format("tar -xzf {}/config/config_{}.tar.gz -C {}", folder, stamp, at("root"))).exit, 0);
    expect_equal_trees(at("root" + at("etc/app")), at("etc/app"));
}

// NS-02: base and increments leave as one RDB, as the layout has it.
TEST_F(StackExport, ARedisWithIncrementsIsOneRdb) {
    ASSERT_TRUE(redis_->talk({{"SET", "session:2", "later"}, {"DEL", "session:1"}}));
    const Answer saved = holdfast({"backup", "--only", "redis", "--json", "--config", at("holdfast.toml")});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(saved.json()["components"].items()[0]["facts"]["how"].text(), HasSubstr("increment"));
    const std::string folder = exported(), stamp = os::file_name(folder);
    EXPECT_EQ(holdfast_bare({"validate", folder}).exit, 0);
    const std::string before = redis_->talk({{"DBSIZE"}, {"GET", "session:2"}, {"EXISTS", "session:1"}}).value();
    redis_->kill();
    ASSERT_EQ(
        shell(fmt::format("gunzip -c {}/redis/dump_{}.rdb.gz > {}/dump.rdb", folder, stamp, redis_->data_folder()))
            .exit,
        0);
    ASSERT_TRUE(redis_->restart());
    EXPECT_EQ(redis_->talk({{"DBSIZE"}, {"GET", "session:2"}, {"EXISTS", "session:1"}}).value(), before);
}

TEST_F(StackExport, ValidateSeesWhatIsWrong) {    // NS-16
    const std::string folder = exported(), stamp = os::file_name(folder);
    const Answer good = holdfast_bare({"validate", folder});
    EXPECT_EQ(good.exit, 0) << good.errors;
    EXPECT_THAT(good.output, HasSubstr("3 keys, RDB version"));
    EXPECT_THAT(good.output, HasSubstr(": good"));
    const auto damaged = [&](const std::string& how) {
        EXPECT_EQ(
            shell(fmt::format("rm -rf {0}; cp -r {1} {0}; cd {0}; S={2}; {3}", at("damaged"), folder, stamp, how)).exit,
            0)
            << how;
        const json::Value report = holdfast_bare({"validate", "--json", at("damaged")}).json();
        EXPECT_FALSE(report["good"].boolean(true)) << how;
        std::string told;
        for (const json::Value& file : report["folders"].items()[0]["files"].items())
            if (!file["good"].boolean()) told += file["path"].text() + ": " + file["problem"].text() + "\n";
        for (const json::Value& problem : report["folders"].items()[0]["problems"].items())
            told += problem.text() + "\n";
        return told;
    };
    EXPECT_THAT(damaged("printf x | dd of=redis/dump_$S.rdb.gz bs=1 seek=40 conv=notrunc 2>/dev/null"),
                HasSubstr("SHA-256 is not the one"));
    EXPECT_THAT(damaged("rm redis/dump_$S.rdb.gz"), HasSubstr("redis/dump_" + stamp + ".rdb.gz is listed in"));
    EXPECT_THAT(damaged("rm -r config"), HasSubstr("config/config_" + stamp + ".tar.gz is listed in"));
    EXPECT_THAT(damaged("rm database/*.sha256"), HasSubstr(".sha256 is missing"));
    EXPECT_THAT(damaged("rm metadata/backup_info.json"), HasSubstr("backup_info.json is missing"));
    // Whole by every checksum, and yet no backup: what a script leaves when pg_dump dies and nobody looks at its exit status.
    const std::string sum =
        "sha256sum $F > $F.sha256; rm ../metadata/backup_info.json; echo '{}' > ../metadata/backup_info.json";
    EXPECT_THAT(damaged("cd database; F=trading_db_$S.sql.gz; (gunzip -c $F || true) | head -c 2000 > a || true; gzip "
                        "-c a > $F; rm a; " +
                        sum),
                HasSubstr("does not end as pg_dump ends"));
    EXPECT_THAT(
        damaged("cd redis; F=dump_$S.rdb.gz; (gunzip -c $F || true) | head -c 60 > a || true; gzip -c a > $F; rm a; " +
                sum),
        HasSubstr("dump_" + stamp + ".rdb.gz: "));
    EXPECT_EQ(holdfast_bare({"validate", at("etc")}).exit, 1);
    EXPECT_EQ(holdfast_bare({"validate", at("nowhere")}).exit, 1);
}

TEST_F(StackExport,
       AFolderOfTheGuidesScriptsIsValidated) {    // NS-02: as the guide lays it out: no .sha256 for config and logs
    const std::string folder = at("scripts/20240101_020000");
    make_as_the_scripts_do(folder);
    const Answer checked = holdfast_bare({"validate", folder});
    EXPECT_EQ(checked.exit, 0) << checked.errors << checked.output;
    ASSERT_TRUE(os::remove_tree(folder + "/redis"));
    EXPECT_THAT(holdfast_bare({"validate", folder}).errors, HasSubstr("redis/ is missing"));
}

TEST_F(StackExport, ExportImportRestoreGivesEqualStores) {
    const std::string folder = exported();
    const std::string question =
        "SELECT count(*), sum(price), md5(string_agg(symbol, ',' ORDER BY id)), max(id) FROM trades";
    const std::string rows = psql("trading_db", {"-c", question}).output;
    const Answer time = holdfast({"snapshots", "--json"});
    // Into another vault, and onto servers that have nothing.
    ASSERT_TRUE(os::remove_tree(repository()));
    make_cheap_repository();
    const Answer imported = holdfast({"import", folder, "--json", "--config", at("holdfast.toml")});
    ASSERT_EQ(imported.exit, 0) << imported.errors << imported.output;
    EXPECT_THAT(time.output, HasSubstr(imported.json()["time"].text()));
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);
    const Answer twice = holdfast({"import", folder, "--config", at("holdfast.toml")});
    EXPECT_EQ(twice.exit, 1);
    EXPECT_THAT(twice.errors, HasSubstr("of that stack and time"));

    sql("postgres", "DROP DATABASE trading_db");
    std::filesystem::rename(at("etc/app"), at("app.before"));
    ASSERT_TRUE(redis_->talk({{"FLUSHALL"}}));
    const Answer restored = holdfast(
        {"restore", "latest", "--yes", "--only", "postgres", "--only", "config", "--config", at("holdfast.toml")});
    ASSERT_EQ(restored.exit, 0) << restored.errors << restored.output;
    EXPECT_EQ(psql("trading_db", {"-c", question}).output, rows);
    expect_equal_trees(at("etc/app"), at("app.before"));
    // The RDB came through unchanged, and is the one that its manifest describes (a restore compares the digest).
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("plain"), "--only", "redis"}).exit, 0);
    const Answer same =
        shell(fmt::format("gunzip -c {}/redis/dump_*.rdb.gz | cmp - {}/redis/dump.rdb", folder, at("plain")));
    EXPECT_EQ(same.exit, 0) << same.errors;
}

TEST_F(StackExport, AFolderOfTheGuidesScriptsIsImportedAndRestored) {
    const std::string folder = at("scripts/20240101_020000");
    make_as_the_scripts_do(folder);
    EXPECT_EQ(holdfast({"import", folder, "--config", at("holdfast.toml")}).exit, 2);    // where do the files belong?
    const Answer imported =
        holdfast({"import", folder, "--root", at("etc"), "--tag", "old", "--json", "--config", at("holdfast.toml")});
    ASSERT_EQ(imported.exit, 0) << imported.errors << imported.output;
    const std::string id = imported.json()["snapshot"].text();
    const std::string question = "SELECT count(*), sum(price), max(id) FROM trades",
                      rows = psql("trading_db", {"-c", question}).output;
    sql("postgres", "DROP DATABASE trading_db");
    std::filesystem::rename(at("etc/app"), at("app.before"));
    const Answer restored =
        holdfast({"restore", id, "--yes", "--only", "postgres", "--only", "config", "--config", at("holdfast.toml")});
    ASSERT_EQ(restored.exit, 0) << restored.errors << restored.output;
    EXPECT_EQ(psql("trading_db", {"-c", question}).output, rows);
    // (tar, as the guide calls it, keeps times to the second.)
    EXPECT_EQ(run({"diff", "--recursive", "--no-dereference", at("etc/app"), at("app.before")}).exit, 0);
    EXPECT_EQ(os::status_of(at("etc/app/.env"))->st_mode & 07777, 0640u);
    // The newest snapshot is still the one of today.
    EXPECT_THAT(holdfast({"snapshots", "--tag", "old"}).output, HasSubstr("2024-01-01 02:00:00"));
    // What is damaged does not get in.
    ASSERT_EQ(shell("cd " + folder + "/database && printf x >> trading_db_20240101_020000.sql.gz").exit, 0);
    const Answer refused = holdfast({"import", folder, "--root", at("etc"), "--config", at("holdfast.toml")});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("is not good: database/trading_db_20240101_020000.sql.gz: its SHA-256"));
}

TEST_F(StackExport, AppearsWholeOrNotAtAll) {
    const std::string folder = exported();
    const Answer again = holdfast({"export", "latest", "--target", at("backups"), "--config", at("holdfast.toml")});
    EXPECT_EQ(again.exit, 1);
    EXPECT_THAT(again.errors, HasSubstr("is there already"));
    // Killed at each step: the name is not there, or all is.
    int kills = 0;
    bool ended = false;
    for (int step = 1; !ended && step < 200; ++step) {
        const Answer killed = holdfast({"export", "latest", "--target", at("killed"), "--config", at("holdfast.toml")},
                                       {{"HOLDFAST_CRASH_POINT", fmt::format("*:{}", step)}});
        ended = killed.exit == 0;
        kills += killed.exit == -SIGKILL;
        ASSERT_TRUE(ended || killed.exit == -SIGKILL) << killed.errors;
        const std::string there = at("killed/" + os::file_name(folder));
        if (!os::exists(there)) continue;
        EXPECT_EQ(holdfast_bare({"validate", there}).exit, 0) << step;
        ASSERT_TRUE(os::remove_tree(there));
    }
    EXPECT_TRUE(ended);
    EXPECT_GT(kills, 20);
    EXPECT_THAT(os::list_folder(at("killed")).value(), ElementsAre());    // nothing is left lying about
    // Only a part: said, in the report and in the folder.
    const Answer part = holdfast(
        {"export", "latest", "--target", at("part"), "--only", "redis", "--json", "--config", at("holdfast.toml")});
    EXPECT_EQ(part.exit, 0);
    EXPECT_EQ(part.json()["missing"].items().size(), 3u);
    EXPECT_EQ(holdfast_bare({"validate", part.json()["folder"].text()}).exit, 0);
    EXPECT_EQ(holdfast({"export", "latest", "--config", at("holdfast.toml")}).exit, 2);
    EXPECT_EQ(holdfast({"export", "latest", "--only", "redis", "--config", at("holdfast.toml")},
                       {{"BACKUP_ROOT", at("root")}})
                  .exit,
              0);
}

}    // namespace
}    // namespace holdfast::scenario
