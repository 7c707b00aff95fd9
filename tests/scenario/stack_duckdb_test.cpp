// A live DuckDB of which every commit is kept: watched, looked at, brought back as of any moment, repaired. DD-01, DD-02, DD-03, DD-08,
// DD-10, MT-03, MT-14, MT-18.

#include <gmock/gmock.h>
#include <signal.h>

#include "holdfast/os/host.hpp"
#include "holdfast/testing/duckdb_writer.hpp"
#include "scenario.hpp"
#include "watching.hpp"

namespace holdfast::scenario {
namespace {

using holdfast::testing::check_writer_copy;
using holdfast::testing::DuckDbWriter;
using ::testing::HasSubstr;

class DuckDbStory : public Scenario {
protected:
    void SetUp() override {
        write(at("holdfast.toml"), "[[duckdb]]\npath = \"" + file() + "\"\nkeep_every_milliseconds = 100\n");
    }
    std::string file() const { return at("trades.duckdb"); }
    Answer duckdb(std::vector<std::string> words) const {
        words.insert(words.begin(), "duckdb");
        words.insert(words.end(), {"--config", at("holdfast.toml")});
        return holdfast_bare(std::move(words));
    }
};

TEST_F(DuckDbStory, AnyMomentOfALiveDatabaseComesBack) {
    auto writer = DuckDbWriter::start(file(), DuckDbWriter::Load::mixed, {"checkpoint_threshold=200KB"});
    ASSERT_TRUE(writer) << writer.error().message;
    Watching watch(command({"duckdb", "watch", "--json", "--each", "--config", at("holdfast.toml")}));
    const json::Value verified = watch.next("verified");
    ASSERT_EQ(verified["event"].text(), "verified") << json::dump(verified);
    EXPECT_EQ(verified["facts"]["tables"].items().size(), 4u);
    // One moment in the middle, with what was acknowledged before it.
    const auto before = writer->acknowledged();
    const Timestamp seen = os::SystemClock().now();
    json::Value moment = watch.next("kept");
    while (moment["event"].text() == "kept" && parse_rfc3339(moment["time"].text()).value() <= seen)
        moment = watch.next("kept");
    ASSERT_EQ(moment["event"].text(), "kept") << json::dump(moment);
    for (int i = 0; i < 6; ++i) watch.next("kept");
    writer->kill();
    const auto last = check_writer_copy(file());
    ASSERT_TRUE(last) << last.error().message;
    EXPECT_EQ(watch.stop().code, 0);

    EXPECT_THAT(duckdb({"states", "trade"}).errors, HasSubstr("there is no database"));    // a slip of the pen
    const json::Value states = duckdb({"states", "trades", "--commits", "--json"}).json();
    ASSERT_GT(states["generations"].items().size(), 1u);
    const Answer plan = duckdb({"restore", "trades", "--at", moment["time"].text(), "--dry-run", "--replace"});
    EXPECT_EQ(plan.exit, 0) << plan.errors;
    EXPECT_THAT(plan.output, HasSubstr("replaces: put " + file()));
    const Answer refused = duckdb({"restore", "trades", "--at", moment["time"].text()});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("--replace"));

    const Answer restored = duckdb({"restore", "trades", "--at", moment["time"].text(), "--replace", "--json"});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    EXPECT_EQ(restored.json()["state"].text(), moment["state"].text());
    const auto then = check_writer_copy(file());
    ASSERT_TRUE(then) << then.error().message;
    for (const auto& [lane, sequence] : before) EXPECT_GE(then->at(lane), sequence);
    EXPECT_LT(then->at(0), last->at(0));
    // The one that was verified is compared with what was found then.
    const Answer known = duckdb({"restore", "trades", "--verified", "--to", at("known.duckdb"), "--json"});
    ASSERT_EQ(known.exit, 0) << known.errors;
    EXPECT_TRUE(known.json()["digests_compared"].boolean());
    EXPECT_TRUE(check_writer_copy(at("known.duckdb")));
}

TEST_F(DuckDbStory, OnceIsForCron) {
    ASSERT_TRUE(holdfast::testing::run_duckdb(file(), "CREATE TABLE t AS SELECT i FROM range(1000) r(i)"));
    const Answer once = duckdb({"watch", "--once"});
    EXPECT_EQ(once.exit, 0) << once.errors;
    EXPECT_THAT(once.output, HasSubstr("verified"));
    EXPECT_THAT(duckdb({"states", "trades"}).output, HasSubstr("at +0"));
    // By its path, without a configuration, into another place.
    const Answer elsewhere = holdfast_bare({"duckdb", "restore", file(), "--to", at("else.duckdb")});
    EXPECT_EQ(elsewhere.exit, 0) << elsewhere.errors;
    EXPECT_THAT(elsewhere.output, HasSubstr("main.t: 1000 rows"));
}

TEST_F(DuckDbStory, DamageOfWhatIsKeptIsFoundBeforeAnythingIsReplaced) {
    ASSERT_TRUE(holdfast::testing::run_duckdb(file(), "CREATE TABLE t AS SELECT hash(i) AS h FROM range(100000) r(i)"));
    ASSERT_EQ(duckdb({"watch", "--once"}).exit, 0);
    const Bytes live = os::read_file(file()).value();
    const std::string blocks = at(".holdfast/trades.duckdb/00000001.blocks");
    Bytes bytes = os::read_file(blocks).value();
    bytes[100000] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(blocks, bytes));
    const Answer refused = duckdb({"restore", "trades", "--replace"});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("is damaged"));
    EXPECT_TRUE(os::read_file(file()).value() == live);
    const auto names = os::list_folder(at("")).value();
    for (const std::string& name : names)
        EXPECT_EQ(name.find("restore"), name.npos) << name << " is left of the attempt";
}

