// Backups of a database of which states are kept: out of the states, as whole files, and never less than was acknowledged.

#include "holdfast/source/duckdb_kept.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/source/duckdb_keeper.hpp"
#include "holdfast/testing/duckdb_writer.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;
using testing::DuckDbWriter;
using ::testing::HasSubstr;
using testing::run_duckdb;

// Bytes that this process asked to read from files, so far.
std::uint64_t bytes_read() {
    const std::string text = os::read_text("/proc/self/io").value();
    return std::stoull(text.substr(text.find("rchar: ") + 7));
}

// The system's, some time later.
class LaterClock final : public Clock {
public:
    Timestamp now() const override { return {real_.now().nanoseconds + later.count()}; }
    Instant instant() const override { return real_.instant(); }
    void sleep(Duration d) override { real_.sleep(d); }
    Duration later{};

private:
    os::SystemClock real_;
};

class KeptDuckDbCapture : public ::testing::Test {
protected:
    void SetUp() override {
        repository_ = make_repository("vault");
        config_.name = "live";
        config_.path = file_;
    }
    std::unique_ptr<vault::Repository> make_repository(const std::string& name) {
        return make_test_repository(folder_.path() + "/" + name, clock_);
    }
    std::unique_ptr<DuckDbKeeper> keeper() {
        auto made = DuckDbKeeper::open({.path = file_, .folder = states_, .scratch = {}}, clock_);
        EXPECT_TRUE(made) << made.error().message;
        return *std::move(made);
    }
    void keep_and_verify() {
        const auto keeping = keeper();
        const auto taken = keeping->take();
        ASSERT_TRUE(taken) << taken.error().message;
        ASSERT_TRUE(keeping->verify(db::DuckDbCheck::Depth::digest));
    }
    struct Captured {
        json::Value facts;
        vault::SnapshotEntry snapshot;
        format::SnapshotSummary summary;
        std::uint64_t read = 0;
    };
    Result<Captured> capture() {
        HF_DO(repository_->load_index(true));
        HF_TRY(auto backup, vault::Backup::start(*repository_, {}));
        CaptureContext context{*backup, later_clock_, "duckdb", folder_.path() + "/scratch"};
        context.earlier = [&]() -> std::optional<EarlierCopy> {
            if (!earlier_) return std::nullopt;
            return EarlierCopy{earlier_->snapshot.snapshot.tree, earlier_->facts};
        };
        Captured captured;
        const std::uint64_t before = bytes_read();
        HF_TRY(captured.facts, capture_duckdb(config_, context));
        captured.read = bytes_read() - before;
        HF_TRY(const auto outcome, backup->commit());
        captured.summary = outcome.summary;
        HF_TRY(captured.snapshot, repository_->find_snapshot("latest"));
        HF_DO(repository_->load_index(true));
        earlier_ = captured;
        return captured;
    }
    // As `restic restore` lays it out; returns the database's path.
    std::string lay_out(const vault::SnapshotEntry& snapshot) {
        const std::string target = folder_.path() + "/out";
        EXPECT_TRUE(os::remove_tree(target));
        vault::RestoreOptions options;
        options.target = target;
        const auto done = vault::restore(*repository_, snapshot, options);
        EXPECT_TRUE(done) << done.error().message;
        return target + "/duckdb/live.duckdb";
    }
    void expect_same_as_the_file(const Captured& captured) {
        const std::string out = lay_out(captured.snapshot);
        EXPECT_TRUE(*os::read_file(out) == *os::read_file(file_));
        EXPECT_EQ(os::exists(out + ".wal"), os::exists(file_ + ".wal"));
        if (os::exists(file_ + ".wal")) {
            EXPECT_TRUE(*os::read_file(out + ".wal") == *os::read_file(file_ + ".wal"));
        }
    }
    void expect_read_whole(const std::string& why) {
        const auto captured = capture();
        ASSERT_TRUE(captured) << captured.error().message;
        EXPECT_TRUE(captured->facts["kept"].is_null());
        EXPECT_THAT(captured->facts["how"].text(), HasSubstr(why));
        EXPECT_EQ(captured->facts["proof"].text(), "digest");
        expect_same_as_the_file(*captured);
    }
    void make_database() {
        ASSERT_TRUE(
            run_duckdb(file_, "CREATE TABLE t AS SELECT i, hash(i) AS a, hash(i + 1) AS b FROM range(1500000) r(i)"));
    }

