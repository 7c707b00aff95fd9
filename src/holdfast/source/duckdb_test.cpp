// DuckDB files into a real repository.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture_fixture_test.hpp"
#include "holdfast/testing/duckdb_writer.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::source {
namespace {

using testing::DuckDbWriter;
using ::testing::HasSubstr;
using testing::run_duckdb;

struct Captured {
    json::Value facts;
    vault::SnapshotEntry snapshot;
    format::SnapshotSummary summary;
};

class DuckDbCapture : public ::testing::Test {
protected:
    void SetUp() override {
        repository_ = make_test_repository(folder_.path() + "/vault", clock_);
        ASSERT_TRUE(repository_);
        config_.name = "live";
        config_.path = file_;
    }
    Result<Captured> capture(const std::optional<Captured>& earlier = {}) {
        HF_DO(repository_->load_index(true));
        HF_TRY(auto backup, vault::Backup::start(*repository_, {}));
        CaptureContext context{*backup, clock_, "duckdb", folder_.path() + "/scratch"};
        if (earlier) context.earlier = [&] { return EarlierCopy{earlier->snapshot.snapshot.tree, earlier->facts}; };
        Captured captured;
        HF_TRY(captured.facts, capture_duckdb(config_, context));
        HF_TRY(const auto outcome, backup->commit());
        captured.summary = outcome.summary;
        HF_TRY(captured.snapshot, repository_->find_snapshot("latest"));
        return captured;
    }
    // The artefacts as `restic restore` lays them out; returns the database's path.
    Result<std::string> lay_out(const vault::SnapshotEntry& snapshot) {
        HF_DO(repository_->load_index(true));
        const std::string target = folder_.path() + "/out";
        HF_DO(os::remove_tree(target));
        vault::RestoreOptions options;
        options.target = target;
        HF_TRY([[maybe_unused]] const auto summary, vault::restore(*repository_, snapshot, options));
        return target + "/duckdb/live.duckdb";
    }
    void expect_failure(ErrorCode code, const std::string& text) {
        const auto captured = capture();
        ASSERT_FALSE(captured);
        EXPECT_EQ(captured.error().code, code) << captured.error().message;
        EXPECT_THAT(captured.error().message + " " + captured.error().hint, HasSubstr(text));
        EXPECT_TRUE(repository_->snapshots()->empty());
        const auto scratch = os::list_folder(folder_.path() + "/scratch");
        EXPECT_EQ(scratch ? scratch->size() : 0, 0u);
    }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-capture-");
    std::string file_ = folder_.path() + "/live.duckdb";
    std::unique_ptr<vault::Repository> repository_;
    policy::DuckDbConfig config_;
};

// DD-10, EA-10
TEST_F(DuckDbCapture, OfALiveWriterHoldsEveryAcknowledgedCommit) {
    auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=200KB"});
    ASSERT_TRUE(writer) << writer.error().message;
    for (int round = 0; round < 6; ++round) {
        const std::int64_t before = writer->acknowledged().at(0);
        const auto captured = capture();
        ASSERT_TRUE(captured) << captured.error().message;
        const auto out = lay_out(captured->snapshot);
        ASSERT_TRUE(out) << out.error().message;
        EXPECT_EQ(os::exists(*out + ".wal"), captured->facts["wal_bytes"].natural() > 0);
        const auto lanes = testing::check_writer_copy(*out);
        ASSERT_TRUE(lanes) << lanes.error().message;
        EXPECT_GE(lanes->at(0), before);
        EXPECT_EQ(captured->facts["tables"].items().size(), 4u);
    }
}

TEST_F(DuckDbCapture, FactsTellVersionsPositionsAndContent) {
    ASSERT_TRUE(run_duckdb(file_, "CREATE TABLE t AS SELECT i FROM range(1000) r(i); CREATE VIEW v AS FROM t",
                           {"storage_compatibility_version=v1.4.0"}));
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    const json::Value& facts = captured->facts;
    EXPECT_EQ(facts["storage_version"].natural(), 67u);
    EXPECT_EQ(facts["block_size"].natural(), 262144u);
    EXPECT_EQ(facts["database_id"].text().size(), 32u);
    EXPECT_GT(facts["iteration"].natural(), 0u);
    EXPECT_EQ(facts["file_bytes"].natural(), os::read_file(file_)->size());
    EXPECT_EQ(facts["wal_bytes"].natural(), 0u);
    EXPECT_EQ(facts["tries"].natural(), 1u);
    EXPECT_EQ(facts["proof"].text(), "digest");
    EXPECT_THAT(facts["library"].text(), HasSubstr("v1."));
    EXPECT_EQ(facts["views"].natural(), 1u);
    ASSERT_EQ(facts["tables"].items().size(), 1u);
    EXPECT_EQ(facts["tables"].items()[0]["rows"].natural(), 1000u);
    EXPECT_FALSE(facts["tables"].items()[0]["digest"].text().empty());
    const auto out = lay_out(captured->snapshot);
    EXPECT_EQ(os::read_file(*out).value(), os::read_file(file_).value());

    config_.proof = policy::Proof::count;
    const auto counted = capture();
    ASSERT_TRUE(counted);
    EXPECT_TRUE(counted->facts["tables"].items()[0]["digest"].is_null());
    EXPECT_EQ(counted->facts["tables"].items()[0]["rows"].natural(), 1000u);
}

TEST_F(DuckDbCapture, OfUnchangedOrSlightlyChangedDataAddsFewBlocks) {
    ASSERT_TRUE(
        run_duckdb(file_, "CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m, random() AS x FROM range(1200000) r(i)"));
    const auto first = capture();
    ASSERT_TRUE(first) << first.error().message;
    const std::uint64_t all = first->facts["file_bytes"].natural();
    EXPECT_GT(all, std::uint64_t(20) << 20);
    EXPECT_GE(first->summary.data_added, all);

    const auto second = capture();
    ASSERT_TRUE(second);
    EXPECT_LT(second->summary.data_added, 100000u);    // trees

    ASSERT_TRUE(run_duckdb(file_, "UPDATE t SET x = -1 WHERE i BETWEEN 400000 AND 412000"));
    const auto third = capture();
    ASSERT_TRUE(third);
    EXPECT_GT(third->summary.data_added, 100000u);
    EXPECT_LT(third->summary.data_added, all / 4);
}

// Requirement: EA-10. A database that nobody touched costs its headers and its log.
TEST_F(DuckDbCapture, OfAnUnchangedDatabaseIsTakenFromTheEarlierSnapshot) {
    ASSERT_TRUE(run_duckdb(file_, "CREATE TABLE t AS SELECT i FROM range(100000) r(i)"));
    const auto first = capture();
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(first->facts["how"].is_null());
    const auto second = capture(*first);
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->facts["how"].text(), "unchanged since the last backup");
    EXPECT_EQ(json::dump(second->facts["tables"]), json::dump(first->facts["tables"]));
    EXPECT_EQ(second->summary.data_added < 100'000, true);
    const auto out = lay_out(second->snapshot);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(os::read_file(*out).value(), os::read_file(file_).value());

    // A commit that stands in the log only is a change.
    {
        auto writer = DuckDbWriter::start(folder_.path() + "/other.duckdb", DuckDbWriter::Load::mixed,
                                          {"checkpoint_threshold=1GB"});
        ASSERT_TRUE(writer) << writer.error().message;
        config_.path = folder_.path() + "/other.duckdb";
        const std::int64_t before = writer->acknowledged().at(0);
        auto copy = capture();
        ASSERT_TRUE(copy) << copy.error().message;
        while (writer->acknowledged().at(0) < before + 50) clock_.sleep(std::chrono::milliseconds(5));
        const std::int64_t acknowledged = writer->acknowledged().at(0);
        const auto later = capture(*copy);
        ASSERT_TRUE(later) << later.error().message;
        EXPECT_TRUE(later->facts["how"].is_null());
        const auto lanes = testing::check_writer_copy(*lay_out(later->snapshot));
        ASSERT_TRUE(lanes) << lanes.error().message;
        EXPECT_GE(lanes->at(0), acknowledged);
    }
    config_.path = file_;
    // So are another row, another proof, and another file under this name.
    config_.proof = policy::Proof::count;
    EXPECT_TRUE(capture(*second)->facts["how"].is_null());
    config_.proof = policy::Proof::digest;
    ASSERT_TRUE(run_duckdb(file_, "INSERT INTO t VALUES (-1)"));
    const auto third = capture(*second);
    ASSERT_TRUE(third) << third.error().message;
    EXPECT_EQ(third->facts["tables"].items()[0]["rows"].natural(), 100'001u);
    ASSERT_TRUE(os::write_file(file_, *os::read_file(file_)));
    EXPECT_TRUE(capture(*third)->facts["how"].is_null());
}

// MT-18: what is damaged in the live file is noticed at the next backup, and passes for no good copy.
TEST_F(DuckDbCapture, OfADamagedBlockSetsItAside) {
    ASSERT_TRUE(run_duckdb(file_, "CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(200000) r(i)"));
    Bytes bytes = *os::read_file(file_);
    bytes[12288 + 262144 + 4711] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(file_, bytes));
    const auto captured = capture();
    ASSERT_TRUE(captured) << captured.error().message;
    EXPECT_THAT(captured->facts["damaged"]["remedy"].text(), HasSubstr("restore-duckdb-by-hand.md"));
    const std::string good = *lay_out(captured->snapshot);
    EXPECT_FALSE(os::exists(good));    // nothing stands where a good copy would
    EXPECT_EQ(*os::read_file(folder_.path() + "/out/duckdb/live.damaged/live.duckdb"), bytes);
}

TEST_F(DuckDbCapture, OfNothingSaysWhichPath) { expect_failure(ErrorCode::not_found, file_); }

TEST_F(DuckDbCapture, OfAFolderIsRefused) {
    ASSERT_TRUE(os::make_folders(file_));
    expect_failure(ErrorCode::corrupt, "is no file");
}

TEST_F(DuckDbCapture, OfAnotherKindOfFileIsRefused) {
    ASSERT_TRUE(os::write_file(file_, as_bytes(std::string(100000, 's'))));
    expect_failure(ErrorCode::corrupt, "is not a DuckDB database file");
}

TEST_F(DuckDbCapture, WithoutALibraryIsAnErrorAndNotAnUncheckedCopy) {
    ASSERT_TRUE(run_duckdb(file_, "CREATE TABLE t AS SELECT 1"));
    ::setenv("HOLDFAST_DUCKDB_LIBRARY", "/nowhere/libduckdb.so", 1);
    expect_failure(ErrorCode::unsupported, "install libduckdb");
    ::unsetenv("HOLDFAST_DUCKDB_LIBRARY");
}

}    // namespace
}    // namespace holdfast::source
