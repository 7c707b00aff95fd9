// The switch, stopped after each of its steps as a kill would stop it.

#include "holdfast/recovery/duckdb_switch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::recovery {
namespace {

using testing::check_writer_copy;
using testing::DuckDbWriter;
using ::testing::HasSubstr;
using testing::run_duckdb;

class DuckDbSwitching : public ::testing::Test {
protected:
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-switch-");
    std::string target_ = folder_.path() + "/x.duckdb";
    std::string staged_ = staged_duckdb(target_, "0123abcd");
    std::map<int, std::int64_t> old_;    // what the old database holds, log included

    // Most of its commits are only in the log: without it the old one would lose them.
    void make_old() {
        auto writer = DuckDbWriter::start(target_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
        ASSERT_TRUE(writer) << writer.error().message;
        writer->kill();
        ASSERT_TRUE(os::exists(target_ + ".wal"));
        old_ = check_writer_copy(target_).value();
    }
    void make_new() { ASSERT_TRUE(run_duckdb(staged_, "CREATE TABLE restored AS SELECT 42 AS a")); }

    bool is_new(const std::string& path) {
        return run_duckdb(path, "SELECT CASE WHEN count(*) = 1 THEN 1 ELSE error('no') END FROM restored").has_value();
    }
    Result<std::optional<std::string>> switch_over(int stop_after, const std::string& time = "1") {
        return switch_duckdb({target_, staged_, target_ + ".replaced-" + time, [&](int step) -> Status {
                                  if (step == stop_after) return fail(ErrorCode::cancelled, "killed");
                                  return {};
                              }});
    }
    // Opens nothing: every name in the folder with its bytes.
    std::map<std::string, Bytes> all_files() {
        std::map<std::string, Bytes> files;
        const auto names = os::list_folder(folder_.path()).value();
        for (const std::string& name : names) files[name] = os::read_file(folder_.path() + "/" + name).value();
        return files;
    }
};

// MT-14: old and whole, or guarded, or new and whole; and the next run ends with both in place.
TEST_F(DuckDbSwitching, StoppedAfterAnyStepLeavesNoFileBesideAnothersLog) {
    for (int step = 1; step <= 5; ++step) {
        SCOPED_TRACE(step);
        ASSERT_TRUE(os::remove_tree(folder_.path()));
        ASSERT_TRUE(os::make_folders(folder_.path()));
        make_old();
        make_new();
        ASSERT_FALSE(switch_over(step));

        const DuckDbPlace place = look_at_duckdb(target_).value();
        if (step <= 2) {
            EXPECT_EQ(place, DuckDbPlace::taken);
            EXPECT_EQ(check_writer_copy(target_).value(), old_);
        } else if (step <= 4) {
            EXPECT_EQ(place, DuckDbPlace::guarded);
            EXPECT_EQ(check_writer_copy(target_ + ".replaced-1").value(), old_);
            const auto before = all_files();
            const Status opened = run_duckdb(target_, "SELECT 1");
            ASSERT_FALSE(opened);
            EXPECT_THAT(opened.error().message, HasSubstr("not a valid DuckDB database file"));
            EXPECT_EQ(all_files(), before);
        } else {
            EXPECT_FALSE(os::exists(target_ + ".wal"));
            EXPECT_TRUE(is_new(target_));
        }

        // The next run, from its start.
        const auto unfinished = clear_unfinished_duckdb(target_);
        ASSERT_TRUE(unfinished) << unfinished.error().message;
        EXPECT_EQ(unfinished->has_value(), place == DuckDbPlace::guarded);
        EXPECT_FALSE(os::exists(staged_));
        if (step == 5) continue;
        make_new();
        const auto again = switch_over(0, "2");
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_TRUE(is_new(target_));
        ASSERT_TRUE(again->has_value());
        EXPECT_EQ(**again, target_ + (step <= 2 ? ".replaced-2" : ".replaced-1"));
        EXPECT_EQ(check_writer_copy(**again).value(), old_);
        EXPECT_EQ(os::list_folder(folder_.path())->size(), 3u);    // the new one; the old one and its log
    }
}

TEST_F(DuckDbSwitching, PutsALogWithoutItsFileAside) {
    make_old();
    const Bytes log = os::read_file(target_ + ".wal").value();
    ASSERT_TRUE(os::remove_tree(target_));
    EXPECT_TRUE(has_leftover_log(target_));
    make_new();
    const auto done = switch_over(0);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(*done, target_ + ".replaced-1");
    EXPECT_EQ(os::read_file(target_ + ".replaced-1.wal").value(), log);
    EXPECT_TRUE(is_new(target_));
}

TEST_F(DuckDbSwitching, KeepsAFileThatAppearedMeanwhile) {
    make_new();
    const auto done =
        switch_duckdb({target_, staged_, target_ + ".replaced-1", [&](int step) -> Status {
                           return step == 4 ? run_duckdb(target_, "CREATE TABLE other AS SELECT 1") : Status();
                       }});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::exists);
    EXPECT_TRUE(run_duckdb(target_, "FROM other"));
    EXPECT_TRUE(os::exists(staged_));
}

TEST_F(DuckDbSwitching, DoesNotFollowAGuardOutOfItsFolder) {
    ASSERT_TRUE(
        os::write_file(target_, as_bytes("holdfast: this DuckDB database is being replaced by a restore.\n"
                                         "Run the restore again to finish it. The old database is whole in: ../y\n")));
    EXPECT_EQ(look_at_duckdb(target_).value(), DuckDbPlace::taken);
}

TEST_F(DuckDbSwitching, LeavesForeignNamesAlone) {
    make_old();
    const std::string kept = target_ + ".replaced-20250101T000000";
    ASSERT_TRUE(run_duckdb(kept, "CREATE TABLE earlier AS SELECT 1"));
    ASSERT_TRUE(os::write_file(target_ + ".notes", as_bytes("mine")));
    const auto before = all_files();
    ASSERT_TRUE(clear_unfinished_duckdb(target_));
    EXPECT_EQ(all_files(), before);
}

}    // namespace
}    // namespace holdfast::recovery