    os::SystemClock clock_;
    LaterClock later_clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-kept-");
    const std::string file_ = folder_.path() + "/live.duckdb";
    const std::string states_ = duckdb_states_folder(file_);
    std::unique_ptr<vault::Repository> repository_;
    policy::DuckDbConfig config_;
    std::optional<Captured> earlier_;
};

// DD-02, DD-10: the second backup reads, hashes and stores what changed; its file is whole all the same.
TEST_F(KeptDuckDbCapture, ReadsOnlyTheBlocksThatChanged) {
    make_database();
    keep_and_verify();
    const auto first = capture();
    ASSERT_TRUE(first) << first.error().message;
    const std::uint64_t size = first->facts["file_bytes"].natural();
    ASSERT_GT(size, 20u << 20);
    ASSERT_FALSE(first->facts["kept"].is_null()) << first->facts["how"].text();
    // It is the state that was read through: what was found then is what a restore compares.
    EXPECT_EQ(first->facts["proof"].text(), "digest");
    EXPECT_EQ(first->facts["tables"].items()[0]["rows"].natural(), 1500000u);
    expect_same_as_the_file(*first);

    ASSERT_TRUE(run_duckdb(file_, "UPDATE t SET a = 0 WHERE i BETWEEN 100000 AND 115000"));
    keep_and_verify();
    const auto second = capture();
    ASSERT_TRUE(second) << second.error().message;
    ASSERT_FALSE(second->facts["kept"].is_null()) << second->facts["how"].text();
    EXPECT_LT(second->read, size / 4);
    EXPECT_LT(second->summary.data_added, size / 4);
    EXPECT_GT(second->summary.data_added, 0u);
    expect_same_as_the_file(*second);
    // The first one is still whole.
    EXPECT_TRUE(os::exists(lay_out(first->snapshot)));
}

// DD-02: commits in the log come with it, also those that came after the newest look.
TEST_F(KeptDuckDbCapture, HoldsWhatWasCommittedAfterTheNewestLook) {
    make_database();
    keep_and_verify();
    ASSERT_TRUE(capture());
    ASSERT_TRUE(run_duckdb(file_, "PRAGMA disable_checkpoint_on_shutdown; INSERT INTO t VALUES (7777777, 1, 2)",
                           {"checkpoint_threshold=1GB"}));
    ASSERT_GT(os::read_file(file_ + ".wal")->size(), 0u);
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    ASSERT_FALSE(captured->facts["kept"].is_null()) << captured->facts["how"].text();
    EXPECT_EQ(captured->facts["wal_commits"].natural(), 1u);
    // Nobody has read this state through yet, and it does not say so.
    EXPECT_EQ(captured->facts["proof"].text(), "kept");
    EXPECT_TRUE(captured->facts["tables"].is_null());
    EXPECT_FALSE(captured->facts["kept"]["verified"]["checked"].text().empty());
    const std::string out = lay_out(captured->snapshot);
    EXPECT_TRUE(*os::read_file(out) == *os::read_file(file_));
    EXPECT_TRUE(
        run_duckdb(out, "SELECT CASE WHEN count(*) = 1 THEN 1 ELSE error('it is lost') END FROM t WHERE i = 7777777"));
}

// DD-10, EA-10: a writer that never stops, and a keeper beside it.
TEST_F(KeptDuckDbCapture, OfALiveWriterHoldsEveryAcknowledgedCommit) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=2MB"});
    ASSERT_TRUE(writer) << writer.error().message;
    const auto keeping = keeper();
    ASSERT_TRUE(keeping->take());
    ASSERT_TRUE(keeping->verify(db::DuckDbCheck::Depth::count));
    std::jthread looks([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            (void)keeping->take();
            clock_.sleep(20ms);
        }
    });
    unsigned out_of_kept = 0;
    for (unsigned round = 0; round < 12; ++round) {
        const auto before = writer->acknowledged();
        const auto captured = capture();
        ASSERT_TRUE(captured) << captured.error().message;
        out_of_kept += !captured->facts["kept"].is_null();
        const auto lanes = testing::check_writer_copy(lay_out(captured->snapshot));
        ASSERT_TRUE(lanes) << captured->facts["how"].text() << ": " << lanes.error().message;
        for (const auto& [lane, sequence] : before)
            EXPECT_GE(lanes->contains(lane) ? lanes->at(lane) : 0, sequence) << captured->facts["how"].text();
    }
    EXPECT_GT(out_of_kept, 0u);
}

