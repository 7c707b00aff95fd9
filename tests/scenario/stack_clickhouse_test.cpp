// ClickHouse and DuckDB as a person uses them: one table, one partition, another name; as plain files and into another vault.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <optional>
#include <thread>

#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/trades_duckdb.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ClickHouseStory : public Scenario {
protected:
    void SetUp() override {
        auto server = testing::ClickHouseServer::start();
        ASSERT_TRUE(server) << server.error().message;
        server_.emplace(*std::move(server));
        sql("CREATE DATABASE trading");
        for (const char* table : {"fills", "orders"}) {
            sql(fmt::format(
                "CREATE TABLE trading.{} (day Date, id UInt64, symbol String) ENGINE = MergeTree PARTITION BY "
                "toYYYYMM(day) ORDER BY id",
                table));
            for (int month = 9; month <= 11; ++month) insert(table, month, 1000);
        }
        sql("CREATE VIEW trading.symbols AS SELECT symbol, count() AS fills FROM trading.fills GROUP BY symbol");
        ASSERT_TRUE(os::make_folders(at("desk"), 0755));
        {
            auto file = testing::TradesDuckDb::open(at("desk/executions.duckdb"));
            ASSERT_TRUE(file) << file.error().message;
            ASSERT_TRUE(file->execute("CREATE TABLE e AS " + testing::select_executions(7, 0, 5000)));
        }
        write(at("holdfast.toml"),
              fmt::format("stack = \"desk\"\n[[clickhouse]]\nurl = \"{}\"\n[[duckdb]]\npath = \"{}\"\n", server_->url(),
                          at("desk/executions.duckdb")));
        make_cheap_repository();
        const Answer saved = configured({"backup"});
        ASSERT_EQ(saved.exit, 0) << saved.errors;
    }
    Answer configured(std::vector<std::string> words) const {
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast(words);
    }
    /// As configured(), to be started, and killed.
    os::Command alone(const std::vector<std::string>& words) const {
        os::Command started =
            command(words, {{"HOLDFAST_REPOSITORY", repository()}, {"HOLDFAST_PASSWORD_FILE", password_file()}});
        started.output_file = at("answer");
        started.errors = os::Stream::null;
        return started;
    }
    Answer restore(std::vector<std::string> words) const {
        words.insert(words.begin(), {"restore", "latest", "--only", "clickhouse"});
        return configured(words);
    }
    // By curl, as the server's own documentation does it.
    Answer ask(const std::string& statement) const {
        return run({"curl", "-sS", "--fail-with-body", "--data-binary", statement, server_->url()});
    }
    std::string sql(const std::string& statement) const {
        const Answer answer = ask(statement);
        EXPECT_EQ(answer.exit, 0) << statement << answer.output << answer.errors;
        return answer.output;
    }
    void insert(const std::string& table, int month, int count) const {
        sql(fmt::format(
            "INSERT INTO trading.{} SELECT toDate('2026-{:02}-01') + number % 28, number + {}, concat('SYM', "
            "toString(number % 7)) FROM system.numbers LIMIT {}",
            table, month, month * 100'000, count));
    }
    std::string content(const std::string& table) const {
        return sql("SELECT count(), sum(sipHash64(toString(tuple(*)))) FROM " + table);
    }
    std::string executions() const {
        auto file = testing::TradesDuckDb::open(at("desk/executions.duckdb"));
        if (!file) return file.error().message;
        return file->value("SELECT count(*)::VARCHAR || ' ' || sum(hash(e))::VARCHAR FROM e").value_or("no answer");
    }

    std::optional<testing::ClickHouseServer> server_;
};

TEST_F(ClickHouseStory, OneTableUnderAnotherNameWhileAllElseGoesOn) {    // EA-06
    const std::string before = content("trading.fills");
    insert("fills", 12, 5);
    const std::vector<std::string> words{"--table", "trading.fills", "--rename", "trading.fills=check.fills"};
    std::vector<std::string> dry = words;
    dry.insert(dry.end(), {"--dry-run", "--json"});
    const Answer plan = restore(dry);
    ASSERT_EQ(plan.exit, 0) << plan.errors;
    const json::Value components = plan.json()["components"];
    ASSERT_EQ(components.items().size(), 1u);
    ASSERT_EQ(components.items()[0]["steps"].items().size(), 1u);
    EXPECT_THAT(components.items()[0]["steps"].items()[0]["what"].text(), HasSubstr("trading.fills as check.fills"));
    EXPECT_THAT(sql("SHOW DATABASES"), Not(HasSubstr("check")));

    std::vector<std::string> real = words;
    real.push_back("--yes");
    const Answer done = restore(real);
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_THAT(done.output, HasSubstr("digests equal"));
    EXPECT_EQ(content("check.fills"), before);
    EXPECT_EQ(sql("SELECT count() FROM trading.fills"), "3005\n");
    // Without an answer nothing is done.
    EXPECT_EQ(restore({"--table", "trading.fills", "--rename", "trading.fills=check.other"}).exit, 2);
    EXPECT_THAT(sql("SHOW TABLES FROM check"), Not(HasSubstr("other")));
}

TEST_F(ClickHouseStory, APartitionThatWasDroppedComesBackIntoTheTable) {    // EA-06, DD-04
    const std::string before = content("trading.fills");
    sql("ALTER TABLE trading.fills DROP PARTITION 202610");
    const std::vector<std::string> words{"--table", "trading.fills", "--partition", "202610", "--yes"};
    const Answer done = restore(words);
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(content("trading.fills"), before);
    // Now it is there: only --replace touches it, and what was in it is kept.
    insert("fills", 10, 3);
    const Answer refused = restore(words);
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("--replace"));
    std::vector<std::string> told = words;
    told.push_back("--replace");
    const Answer replaced = restore(told);
    ASSERT_EQ(replaced.exit, 0) << replaced.errors;
    EXPECT_THAT(replaced.output, HasSubstr("fills__replaced_"));
    EXPECT_EQ(content("trading.fills"), before);
}