TEST_F(DuckDbStory, ADamagedLogIsRepairedAndWhatIsLostIsSaid) {
    auto writer = DuckDbWriter::start(file(), DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
    ASSERT_TRUE(writer);
    const Answer open = duckdb({"repair", "trades"});
    EXPECT_EQ(open.exit, 11);
    EXPECT_THAT(open.errors, HasSubstr("is open in process"));
    writer->kill();
    EXPECT_EQ(duckdb({"repair", "trades"}).exit, 0);
    const auto whole = check_writer_copy(file());
    ASSERT_TRUE(whole);
    Bytes log = os::read_file(file() + ".wal").value();
    ASSERT_GT(log.size(), 8000u);    // among the first transfers, behind the tables
    log[8000] ^= std::byte{8};
    ASSERT_TRUE(os::write_file(file() + ".wal", log));
    const Answer found = duckdb({"repair", "trades"});
    EXPECT_EQ(found.exit, 1);
    EXPECT_THAT(found.output, HasSubstr("in main.transfers"));
    EXPECT_THAT(found.errors, HasSubstr("nothing was changed"));
    const Answer repaired = duckdb({"repair", "trades", "--replace", "--json"});
    ASSERT_EQ(repaired.exit, 0) << repaired.errors;
    const json::Value said = repaired.json();
    EXPECT_GT(said["log"]["lost_commits"].natural(), 0u);
    const auto lanes = check_writer_copy(file());
    ASSERT_TRUE(lanes) << lanes.error().message;
    EXPECT_LT(lanes->at(0), whole->at(0));
    EXPECT_TRUE(os::read_file(said["old_one_is_at"].text() + ".wal").value() == log);
    EXPECT_EQ(duckdb({"repair", "trades"}).exit, 0);
}

class DuckDbVaultStory : public DuckDbStory {
protected:
    void SetUp() override {
        make_repository();
        write(at("holdfast.toml"), "stack = \"desk\"\nscratch_folder = \"" + at("scratch") + "\"\nstate_folder = \"" +
                                       at("state") + "\"\n[[duckdb]]\npath = \"" + file() +
                                       "\"\nkeep_every_milliseconds = 100\n");
    }
    Answer configured(std::vector<std::string> arguments) const {
        return holdfast(std::move(arguments), {{"HOLDFAST_CONFIG", at("holdfast.toml")}});
    }
    json::Value saved() const { return configured({"backup", "--json"}).json()["components"].items().at(0); }
};

// DD-02, DD-03, DD-08: the vault brings back what was between two of its backups.
TEST_F(DuckDbVaultStory, AMomentBetweenTwoBackupsComesOutOfTheVault) {
    auto writer = DuckDbWriter::start(file(), DuckDbWriter::Load::mixed, {"checkpoint_threshold=1MB"});
    ASSERT_TRUE(writer) << writer.error().message;
    Watching watch(command({"duckdb", "watch", "--json", "--each", "--config", at("holdfast.toml")}));
    ASSERT_EQ(watch.next("verified")["event"].text(), "verified");
    const json::Value first = saved();
    EXPECT_EQ(first["status"].text(), "complete");
    for (int i = 0; i < 4; ++i) watch.next("kept");
    const auto before = writer->acknowledged();
    const Timestamp seen = os::SystemClock().now();
    json::Value moment = watch.next("kept");
    while (moment["event"].text() == "kept" && parse_rfc3339(moment["time"].text()).value() <= seen)
        moment = watch.next("kept");
    for (int i = 0; i < 4; ++i) watch.next("kept");
    const json::Value second = saved();
    ASSERT_GT(second["facts"]["states"]["moments"].natural(), 5u) << json::dump(second["facts"]);
    writer->kill();
    EXPECT_EQ(watch.stop().code, 0);
    const auto last = check_writer_copy(file());
    ASSERT_TRUE(last) << last.error().message;
    ASSERT_TRUE(os::remove_tree(at(".holdfast")));    // the disk of the keeper is lost
    ASSERT_EQ(configured({"check", "--read-data"}).exit, 0);

    const std::vector<std::string> back{"restore", "latest", "--only", "trades", "--time", moment["time"].text()};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), back.begin(), back.end());
        return configured(more);
    };
    const Answer plan = with({"--replace", "--dry-run"});
    EXPECT_EQ(plan.exit, 0) << plan.errors;
    EXPECT_THAT(plan.output, HasSubstr("as of " + moment["time"].text() + " (state " + moment["state"].text()));
    const Answer restored = with({"--replace", "--yes"});
    ASSERT_EQ(restored.exit, 0) << restored.errors;
    const auto then = check_writer_copy(file());
    ASSERT_TRUE(then) << then.error().message;
    for (const auto& [lane, sequence] : before) EXPECT_GE(then->at(lane), sequence);
    EXPECT_LT(then->at(0), last->at(0));

    EXPECT_EQ(configured({"restore", "latest", "--time", moment["time"].text(), "--yes"}).exit, 2);    // of everything?
    const Answer too_late = configured({"restore", "latest", "--only", "trades", "--time", "2200-01-01", "--dry-run"});
    EXPECT_EQ(too_late.exit, 1);
    EXPECT_THAT(too_late.errors, HasSubstr("the newest moment of trades in the vault is"));
}

