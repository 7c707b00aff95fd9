// Copies of files that another process is writing to.

#include "holdfast/source/duckdb_copy.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/duckdb_writer.hpp"

namespace holdfast::source {
namespace {

using testing::DuckDbWriter;
using ::testing::HasSubstr;

struct Load {
    const char* name;
    DuckDbWriter::Load kind;
    std::vector<std::string> settings;
    unsigned copies;
};
void PrintTo(const Load& load, std::ostream* out) { *out << load.name; }

class LiveDuckDb : public ::testing::TestWithParam<Load> {
protected:
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-copy-");
    os::SystemClock clock_;
    std::string file_ = folder_.path() + "/live.duckdb";
    std::string copy_ = folder_.path() + "/copy.duckdb";
};

// DD-10, DD-08: the live database is neither locked nor disturbed, and no acknowledged commit is missing.
TEST_P(LiveDuckDb, IsCopiedWholeWhileItCommits) {
    auto writer = DuckDbWriter::start(file_, GetParam().kind, GetParam().settings);
    ASSERT_TRUE(writer) << writer.error().message;
    unsigned retried = 0, with_log = 0;
    for (unsigned i = 0; i < GetParam().copies; ++i) {
        const auto before = writer->acknowledged();
        const auto copied = copy_live_duckdb(file_, copy_, clock_);
        ASSERT_TRUE(copied) << copied.error().message;
        retried += copied->tries > 1;
        with_log += copied->wal_bytes > 0;
        EXPECT_EQ(os::exists(copy_ + ".wal"), copied->wal_bytes > 0);
        const auto in_copy = testing::check_writer_copy(copy_);
        ASSERT_TRUE(in_copy) << "copy " << i << ": " << in_copy.error().message;
        for (const auto& [lane, sequence] : before)
            EXPECT_GE(in_copy->contains(lane) ? in_copy->at(lane) : 0, sequence) << "copy " << i;
    }
    const auto last = writer->acknowledged();
    // The writer was never held up for good: it still commits.
    for (unsigned i = 0; i < 1000 && writer->acknowledged() == last; ++i) clock_.sleep(std::chrono::milliseconds(10));
    EXPECT_NE(writer->acknowledged(), last);
    RecordProperty("copies_that_tried_again", static_cast<int>(retried));
    RecordProperty("copies_with_a_log", static_cast<int>(with_log));
}

INSTANTIATE_TEST_SUITE_P(
    Loads, LiveDuckDb,
    ::testing::Values(Load{"Mixed", DuckDbWriter::Load::mixed, {"checkpoint_threshold=200KB"}, 20},
                      Load{"MixedGrown", DuckDbWriter::Load::mixed, {"checkpoint_threshold=4MB", "ballast_mib=32"}, 20},
                      Load{"MixedV15",
                           DuckDbWriter::Load::mixed,
                           {"checkpoint_threshold=1MB", "storage_compatibility_version=v1.5.0"},
                           15},
                      Load{"Inserts", DuckDbWriter::Load::inserts, {"checkpoint_threshold=50KB"}, 25},
                      Load{"InsertsV14",
                           DuckDbWriter::Load::inserts,
                           {"checkpoint_threshold=50KB", "storage_compatibility_version=v1.4.0"},
                           15}),
    [](const auto& load) { return std::string(load.param.name); });

class DuckDbCopyOfFile : public ::testing::Test {
protected:
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-copy-");
    os::SystemClock clock_;
    std::string file_ = folder_.path() + "/x.duckdb";
    std::string copy_ = folder_.path() + "/copy.duckdb";

    Result<DuckDbCopy> copy() { return copy_live_duckdb(file_, copy_, clock_, 3); }
    void change_byte(const std::string& path, std::size_t at) {
        Bytes bytes = *os::read_file(path);
        ASSERT_LT(at, bytes.size());
        bytes[at] ^= std::byte{0x40};
        ASSERT_TRUE(os::write_file(path, bytes));
    }
    // A database with commits that are only in its log, left behind by a writer that was killed.
    void make_with_log() {
        auto writer = DuckDbWriter::start(file_, DuckDbWriter::Load::mixed, {"checkpoint_threshold=1GB"});
        ASSERT_TRUE(writer) << writer.error().message;
        writer->kill();
        ASSERT_TRUE(os::exists(file_ + ".wal"));
    }
};

TEST_F(DuckDbCopyOfFile, SaysWhenThereIsNone) {
    const auto copied = copy();
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().code, ErrorCode::not_found);
}

TEST_F(DuckDbCopyOfFile, RefusesAnotherKindOfFile) {
    for (const std::string& content : {std::string(), std::string("short"), std::string(20000, 'x')}) {
        ASSERT_TRUE(os::write_file(file_, as_bytes(content)));
        const auto copied = copy();
        ASSERT_FALSE(copied);
        EXPECT_EQ(copied.error().code, ErrorCode::corrupt);
        EXPECT_THAT(copied.error().message, HasSubstr("is not a DuckDB database file"));
        EXPECT_THAT(copied.error().hint, HasSubstr("check the path"));
    }
}

TEST_F(DuckDbCopyOfFile, RefusesADamagedHeaderEvenTheOneThatIsNotCurrent) {
    ASSERT_TRUE(testing::run_duckdb(file_, "CREATE TABLE t AS SELECT 1"));
    for (const std::size_t at : {100u, 4096u + 200u, 8192u + 200u}) {
        change_byte(file_, at);
        const auto copied = copy();
        ASSERT_FALSE(copied) << at;
        EXPECT_EQ(copied.error().code, ErrorCode::corrupt);
        change_byte(file_, at);
    }
    EXPECT_TRUE(copy());
}

TEST_F(DuckDbCopyOfFile, RefusesAnEncryptedOne) {
    ASSERT_TRUE(testing::run_duckdb(folder_.path() + "/other.duckdb",
                                    "SET force_mbedtls_unsafe='true'; ATTACH " + ("'" + file_ + "'") +
                                        " AS e (ENCRYPTION_KEY 'k'); CREATE TABLE e.t AS SELECT 1"));
    const auto copied = copy();
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().code, ErrorCode::unsupported);
    EXPECT_THAT(copied.error().message, HasSubstr("encrypted"));
}

