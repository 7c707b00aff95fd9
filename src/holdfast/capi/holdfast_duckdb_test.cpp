// The owner's side of a DuckDB database, with the real library: hooks around a checkpoint, copies through its own connection.

#include "holdfast_duckdb.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/source/duckdb_keeper.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::run_duckdb;

int run(void* context, const char* sql, char* error, size_t error_size) {
    const auto done = static_cast<db::DuckDb*>(context)->run(sql);
    if (done) return 0;
    fmt::format_to_n(error, error_size - 1, "{}", done.error().message).out[0] = 0;
    return 1;
}

class DuckDbOwner : public ::testing::Test {
protected:
    hfd_owner owner(db::DuckDb* connection) const {
        return {sizeof(hfd_owner), connection ? run : nullptr, connection, file_.c_str(), nullptr};
    }
    os::Finished example(const std::string& commits) {
        os::Command command;
        command.arguments = {HF_DUCKDB_EXAMPLE, file_, "live", commits, copy_};
        auto done = os::run(command, {}, 60s);
        EXPECT_TRUE(done) << done.error().message;
        return *std::move(done);
    }
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-owner-");
    os::SystemClock clock_;
    const std::string file_ = folder_.path() + "/live.duckdb", copy_ = folder_.path() + "/copy.duckdb";
    const std::string states_ = source::duckdb_states_folder(file_);
};

// DD-01, DD-03: not one commit passes between two states because of a checkpoint.
TEST_F(DuckDbOwner, ACheckpointBetweenTheHooksLosesNoState) {
    ASSERT_TRUE(run_duckdb(file_, "CREATE TABLE trades (id BIGINT, note VARCHAR)"));
    auto keeping = source::DuckDbKeeper::open({.path = file_, .folder = states_, .scratch = {}}, clock_);
    ASSERT_TRUE(keeping);
    ASSERT_TRUE((*keeping)->take());
    auto door = source::DuckDbDoor::open(states_);
    ASSERT_TRUE(door) << door.error().message;
    std::atomic<unsigned> asked = 0;
    std::jthread looks([&](const std::stop_token& stop) {    // at nothing but the owner's wish
        while (!stop.stop_requested())
            if (door->wait(20ms)) {
                ++asked;
                door->answer((*keeping)->take().has_value());
            }
    });
    const auto done = example("40");
    looks.request_stop();
    looks.join();
    EXPECT_TRUE(done.status.ok()) << done.output << done.errors;
    EXPECT_THAT(done.output, HasSubstr("checkpoint: HFD_OK"));
    EXPECT_EQ(asked, 2u);
    const auto kept = source::DuckDbStates(states_).list();
    ASSERT_TRUE(kept);
    ASSERT_GE(kept->states.size(), 2u);
    // All 40 commits are moments of the generation before, one is the state of the checkpoint.
    const source::KeptStates& before = kept->states[kept->states.size() - 2];
    EXPECT_EQ(before.commits(), 40u);
    const std::string then = folder_.path() + "/then.duckdb";
    for (const unsigned commits : {17u, 40u}) {
        ASSERT_TRUE(source::DuckDbStates(states_).write({before.generation.number, commits, {}}, then, false));
        EXPECT_TRUE(run_duckdb(
            then, fmt::format("SELECT CASE WHEN count(*) = {} THEN 1 ELSE error('lost') END FROM trades", commits)));
        for (const char* suffix : {"", ".wal"}) (void)os::remove_tree(then + suffix);
    }
    EXPECT_EQ(kept->states.back().commits(), 0u);
}

TEST_F(DuckDbOwner, WithoutAKeeperTheOwnerGoesOn) {
    const auto done = example("3");
    EXPECT_TRUE(done.status.ok()) << done.output << done.errors;
    EXPECT_THAT(done.output, HasSubstr("checkpoint: HFD_NOBODY"));
    EXPECT_THAT(done.output, HasSubstr("copy: HFD_OK"));
    EXPECT_TRUE(run_duckdb(copy_, "SELECT CASE WHEN count(*) = 3 THEN 1 ELSE error('wrong') END FROM trades"));
    // A keeper that is busy holds nobody up longer than told.
    ASSERT_TRUE(os::make_folders(states_));
    auto door = source::DuckDbDoor::open(states_);
    ASSERT_TRUE(door);
    const hfd_owner waiting = owner(nullptr);
    EXPECT_EQ(hfd_before_checkpoint(&waiting, 20), HFD_LATE);
    EXPECT_THAT(hfd_last_error(), HasSubstr("did not answer within 20 ms"));
    std::jthread busy([&](const std::stop_token& stop) {    // it may still meet the wish that nobody waits for any more
        while (!stop.stop_requested())
            if (door->wait(10ms)) door->answer(false);
    });
    EXPECT_EQ(hfd_after_checkpoint(&waiting, 5000), HFD_FAILED);
}

