// DuckDB out of a real repository, into places where something already lies.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/duckdb_switch.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;
using testing::check_writer_copy;
using testing::DuckDbWriter;
using ::testing::HasSubstr;
using testing::run_duckdb;

class DuckDbRestore : public ::testing::Test {
protected:
    void SetUp() override {
        repository_ = source::make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        config_.name = "live";
        config_.path = file_;
        ASSERT_TRUE(os::make_folders(data_));
    }
    // A backup of what a writer that is killed then has left; most of it in its log.
    void back_up_writer() {
        auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
        ASSERT_TRUE(writer) << writer.error().message;
        writer->kill();
        saved_ = check_writer_copy(file_).value();
        back_up();
        ASSERT_GT(facts_["wal_bytes"].natural(), 0u);    // the log's part of the test is not empty
    }
    void back_up() {
        const auto captured = source::capture_alone(
            *repository_, clock_, "duckdb", folder_.path() + "/scratch",
            [&](source::CaptureContext& context) { return source::capture_duckdb(config_, context); });
        ASSERT_TRUE(captured) << captured.error().message;
        facts_ = captured->facts;
        snapshot_ = captured->snapshot;
    }
    void wipe() {
        ASSERT_TRUE(os::remove_tree(data_));
        ASSERT_TRUE(os::make_folders(data_));
    }
    RestoreContext context(const vault::Repository& repository, WhenExisting existing) {
        return {repository, snapshot_,
                facts_,     clock_,
                "duckdb",   folder_.path() + "/scratch",
                existing,   [](std::string_view) {}};
    }
    Result<json::Value> restore(WhenExisting existing = WhenExisting::refuse) {
        return restore_duckdb(config_, context(*repository_, existing));
    }
    std::vector<std::string> names() { return os::list_folder(data_).value(); }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-restore-");
    std::string data_ = folder_.path() + "/data";
    std::string file_ = data_ + "/live.duckdb";
    std::unique_ptr<vault::Repository> repository_;
    policy::DuckDbConfig config_;
    vault::SnapshotEntry snapshot_;
    json::Value facts_;
    std::map<int, std::int64_t> saved_;
};

// MT-14, HA-08, DD-08
TEST_F(DuckDbRestore, IntoAnEmptyPlaceIsEqualAndOneFile) {
    back_up_writer();
    const auto mode = os::status_of(file_)->st_mode & 0777;
    wipe();
    const auto plan = plan_duckdb(config_, context(*repository_, WhenExisting::refuse));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(plan->at(0).bytes, facts_["file_bytes"].natural() + facts_["wal_bytes"].natural());
    EXPECT_TRUE(names().empty());    // a plan changes nothing

    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_THAT(names(), ::testing::ElementsAre("live.duckdb"));
    EXPECT_EQ(check_writer_copy(file_).value(), saved_);
    EXPECT_EQ(dump((*restored)["tables"], 0), dump(facts_["tables"], 0));
    EXPECT_TRUE((*restored)["digests_compared"].boolean());
    EXPECT_EQ(os::status_of(file_)->st_mode & 0777, mode);
}

TEST_F(DuckDbRestore, OverAnExistingOneIsRefusedUnlessTold) {
    back_up_writer();
    const Bytes before = os::read_file(file_).value();
    const auto restored = restore();
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::exists);
    EXPECT_THAT(restored.error().hint, HasSubstr("--replace"));
    const auto plan = plan_duckdb(config_, context(*repository_, WhenExisting::refuse));
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::exists);
    EXPECT_EQ(os::read_file(file_).value(), before);
    EXPECT_THAT(names(), ::testing::ElementsAre("live.duckdb", "live.duckdb.wal"));
}