TEST_F(ClickHouseStory, WhatCannotBeMeantIsAnUsageErrorWithTheCure) {
    for (const auto& [words, cure] : {
             std::pair{std::vector<std::string>{"--partition", "202610"}, "--table"},
             std::pair{std::vector<std::string>{"--table", "trading.fills", "--rename", "x"},
                       "FROM=TO|trading.fills_back"},
             std::pair{std::vector<std::string>{"--table", "trading.fills", "--target", "/tmp/nowhere"}, "--include"},
             std::pair{std::vector<std::string>{"--table", "trading.fills", "--keys", "*"}, "--keys"},
         }) {
        const Answer answer = restore(words);
        EXPECT_EQ(answer.exit, 2) << answer.errors;
        EXPECT_THAT(answer.errors, HasSubstr(std::string(cure).substr(0, std::string(cure).find('|'))));
    }
    const Answer other = configured({"restore", "latest", "--only", "executions", "--table", "x.y", "--yes"});
    EXPECT_EQ(other.exit, 2) << other.errors;
    const Answer nothing = restore({"--table", "trading.filsl", "--yes"});
    EXPECT_EQ(nothing.exit, 1);
    EXPECT_THAT(nothing.errors, HasSubstr("trading.fills"));
}

// The program is killed while it restores, again and again: what stands under the table's name is whole, and the next one finishes.
TEST_F(ClickHouseStory, AKilledRestoreLeavesTheOldOneOrTheWholeNewOne) {
    const std::string before = content("trading.fills");
    insert("fills", 12, 500);
    const std::string changed = content("trading.fills");
    int killed = 0;
    for (int round = 0; round < 12; ++round) {
        os::Command command = alone({"restore", "latest", "--only", "clickhouse", "--table", "trading.fills",
                                     "--replace", "--yes", "--config", at("holdfast.toml")});
        auto process = os::Process::start(command);
        ASSERT_TRUE(process) << process.error().message;
        std::this_thread::sleep_for(std::chrono::milliseconds(10 + round * 15));
        process->kill(SIGKILL);
        const auto ended = process->wait();
        ASSERT_TRUE(ended) << ended.error().message;
        killed += ended->signal == SIGKILL;
        const std::string now = content("trading.fills");
        EXPECT_TRUE(now == before || now == changed) << now;
    }
    EXPECT_GE(killed, 3);    // else they hit nothing
    const Answer done = restore({"--table", "trading.fills", "--replace", "--yes"});
    ASSERT_EQ(done.exit, 0) << done.errors;
    EXPECT_EQ(content("trading.fills"), before);
    EXPECT_THAT(sql("SHOW TABLES FROM trading"), Not(HasSubstr("__holdfast_restore")));
}