// A hash is trusted for the bytes that it was taken of, and for nothing else.
TEST_F(KeptDuckDbCapture, TrustsNothingKeptWhenTheFileMayBeAnother) {
    make_database();
    keep_and_verify();
    ASSERT_TRUE(capture());
    const Bytes bytes = *os::read_file(file_);
    {    // in place, with the very same bytes: only its times tell
        const os::Fd file = *os::open_file(file_, O_WRONLY);
        ASSERT_TRUE(os::pwrite_all(file.get(), ByteView(bytes).subspan(300000, 100), 300000));
    }
    expect_read_whole("written since");
    keep_and_verify();
    // Put back by rename: the same bytes under another inode.
    ASSERT_TRUE(os::write_file(file_, bytes));
    expect_read_whole("written since");
}

TEST_F(KeptDuckDbCapture, ReadsAllWhenNoStateWasReadThrough) {
    make_database();
    ASSERT_TRUE(keeper()->take());
    expect_read_whole("no kept state was read through");
}

// An idle database needs no second look; a commit that nobody has read for long does.
TEST_F(KeptDuckDbCapture, TrustsAVerificationForAWhile) {
    make_database();
    keep_and_verify();
    ASSERT_TRUE(capture());
    later_clock_.later = 1h;
    ASSERT_TRUE(run_duckdb(file_, "PRAGMA disable_checkpoint_on_shutdown; INSERT INTO t VALUES (7777777, 1, 2)",
                           {"checkpoint_threshold=1GB"}));
    const auto soon = capture();
    ASSERT_TRUE(soon) << soon.error().message;
    EXPECT_FALSE(soon->facts["kept"].is_null()) << soon->facts["how"].text();
    ASSERT_TRUE(keeper()->take());    // an hour ago, by the backup's clock
    expect_read_whole("lately");
}

// MT-18: what libduckdb refused goes into no vault on trust.
TEST_F(KeptDuckDbCapture, ReadsAllAfterAVerificationThatFoundDamage) {
    make_database();
    keep_and_verify();
    {
        const auto keeping = keeper();
        ASSERT_TRUE(run_duckdb(file_, "UPDATE t SET a = 1 WHERE i < 10"));
        const auto taken = keeping->take();
        ASSERT_TRUE(taken);
        const std::string blocks = generation_file(states_, taken->state.generation, ".blocks");
        Bytes bytes = *os::read_file(blocks);
        bytes[4711] ^= std::byte{1};
        ASSERT_TRUE(os::write_file(blocks, bytes));
        ASSERT_FALSE(keeping->verify(db::DuckDbCheck::Depth::digest));
    }
    expect_read_whole("found damage");
    // The next whole verification lifts that.
    keep_and_verify();
    const auto captured = capture();
    ASSERT_TRUE(captured);
    EXPECT_EQ(captured->facts["how"].text(), "unchanged since the last backup");
    EXPECT_FALSE(os::exists(states_ + "/" + k_refused_name));
}

TEST_F(KeptDuckDbCapture, ReadsAllWhenAKeptBlockIsDamaged) {
    make_database();
    keep_and_verify();
    const std::string blocks = generation_file(states_, 1, ".blocks");
    Bytes bytes = *os::read_file(blocks);
    bytes[262144 * 3 + 4711] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(blocks, bytes));
    expect_read_whole("is damaged");
}

// Names of blobs belong to contents: a repository that does not have them gets them.
TEST_F(KeptDuckDbCapture, BringsEveryBlockToARepositoryThatLacksIt) {
    make_database();
    keep_and_verify();
    ASSERT_TRUE(capture());
    ASSERT_TRUE(os::exists(states_ + "/blob-ids"));
    repository_ = make_repository("other");
    earlier_.reset();
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    ASSERT_FALSE(captured->facts["kept"].is_null());
    EXPECT_GE(captured->summary.data_added, captured->facts["file_bytes"].natural());
    expect_same_as_the_file(*captured);
}