TEST_F(DuckDbRestore, SwitchesAndKeepsTheOldOneWholeWithOwnerAndMode) {
    back_up_writer();
    wipe();
    {
        auto other = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
        ASSERT_TRUE(other) << other.error().message;
        for (int i = 0; i < 100 && other->acknowledged().at(0) <= saved_.at(0) + 10; ++i) clock_.sleep(20ms);
    }
    const auto old = check_writer_copy(file_).value();
    ASSERT_NE(old, saved_);
    ASSERT_EQ(::chmod(file_.c_str(), 0640), 0);
    ASSERT_EQ(::chown(file_.c_str(), 1234, 4321), 0);

    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(check_writer_copy(file_).value(), saved_);
    const struct stat now = os::status_of(file_).value();
    EXPECT_EQ(now.st_mode & 0777, 0640u);
    EXPECT_EQ(now.st_uid, 1234u);
    EXPECT_EQ(now.st_gid, 4321u);
    const std::string aside = (*restored)["old_one_is_at"].text();
    EXPECT_THAT(aside, HasSubstr(file_ + ".replaced-20"));
    EXPECT_TRUE(os::exists(aside + ".wal"));
    EXPECT_EQ(check_writer_copy(aside).value(), old);
    EXPECT_EQ(names().size(), 3u);
}

// The trap of copying a file back by hand: the log that lies there would replay into it, without a word.
TEST_F(DuckDbRestore, LetsNoLeftoverLogReplay) {
    back_up_writer();
    const Bytes log = os::read_file(file_ + ".wal").value();
    ASSERT_TRUE(os::remove_tree(file_));
    ASSERT_TRUE(os::write_file(file_ + ".wal.checkpoint", as_bytes("left over, too")));
    const auto plan = plan_duckdb(config_, context(*repository_, WhenExisting::refuse));
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->back().replaces);
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_FALSE(os::exists(file_ + ".wal"));
    EXPECT_FALSE(os::exists(file_ + ".wal.checkpoint"));
    EXPECT_EQ(check_writer_copy(file_).value(), saved_);
    EXPECT_EQ(os::read_file((*restored)["old_one_is_at"].text() + ".wal").value(), log);
}

TEST_F(DuckDbRestore, RefusesATargetThatAProcessHasOpen) {
    back_up_writer();
    wipe();
    auto live = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed);
    ASSERT_TRUE(live) << live.error().message;
    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::locked);
    EXPECT_THAT(restored.error().message, HasSubstr(fmt::format("process {} (holdfast-duckdb", live->pid())));
    const auto plan = plan_duckdb(config_, context(*repository_, WhenExisting::switch_over));
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::locked);
    const auto last = live->acknowledged();
    for (int i = 0; i < 500 && live->acknowledged() == last; ++i) clock_.sleep(10ms);
    EXPECT_NE(live->acknowledged(), last);    // and it was not disturbed
    EXPECT_FALSE(os::exists(staged_duckdb(file_, snapshot_.id.brief())));
}

TEST_F(DuckDbRestore, FindsContentThatIsNotTheManifests) {
    back_up_writer();
    wipe();
    std::string text = dump(facts_, 0);
    const auto digest = text.find("\"digest\":\"", text.find("\"transfers\"")) + 10;
    ASSERT_LT(digest, text.size());
    text[digest] = text[digest] == '1' ? '2' : '1';
    facts_ = json::parse(text, "facts").value();
    const auto restored = restore();
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::mismatch);
    EXPECT_THAT(restored.error().message, HasSubstr("main.transfers has other content"));
    EXPECT_TRUE(names().empty());

    // Made by another library: hashes may differ, counts may not.
    facts_.set("library", "v1.4.4");
    const auto counted = restore();
    ASSERT_TRUE(counted) << counted.error().message;
    EXPECT_FALSE((*counted)["digests_compared"].boolean());
}

TEST_F(DuckDbRestore, RefusesACopyWithoutItsLog) {
    back_up_writer();
    ASSERT_TRUE(run_duckdb(file_, "CHECKPOINT"));
    const auto with_log = facts_["wal_bytes"];
    back_up();
    wipe();
    facts_.set("wal_bytes", with_log);
    const auto restored = restore();
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::corrupt);
    EXPECT_THAT(restored.error().message, HasSubstr("lacks /duckdb/live.duckdb.wal"));
    config_.name = "other";
    EXPECT_EQ(restore().error().code, ErrorCode::not_found);
}