// Killed backups leave hard links that keep the space of dropped parts; the next backup takes them away.
TEST_F(ClickHouseStory, KilledBackupsByFilesLeaveNothingOnceOneEnds) {    // EA-11
    write(at("holdfast.toml"),
          fmt::format("stack = \"desk\"\n[[clickhouse]]\nurl = \"{}\"\nmethod = \"freeze\"\n", server_->url()));
    const std::string before = content("trading.fills");
    // Spread over the time that a whole one takes on this machine, now.
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_EQ(configured({"backup", "--full"}).exit, 0);
    const auto whole = std::chrono::steady_clock::now() - begun;
    int killed = 0;
    for (int round = 0; round < 10; ++round) {
        os::Command command = alone({"backup", "--full", "--config", at("holdfast.toml")});
        auto process = os::Process::start(command);
        ASSERT_TRUE(process) << process.error().message;
        std::this_thread::sleep_for(whole * (round + 1) / 12);
        process->kill(SIGKILL);
        const auto ended = process->wait();
        ASSERT_TRUE(ended) << ended.error().message;
        killed += ended->signal == SIGKILL;
    }
    EXPECT_GE(killed, 3);    // else they hit nothing
    const Answer saved = configured({"backup", "--full"});
    ASSERT_EQ(saved.exit, 0) << saved.errors;
    EXPECT_THAT(holdfast({"dump", "latest", "/manifest.json"}).output, HasSubstr("6 as files"));
    const auto left = os::list_folder(server_->data_folder() + "/shadow");
    ASSERT_TRUE(left) << left.error().message;
    for (const std::string& name : *left) EXPECT_FALSE(name.starts_with("holdfast_")) << name;
    ASSERT_TRUE(server_->wipe());
    ASSERT_TRUE(server_->restart());
    const Answer restored = configured({"restore", "latest", "--yes"});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    EXPECT_THAT(restored.output, HasSubstr("digests equal"));
    EXPECT_EQ(content("trading.fills"), before);
}