TEST_F(KeptDuckDbCapture, ReadsWhatANamelessBlockIsWhenTheNamesAreDamaged) {
    make_database();
    keep_and_verify();
    ASSERT_TRUE(capture());
    const std::string names = states_ + "/blob-ids";
    const Bytes good = *os::read_file(names);
    for (std::size_t at = 0; at < good.size(); at += good.size() / 5) {
        Bytes bad = good;
        bad[at] ^= std::byte{1};
        ASSERT_TRUE(os::write_file(names, bad));
        earlier_.reset();
        const auto captured = capture();
        ASSERT_TRUE(captured) << captured.error().message;
        EXPECT_FALSE(captured->facts["kept"].is_null());
        expect_same_as_the_file(*captured);
    }
}

// DD-03, DD-08: states between two backups come with the later one, each as a file that DuckDB opens.
TEST_F(KeptDuckDbCapture, BringsTheStatesSinceTheLastBackup) {
    make_database();
    keep_and_verify();
    ASSERT_TRUE(capture());
    {
        const auto keeping = keeper();
        for (int i = 1; i <= 4; ++i) {
            ASSERT_TRUE(run_duckdb(file_, fmt::format("INSERT INTO t VALUES ({}, 0, 0)", 9000000 + i)));
            ASSERT_TRUE(keeping->take());
        }
        ASSERT_TRUE(keeping->verify(db::DuckDbCheck::Depth::digest));
    }
    const auto second = capture();
    ASSERT_TRUE(second) << second.error().message;
    ASSERT_FALSE(second->facts["kept"].is_null()) << second->facts["how"].text();
    const json::Value& states = second->facts["states"];
    EXPECT_GE(states["generations"].natural(), 5u);    // the one of the first backup, too: its log may have gone on
    const std::string below = os::parent_folder(lay_out(second->snapshot));
    const auto document = json::parse(*os::read_text(below + "/live.states/" + k_states_file), "");
    ASSERT_TRUE(document);
    unsigned rows = 0;
    for (const json::Value& one : (*document)["generations"].items()) {
        const std::string file = below + "/" + one["file"].text();
        ASSERT_TRUE(os::exists(file)) << file;
        EXPECT_FALSE(one["moments"].items().empty());
        const std::string count =
            "SELECT CASE WHEN count(*) {} THEN 1 ELSE error('wrong') END FROM t WHERE i > 9000000";
        for (rows = 0; rows <= 4; ++rows)
            if (run_duckdb(file, fmt::format(fmt::runtime(count), fmt::format("= {}", rows)))) break;
        EXPECT_LE(rows, 4u) << file;
    }
    EXPECT_EQ(rows, 4u);    // the newest one has all

    // Nothing since: nothing comes twice.
    const auto third = capture();
    ASSERT_TRUE(third);
    EXPECT_EQ(third->facts["how"].text(), "unchanged since the last backup");
    EXPECT_TRUE(third->facts["states"]["moments"].is_null());
}

// HA-08, MT-18: what DuckDB would not open is kept as it is, and never passes for a good copy.
TEST_F(KeptDuckDbCapture, SavesADamagedDatabaseAside) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::inserts, {"checkpoint_threshold=1GB"});
    ASSERT_TRUE(writer) << writer.error().message;
    while (!os::exists(file_ + ".wal") || os::status_of(file_ + ".wal")->st_size < 20000) clock_.sleep(5ms);
    writer->kill();
    Bytes log = *os::read_file(file_ + ".wal");
    ASSERT_GT(log.size(), 2000u);
    log[log.size() / 2] ^= std::byte{0x20};
    ASSERT_TRUE(os::write_file(file_ + ".wal", log));
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const json::Value& damaged = captured->facts["damaged"];
    ASSERT_FALSE(damaged.is_null());
    EXPECT_THAT(damaged["why"].text(), HasSubstr(".wal is damaged at byte"));
    EXPECT_THAT(damaged["remedy"].text(), HasSubstr("holdfast duckdb repair"));
    ASSERT_EQ(damaged["logs"].items().size(), 1u);
    EXPECT_GT(damaged["logs"].items()[0]["lost_commits"].natural(), 0u);
    EXPECT_FALSE(damaged["logs"].items()[0]["text"].text().empty());
    const std::string good = lay_out(captured->snapshot);
    EXPECT_FALSE(os::exists(good));
    const std::string aside = os::parent_folder(good) + "/live.damaged/live.duckdb";
    EXPECT_TRUE(*os::read_file(aside) == *os::read_file(file_));
    EXPECT_TRUE(*os::read_file(aside + ".wal") == log);
}

}    // namespace
}    // namespace holdfast::source