// docs/operations/restore-duckdb-by-hand.md: restic and DuckDB are enough.
TEST_F(DuckDbRestore, ByHandWithResticIsTheSame) {
    back_up_writer();
    os::Command restic;
    restic.arguments = {"restic",    "--no-cache", "restore",  "latest",
                        "--include", "/duckdb",    "--target", data_ + "/x.new"};
    restic.environment = {{"RESTIC_REPOSITORY", folder_.path() + "/vault"}, {"RESTIC_PASSWORD", "pw"}};
    const auto ran = os::run(restic, {}, 60s);
    ASSERT_TRUE(ran) << ran.error().message;
    ASSERT_TRUE(ran->status.ok()) << ran->errors;
    const std::string by_hand = data_ + "/x.new/duckdb/live.duckdb";
    ASSERT_TRUE(os::exists(by_hand + ".wal"));
    ASSERT_TRUE(run_duckdb(by_hand, "CHECKPOINT"));
    EXPECT_FALSE(os::exists(by_hand + ".wal"));
    EXPECT_EQ(check_writer_copy(by_hand).value(), saved_);
}

// MT-14: killed at random moments, the path holds the old one, a guard, or the new one; the next run completes.
TEST_F(DuckDbRestore, KilledAtAnyMomentIsCompletedByTheNextRun) {
    back_up_writer();
    std::mt19937 random(20261120);
    int ended_by_itself = 0;
    for (int round = 0; round < 12; ++round) {
        SCOPED_TRACE(round);
        wipe();
        {
            auto other = DuckDbWriter::start(file_, DuckDbWriter::Load::inserts, {"checkpoint_threshold=1GB"});
            ASSERT_TRUE(other) << other.error().message;
        }
        const auto old = check_writer_copy(file_).value();
        const pid_t child = ::fork();
        if (child == 0) {
            auto opened =
                vault::Repository::open(*storage::open_backend(folder_.path() + "/vault"), Secret("pw"), clock_);
            if (!opened || !(*opened)->load_index()) ::_exit(2);
            const auto done = restore_duckdb(config_, context(**opened, WhenExisting::switch_over));
            ::_exit(done ? 0 : 1);
        }
        // The later half of the rounds aims at the end, where the names change.
        clock_.sleep(std::chrono::milliseconds(round < 6 ? random() % 150 : 60 + random() % 120));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ended_by_itself += WIFEXITED(status);
        EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0);

        const DuckDbPlace place = look_at_duckdb(file_).value();
        ASSERT_NE(place, DuckDbPlace::empty);
        if (place == DuckDbPlace::taken) {
            const auto lanes = check_writer_copy(file_);
            ASSERT_TRUE(lanes) << lanes.error().message;
            EXPECT_TRUE(*lanes == old || *lanes == saved_);
        }
        auto again = restore(WhenExisting::switch_over);
        // The killed run's child may hold its staged file for a moment more.
        for (int i = 0; i < 50 && !again && again.error().retryable(); ++i) {
            clock_.sleep(50ms);
            again = restore(WhenExisting::switch_over);
        }
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(check_writer_copy(file_).value(), saved_);
        EXPECT_FALSE(os::exists(file_ + ".wal"));
        bool old_is_there = false;
        for (const std::string& name : names()) {
            EXPECT_THAT(name, ::testing::Not(HasSubstr("holdfast-restore")));
            if (!name.starts_with("live.duckdb.replaced-") || name.contains(".wal"))
                continue;    // .wal, .wal.checkpoint
            const auto lanes = check_writer_copy(data_ + "/" + name);
            ASSERT_TRUE(lanes) << lanes.error().message;
            old_is_there |= *lanes == old;
        }
        EXPECT_TRUE(old_is_there);
    }
    RecordProperty("runs_that_ended_before_the_kill", ended_by_itself);
}

}    // namespace
}    // namespace holdfast::recovery
