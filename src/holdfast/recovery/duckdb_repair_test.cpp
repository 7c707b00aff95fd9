// Logs that DuckDB wrote, damaged in each of the ways that it refuses or, worse, does not tell.

#include "holdfast/recovery/duckdb_repair.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::recovery {
namespace {

using testing::DuckDbWriter;
using ::testing::HasSubstr;
using Kind = db::DuckDbLogDamage::Kind;

class DamagedLog : public ::testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        auto writer = DuckDbWriter::start(
            file_, DuckDbWriter::Load::mixed,
            {"checkpoint_threshold=1GB", std::string("storage_compatibility_version=") + GetParam()});
        ASSERT_TRUE(writer) << writer.error().message;
        writer->kill();
        log_ = *os::read_file(file_ + ".wal");
        whole_ = *examine_duckdb_logs(file_);
        ASSERT_FALSE(whole_.damaged());
        // Ends of commits, by what the parser finds in ever longer beginnings.
        for (std::uint64_t n = 1; n <= whole_.mended_commits; ++n)
            ends_.push_back(*db::duckdb_log_size(log_, n, file_));
        log_.resize(ends_.back());    // the writer may have been killed within a commit
        damage(log_);
    }
    void damage(const Bytes& log) { ASSERT_TRUE(os::write_file(file_ + ".wal", log)); }
    Result<json::Value> repair(const DuckDbLogs& logs) {
        return put_duckdb_back({file_, WhenExisting::switch_over, clock_, [](std::string_view) {}},
                               mended_duckdb(logs));
    }
    // Every commit before the damage is there, and nothing half.
    void expect_repaired(const Bytes& damaged, std::uint64_t commits) {
        const auto logs = examine_duckdb_logs(file_);
        ASSERT_TRUE(logs) << logs.error().message;
        EXPECT_EQ(logs->mended_commits, commits) << logs->log.text();
        const auto done = repair(*logs);
        ASSERT_TRUE(done) << done.error().message << "\n" << logs->log.text();
        if (commits > 10) {    // before, not all tables are there
            const auto lanes = testing::check_writer_copy(file_);
            EXPECT_TRUE(lanes) << lanes.error().message;
        }
        EXPECT_FALSE(os::exists(file_ + ".wal"));
        // The damaged log lies aside, with the file that it belongs to, byte for byte.
        const std::string aside = (*done)["old_one_is_at"].text();
        EXPECT_TRUE(*os::read_file(aside + ".wal") == damaged);
        for (const char* suffix : {"", ".wal"})
            ASSERT_EQ(::rename((aside + suffix).c_str(), (file_ + suffix).c_str()), 0);
    }

    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-repair-");
    os::SystemClock clock_;
    std::string file_ = folder_.path() + "/x.duckdb";
    Bytes log_;
    DuckDbLogs whole_;
    std::vector<std::uint64_t> ends_;
};

// DD-08, MT-18, HA-08: bit flips anywhere keep all commits before them, and say how many are lost.
TEST_P(DamagedLog, IsCutBehindTheLastWholeCommit) {
    std::mt19937 random(5);
    const std::size_t begin = *db::duckdb_log_size(log_, 0, file_);
    for (int i = 0; i < 200; ++i) {
        Bytes log = log_;
        const std::size_t at = begin + random() % (log.size() - begin);
        log[at] ^= std::byte{static_cast<unsigned char>(1u << (random() % 8))};
        damage(log);
        const auto logs = examine_duckdb_logs(file_);
        ASSERT_TRUE(logs);
        const auto kept = static_cast<std::uint64_t>(std::ranges::upper_bound(ends_, at) - ends_.begin());
        EXPECT_TRUE(logs->log.damaged()) << at;
        EXPECT_EQ(logs->mended_commits, kept) << at;
        EXPECT_GE(logs->log.lost_commits, 1u);
        EXPECT_LE(logs->log.kept_commits + logs->log.lost_commits, ends_.size()) << at << " " << logs->log.text();
        // One entry is damaged: at most its own commit cannot be told from the next one.
        EXPECT_GE(logs->log.kept_commits + logs->log.lost_commits + 1, ends_.size()) << at << " " << logs->log.text();
        if (i % 20 == 0) expect_repaired(log, kept);
    }
}

TEST_P(DamagedLog, SaysWhatIsLost) {
    Bytes log = log_;
    const std::size_t n = ends_.size() / 2;
    log[ends_[n] + 20] ^= std::byte{1};
    damage(log);
    const auto logs = examine_duckdb_logs(file_);
    ASSERT_TRUE(logs);
    EXPECT_EQ(logs->log.kept_commits, n + 1);
    EXPECT_EQ(logs->log.lost_commits, ends_.size() - n - 1);
    EXPECT_GT(logs->log.lost.at("main.transfers").at("inserts"), 0u);
    EXPECT_GT(logs->log.lost.at("main.accounts").at("updates"), 0u);
    EXPECT_THAT(logs->log.text(), HasSubstr("in main.transfers"));
    expect_repaired(log, n + 1);
}

TEST_P(DamagedLog, ALogWhoseFirstByteIsDamagedLosesNothing) {
    for (const std::size_t at : {0u, 2u}) {
        Bytes log = log_;
        log[at] ^= std::byte{4};
        damage(log);
        const auto logs = examine_duckdb_logs(file_);
        ASSERT_TRUE(logs) << logs.error().message;
        EXPECT_EQ(logs->log.kind, Kind::header);
        EXPECT_TRUE(logs->mended == whole_.mended);
        expect_repaired(log, ends_.size());
    }
}

TEST_P(DamagedLog, ZerosAtTheEndLoseNothing) {
    Bytes log = log_;
    log.resize(log.size() + 5000, std::byte{0});
    damage(log);
    const auto logs = examine_duckdb_logs(file_);
    ASSERT_TRUE(logs);
    EXPECT_EQ(logs->log.kind, Kind::zeros);
    EXPECT_EQ(logs->log.lost_commits, 0u);
    expect_repaired(log, ends_.size());
}

TEST_P(DamagedLog, ATornEndIsNoDamage) {
    for (const std::size_t cut : {1u, 5u, 20u, 21u}) {
        Bytes log = log_;
        log.resize(log.size() - cut);
        damage(log);
        const auto logs = examine_duckdb_logs(file_);
        ASSERT_TRUE(logs);
        EXPECT_FALSE(logs->damaged()) << cut << logs->log.text();
        EXPECT_EQ(logs->mended_commits, ends_.size() - 1);
    }
}

INSTANTIATE_TEST_SUITE_P(Storage, DamagedLog, ::testing::Values("v1.0.0", "v1.4.0", "v1.5.0"), [](const auto& version) {
    std::string name = version.param;
    std::erase(name, '.');
    return name;
});

TEST(DuckDbRepair, LeavesWhatAProgramHasOpen) {
    const os::TempFolder folder = *os::TempFolder::create("hf-duckdb-repair-");
    const std::string file = folder.path() + "/x.duckdb";
    auto writer = DuckDbWriter::start(file, DuckDbWriter::Load::mixed);
    ASSERT_TRUE(writer);
    const auto locked = lock_duckdb(file);
    ASSERT_FALSE(locked);
    EXPECT_EQ(locked.error().code, ErrorCode::locked);
}

}    // namespace
}    // namespace holdfast::recovery