// DD-10: one transaction, while another connection of the same process commits.
TEST_F(DuckDbOwner, ACopyIsOfOneTransaction) {
    auto database = db::DuckDb::open(file_, db::DuckDb::Mode::read_write);
    ASSERT_TRUE(database) << database.error().message;
    ASSERT_TRUE(
        database->run("CREATE TABLE a AS SELECT 0::BIGINT AS n; CREATE TABLE b AS SELECT 0::BIGINT AS n;"
                      "CREATE TABLE big AS SELECT hash(i) AS h FROM range(300000) r(i)"));
    auto other = database->connect();
    ASSERT_TRUE(other);
    std::atomic<unsigned> commits = 0;
    std::jthread writes([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            ASSERT_TRUE(other->run("BEGIN; UPDATE a SET n = n + 1; UPDATE b SET n = n + 1; COMMIT"));
            ++commits;
        }
    });
    const hfd_owner self = owner(&*database);
    for (int i = 0; i < 5; ++i) {
        const unsigned before = commits;
        ASSERT_EQ(hfd_copy(&self, "live", copy_.c_str()), HFD_OK) << hfd_last_error();
        EXPECT_TRUE(run_duckdb(copy_, fmt::format("SELECT CASE WHEN (FROM a) = (FROM b) AND (FROM a) >= {} THEN 1 ELSE "
                                                  "error('torn') END; SELECT CASE WHEN count(*) = 300000 THEN 1 ELSE "
                                                  "error('not all') END FROM big",
                                                  before)));
        while (commits == before) clock_.sleep(1ms);    // the owner's other connections go on
    }
    EXPECT_FALSE(os::exists(copy_ + ".wal"));
    EXPECT_EQ(os::status_of(copy_)->st_mode & 0777, 0600u);
}

TEST_F(DuckDbOwner, AFailedCopyLeavesTheOneThatWasThere) {
    auto database = db::DuckDb::open(file_, db::DuckDb::Mode::read_write);
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("CREATE TABLE t AS SELECT 1 AS i"));
    const hfd_owner self = owner(&*database);
    ASSERT_EQ(hfd_copy(&self, "live", copy_.c_str()), HFD_OK) << hfd_last_error();
    const Bytes good = *os::read_file(copy_);
    EXPECT_EQ(hfd_copy(&self, "no \"such", copy_.c_str()), HFD_SQL);
    EXPECT_THAT(hfd_last_error(), HasSubstr("COPY FROM DATABASE"));
    EXPECT_TRUE(*os::read_file(copy_) == good);
    EXPECT_FALSE(os::exists(copy_ + ".holdfast-copy"));
    // What a kill left does not stand in the way, nor does a name with a quote in it.
    ASSERT_TRUE(os::write_file(folder_.path() + "/it's.duckdb.holdfast-copy", as_bytes("half a copy")));
    EXPECT_EQ(hfd_copy(&self, "live", (folder_.path() + "/it's.duckdb").c_str()), HFD_OK) << hfd_last_error();
    EXPECT_EQ(hfd_copy(&self, "live", "relative.duckdb"), HFD_USAGE);
    // A log that lies beside the old copy would be replayed into the new one.
    ASSERT_TRUE(os::write_file(copy_ + ".wal", as_bytes("left")));
    EXPECT_EQ(hfd_copy(&self, "live", copy_.c_str()), HFD_IO);
    EXPECT_THAT(hfd_last_error(), ::testing::HasSubstr(copy_ + ".wal is there"));
    ASSERT_TRUE(os::remove_tree(copy_ + ".wal"));
    EXPECT_EQ(hfd_copy(nullptr, "live", copy_.c_str()), HFD_USAGE);
    hfd_owner old = self;
    old.size = 8;
    EXPECT_EQ(hfd_copy(&old, "live", copy_.c_str()), HFD_USAGE);
    EXPECT_STREQ(hfd_code_name(HFD_LATE), "HFD_LATE");
}

// A database in memory has no file that a backup could read.
TEST_F(DuckDbOwner, ADatabaseInMemoryIsCopiedToo) {
    auto database = db::DuckDb::open(":memory:", db::DuckDb::Mode::read_write);
    ASSERT_TRUE(database) << database.error().message;
    ASSERT_TRUE(database->run("CREATE TABLE t AS SELECT i FROM range(1000) r(i)"));
    hfd_owner self = owner(&*database);
    self.file = nullptr;
    ASSERT_EQ(hfd_copy(&self, "memory", copy_.c_str()), HFD_OK) << hfd_last_error();
    EXPECT_TRUE(run_duckdb(copy_, "SELECT CASE WHEN count(*) = 1000 THEN 1 ELSE error('wrong') END FROM t"));
    EXPECT_EQ(hfd_checkpoint(&self, 10), HFD_NOBODY);
}

}    // namespace
}    // namespace holdfast