// HA-08, MT-18: a damaged database is saved as it is, and is no copy.
TEST_F(DuckDbVaultStory, ADamagedDatabaseIsSavedAsideAndTold) {
    auto writer = DuckDbWriter::start(file(), DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
    ASSERT_TRUE(writer);
    writer->kill();
    EXPECT_EQ(saved()["status"].text(), "complete");
    const auto good = check_writer_copy(file());
    ASSERT_TRUE(good);
    Bytes log = os::read_file(file() + ".wal").value();
    ASSERT_GT(log.size(), 8000u);
    log[8000] ^= std::byte{8};
    ASSERT_TRUE(os::write_file(file() + ".wal", log));

    const Answer told = configured({"backup"});
    EXPECT_EQ(told.exit, 3);
    EXPECT_THAT(told.output, HasSubstr("damaged"));
    EXPECT_THAT(told.errors, HasSubstr("in main.transfers"));    // what cannot be read
    EXPECT_THAT(told.errors, HasSubstr("holdfast duckdb repair"));
    EXPECT_EQ(saved()["status"].text(), "damaged");
    const Answer status = configured({"status"});
    EXPECT_EQ(status.exit, 3);
    EXPECT_THAT(status.output, HasSubstr("it is damaged"));
    const Answer doctor = configured({"doctor"});
    EXPECT_NE(doctor.exit, 0);
    EXPECT_THAT(doctor.output + doctor.errors, HasSubstr("holdfast duckdb repair trades --replace"));

    const Answer refused = configured({"restore", "latest", "--only", "trades", "--replace", "--yes"});
    EXPECT_EQ(refused.exit, 1);
    EXPECT_THAT(refused.errors, HasSubstr("it was damaged when snapshot"));
    EXPECT_THAT(refused.errors, HasSubstr("the newest whole copy is in snapshot"));
    EXPECT_TRUE(os::read_file(file() + ".wal").value() == log);    // nothing was touched
    ASSERT_EQ(configured({"restore", "latest", "--target", at("back")}).exit, 0);
    EXPECT_TRUE(os::read_file(at("back/duckdb/trades.damaged/trades.duckdb.wal")).value() == log);
    EXPECT_FALSE(os::exists(at("back/duckdb/trades.duckdb")));

    const std::string whole =
        configured({"status", "--json"}).json()["components"].items().at(0)["newest_whole"]["snapshot"].text();
    ASSERT_EQ(configured({"restore", whole, "--only", "trades", "--replace", "--yes"}).exit, 0);
    EXPECT_EQ(check_writer_copy(file()).value(), good.value());
}

}    // namespace
}    // namespace holdfast::scenario