TEST_F(DuckDbCopyOfFile, TakesTheCommitsOfADeadWritersLogAndLeavesItsTornEnd) {
    make_with_log();
    Bytes log = *os::read_file(file_ + ".wal");
    const auto whole = copy();
    ASSERT_TRUE(whole);
    const auto lanes = testing::check_writer_copy(copy_);
    ASSERT_TRUE(lanes) << lanes.error().message;

    log.resize(log.size() - 5);    // inside the last flush
    ASSERT_TRUE(os::write_file(file_ + ".wal", log));
    const auto cut = copy();
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->wal_commits + 1, whole->wal_commits);
    EXPECT_TRUE(testing::check_writer_copy(copy_));
}

class Hurrying final : public Clock {    // a sleep is a minute, in no time
public:
    Timestamp now() const override { return {}; }
    Instant instant() const override { return now_; }
    void sleep(Duration) override { now_ = now_ + std::chrono::minutes(1); }

private:
    Instant now_;
};

// A log that ends with the marker of a checkpoint that will write this root.
Bytes with_marker(Bytes log, std::uint64_t root) {
    Bytes marker = to_bytes(std::string_view("d\0ce\0d\0", 7));
    for (; root >= 0x80; root >>= 7) marker.push_back(static_cast<std::byte>(0x80 | (root & 0x7f)));
    marker.push_back(static_cast<std::byte>(root));
    append(marker, as_bytes("\xff\xff\xff\xff"));
    for (const ByteView payload : {ByteView(marker), as_bytes(std::string_view("d\0d\xff\xff", 5))}) {
        append_le<std::uint64_t>(log, payload.size());
        append_le<std::uint64_t>(log, db::duckdb_checksum(payload));
        append(log, payload);
    }
    return log;
}

// Somebody has it open, as far as anyone can tell from outside.
Result<os::Fd> hold_open(const std::string& path) {
    HF_TRY(os::Fd file, os::open_file(path, O_RDWR));
    struct flock lock{};
    lock.l_type = F_WRLCK;
    if (::fcntl(file.get(), F_OFD_SETLK, &lock) != 0) return fail(errno_error(errno, "cannot lock " + path));
    return file;
}

// What a crash in the middle of a checkpoint leaves; and the same while it still runs.
TEST_F(DuckDbCopyOfFile, WaitsForACheckpointOnlyWhileTheDatabaseIsOpen) {
    make_with_log();
    const Bytes log = *os::read_file(file_ + ".wal");
    ASSERT_TRUE(os::write_file(file_ + ".wal", with_marker(log, 127)));
    const auto copied = copy();
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(*os::read_file(copy_ + ".wal"), log);
    EXPECT_TRUE(testing::check_writer_copy(copy_));

    Hurrying clock;
    const auto held = hold_open(file_);
    ASSERT_TRUE(held);
    const auto waited = copy_live_duckdb(file_, copy_, clock);
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, ErrorCode::changed);
    EXPECT_THAT(waited.error().message, HasSubstr("does not end"));
}

// The second log takes the first one's name after the header is written: not seeing it proves nothing until then.
TEST_F(DuckDbCopyOfFile, DoesNotTakeAMissingSecondLogForAnEmptyOneWhileTheDatabaseIsOpen) {
    make_with_log();
    const Bytes log = *os::read_file(file_ + ".wal");
    const auto headers = db::parse_duckdb_headers(*os::read_file(file_), file_);
    ASSERT_TRUE(headers);
    ASSERT_TRUE(os::write_file(file_ + ".wal", with_marker(log, headers->root)));
    const auto copied = copy();
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(copied->wal_bytes, 0u);    // all of it is in the file

    Hurrying clock;
    const auto held = hold_open(file_);
    ASSERT_TRUE(held);
    const auto waited = copy_live_duckdb(file_, copy_, clock, 3);
    ASSERT_FALSE(waited);
    EXPECT_EQ(waited.error().code, ErrorCode::changed);
}

TEST_F(DuckDbCopyOfFile, NamesTheDamagedByteOfALog) {
    make_with_log();
    change_byte(file_ + ".wal", os::read_file(file_ + ".wal")->size() / 2);
    const auto copied = copy();
    ASSERT_FALSE(copied);
    EXPECT_EQ(copied.error().code, ErrorCode::corrupt);
    EXPECT_THAT(copied.error().message, HasSubstr(".wal is damaged at byte"));
}

TEST_F(DuckDbCopyOfFile, LeavesNoLogOfAnEarlierCopyBesideANewOne) {
    make_with_log();
    ASSERT_TRUE(copy());
    ASSERT_TRUE(os::exists(copy_ + ".wal"));
    ASSERT_TRUE(testing::run_duckdb(file_, "CHECKPOINT"));
    const auto copied = copy();
    ASSERT_TRUE(copied);
    EXPECT_EQ(copied->wal_bytes, 0u);
    EXPECT_FALSE(os::exists(copy_ + ".wal"));
    EXPECT_EQ(os::list_folder(folder_.path())->size(), 2u);
}

}    // namespace
}    // namespace holdfast::source