// The server dies while it is read: that backup has no ClickHouse, and says so; the next one has.
TEST_F(ClickHouseStory, AServerKilledInItsBackupFailsThatComponentOnly) {
    for (int i = 0; i < 30; ++i) insert("orders", 11, 100'000);
    const std::string before = content("trading.orders");
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_EQ(configured({"backup", "--full"}).exit, 0);
    const auto whole = std::chrono::steady_clock::now() - begun;
    bool hit = false;
    for (int part = 1; part < 8 && !hit;
         ++part) {    // one that comes too early or too late meets a whole backup, or none
        os::Command command = alone({"backup", "--full", "--json", "--config", at("holdfast.toml")});
        auto process = os::Process::start(command);
        ASSERT_TRUE(process) << process.error().message;
        std::this_thread::sleep_for(whole * part / 8);
        server_->kill();
        const auto ended = process->wait();
        ASSERT_TRUE(ended) << ended.error().message;
        hit = ended->code == 3;
        EXPECT_TRUE(hit || ended->code == 0) << ended->text();
        if (hit) {
            EXPECT_THAT(os::read_text(at("answer")).value(), HasSubstr("unreachable"));
        }
        ASSERT_TRUE(server_->restart());
    }
    EXPECT_TRUE(hit);
    ASSERT_EQ(content("trading.orders"), before);
    ASSERT_EQ(configured({"backup"}).exit, 0);
    const Answer restored = restore({"--table", "trading.orders", "--replace", "--yes"});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    EXPECT_EQ(content("trading.orders"), before);
}

// NS-02, NS-16: both as plain files; with no holdfast at hand the rows go in by curl, the DuckDB file opens as it is.
TEST_F(ClickHouseStory, ExportedWithPlainToolsAndImportedIntoAnotherVault) {
    const std::string fills = content("trading.fills"), orders = content("trading.orders"), trades = executions();
    const Answer exported = configured({"export", "latest", "--target", at("plain"), "--json"});
    ASSERT_EQ(exported.exit, 0) << exported.errors;
    const std::string folder = exported.json()["folder"].text();
    const Answer valid = holdfast_bare({"validate", folder});
    EXPECT_EQ(valid.exit, 0) << valid.errors << valid.output;

    ASSERT_TRUE(server_->wipe());
    ASSERT_TRUE(server_->restart());
    ASSERT_TRUE(os::remove_tree(at("desk")));
    ASSERT_TRUE(os::make_folders(at("desk"), 0755));
    const Answer by_hand = run({"bash", "-c",
                                fmt::format(R"(set -euo pipefail
cd {0}
(cd clickhouse && sha256sum -c *.sha256) && (cd duckdb && sha256sum -c *.sha256)
gunzip -c duckdb/executions_*.duckdb.gz > {1}/executions.duckdb
for wal in duckdb/*.wal.gz; do [[ -e $wal ]] && gunzip -c "$wal" > {1}/executions.duckdb.wal; done
mkdir {2} && tar -xzf clickhouse/clickhouse_*.tar.gz -C {2} && cd {2}
echo 'CREATE DATABASE trading' | curl -sS --fail-with-body --data-binary @- {3}
for t in fills orders; do
    curl -sS --fail-with-body --data-binary @- {3} < trading/$t.sql
    for part in trading/$t/*.native; do curl -sS --fail-with-body -T - -X POST "{3}/?query=INSERT%20INTO%20trading.$t%20FORMAT%20Native" < "$part"; done
done)",
                                            folder, at("desk"), at("unpacked"), server_->url())});
    ASSERT_EQ(by_hand.exit, 0) << by_hand.output << by_hand.errors;
    EXPECT_EQ(content("trading.fills"), fills);
    EXPECT_EQ(content("trading.orders"), orders);
    EXPECT_EQ(executions(), trades);

    // Into another vault, and from there onto a machine that has nothing.
    ASSERT_TRUE(os::remove_tree(repository()));
    make_cheap_repository();
    const Answer imported = configured({"import", folder, "--json"});
    ASSERT_EQ(imported.exit, 0) << imported.errors;
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);
    ASSERT_TRUE(server_->wipe());
    ASSERT_TRUE(server_->restart());
    ASSERT_TRUE(os::remove_tree(at("desk")));
    ASSERT_TRUE(os::make_folders(at("desk"), 0755));
    const Answer restored = configured({"restore", "latest", "--yes"});
    ASSERT_EQ(restored.exit, 0) << restored.errors << restored.output;
    EXPECT_THAT(restored.output, HasSubstr("digests equal"));
    EXPECT_EQ(content("trading.fills"), fills);
    EXPECT_EQ(content("trading.orders"), orders);
    EXPECT_EQ(sql("SELECT sum(fills) FROM trading.symbols"), "3000\n");
    EXPECT_EQ(executions(), trades);
    // The next backup goes on from the imported snapshot.
    const Answer saved = configured({"backup"});
    EXPECT_EQ(saved.exit, 0) << saved.errors;
}

// Planted damage in what was exported: found by validate, and import takes nothing of it.
TEST_F(ClickHouseStory, DamageInAnExportedFolderIsFoundBeforeItGetsIn) {    // NS-16
    const Answer exported = configured({"export", "latest", "--target", at("plain"), "--json"});
    ASSERT_EQ(exported.exit, 0) << exported.errors;
    const std::string folder = exported.json()["folder"].text();
    ASSERT_TRUE(os::remove_tree(repository()));
    make_cheap_repository();
    for (const char* part : {"clickhouse", "duckdb"}) {
        const std::string copy = at(std::string("damaged-") + part) + "/" + os::file_name(folder);
        const Answer damaged =
            run({"bash", "-c",
                 fmt::format("set -e; mkdir -p {0}; cp -r {1}/. {0}; f=$(ls {0}/{2}/*.gz | head -1); "
                             "printf '\\377' | dd of=$f bs=1 seek=$(($(stat -c %s $f) / 2)) conv=notrunc 2>/dev/null",
                             copy, folder, part)});
        ASSERT_EQ(damaged.exit, 0) << damaged.errors;
        EXPECT_EQ(holdfast_bare({"validate", copy}).exit, 1) << part;
        const Answer refused = configured({"import", copy});
        EXPECT_EQ(refused.exit, 1) << part << refused.errors;
        EXPECT_THAT(refused.errors, HasSubstr("is not good")) << part;
    }
    EXPECT_EQ(holdfast({"snapshots", "--json"}).json().items().size(), 0u);
}

}    // namespace
}    // namespace holdfast::scenario
