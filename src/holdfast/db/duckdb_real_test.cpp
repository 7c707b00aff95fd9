// Files and logs that libduckdb makes, against what we read in them; and what the child says of whole and damaged ones.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>

#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/db/duckdb_file.hpp"
#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/db/duckdb_wal.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::db {
namespace {

using ::testing::HasSubstr;

class RealDuckDb : public ::testing::Test {
protected:
    os::TempFolder folder_ = *os::TempFolder::create("hf-duckdb-real-");
    std::string file_ = folder_.path() + "/x.duckdb";

    void run(const std::string& sql, const DuckDb::Settings& settings = {}) {
        auto database = DuckDb::open(file_, DuckDb::Mode::read_write, settings);
        ASSERT_TRUE(database) << database.error().message;
        const Status done = database->run(sql);
        ASSERT_TRUE(done) << done.error().message;
    }
    Result<DuckDbHeaders> headers() { return parse_duckdb_headers(os::read_file(file_).value(), file_); }
    Result<json::Value> check(DuckDbCheck options = {}) {
        HF_TRY(auto checker, DuckDbChecker::start(file_, options));
        return checker.finish();
    }
    void change(std::size_t at, std::byte mask = std::byte{0x10}) {
        Bytes bytes = os::read_file(file_).value();
        ASSERT_LT(at, bytes.size());
        bytes[at] ^= mask;
        ASSERT_TRUE(os::write_file(file_, bytes));
    }
};

struct Version {
    const char* setting;
    std::uint64_t storage_version;
};
class RealDuckDbVersion : public RealDuckDb, public ::testing::WithParamInterface<Version> {};

TEST_P(RealDuckDbVersion, HeadersTellIterationRootAndBlocks) {
    const DuckDb::Settings settings = {{"storage_compatibility_version", GetParam().setting}};
    run("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(100000) r(i)", settings);
    const auto first = headers();
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->storage_version, GetParam().storage_version);
    EXPECT_EQ(first->database_id.size(), GetParam().storage_version >= 67 ? 32u : 0u);
    EXPECT_EQ(first->library_version, duckdb_library_version().value());
    EXPECT_EQ(first->block_size, 262144u);
    EXPECT_EQ(os::read_file(file_)->size(), 12288 + first->block_count * first->block_size);
    run("INSERT INTO t VALUES (1, 'x'); CHECKPOINT");
    const auto second = headers();
    ASSERT_TRUE(second);
    EXPECT_GT(second->iteration, first->iteration);
    EXPECT_EQ(second->database_id, first->database_id);
}

TEST_P(RealDuckDbVersion, LogHoldsEveryCommitAndReplaysFromItsCut) {
    const DuckDb::Settings settings = {{"storage_compatibility_version", GetParam().setting}};
    Bytes log_bytes, file_bytes;
    {
        auto database = DuckDb::open(file_, DuckDb::Mode::read_write, settings);
        ASSERT_TRUE(database) << database.error().message;
        ASSERT_TRUE(database->run("CREATE TABLE t (a BIGINT); CHECKPOINT"));
        for (int i = 1; i <= 5; ++i) ASSERT_TRUE(database->run(fmt::format("INSERT INTO t VALUES ({})", i)));
        // From another process: closing the file in this one would drop DuckDB's lock.
        for (const auto& [from, to] : {std::pair(file_, &file_bytes), std::pair(file_ + ".wal", &log_bytes)}) {
            os::Command cat;
            cat.arguments = {"cat", from};
            *to = to_bytes(os::run(cat)->output);
        }
    }
    const auto log = parse_duckdb_log(log_bytes, "x.wal");
    ASSERT_TRUE(log) << log.error().message;
    EXPECT_EQ(log->commit_count, 5u);
    EXPECT_EQ(log->uncommitted_bytes, 0u);
    EXPECT_FALSE(log->damaged_at);

    // Cut in the last commit: four of five rows, and DuckDB agrees.
    const auto cut = parse_duckdb_log(ByteView(log_bytes).first(log_bytes.size() - 3), "x.wal");
    ASSERT_TRUE(cut);
    const auto joined = join_duckdb_logs(*cut, {}, parse_duckdb_headers(file_bytes, "x")->root);
    ASSERT_TRUE(joined);
    Bytes written;
    for (const ByteView piece : joined->pieces) append(written, piece);
    ASSERT_TRUE(os::write_file(file_, file_bytes));
    ASSERT_TRUE(os::write_file(file_ + ".wal", written));
    const auto found = check();
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ((*found)["tables"].items().at(0)["rows"].natural(), 4u);
    EXPECT_EQ(os::read_file(file_ + ".wal").value(), written);    // a check leaves the files as they are
    EXPECT_EQ(os::read_file(file_).value(), file_bytes);

    const auto settled = check({.settle = true});
    ASSERT_TRUE(settled) << settled.error().message;
    EXPECT_FALSE(os::exists(file_ + ".wal"));
    EXPECT_EQ(dump((*settled)["tables"], 0), dump((*found)["tables"], 0));
}

INSTANTIATE_TEST_SUITE_P(Versions, RealDuckDbVersion,
                         ::testing::Values(Version{"v0.10.2", 64}, Version{"v1.4.0", 67}, Version{"v1.5.0", 68}));

TEST_F(RealDuckDb, SmallBlocksAreRead) {
    run("CREATE TABLE t AS SELECT 1", {{"default_block_size", "16384"}});
    EXPECT_EQ(headers()->block_size, 16384u);
}

TEST_F(RealDuckDb, ChecksumOfABlockIsTheOneThatIsStored) {
    run("CREATE TABLE t AS SELECT i FROM range(100000) r(i)");
    const Bytes bytes = os::read_file(file_).value();
    const ByteView block = ByteView(bytes).subspan(12288, 262144);
    EXPECT_EQ(load_le<std::uint64_t>(block.data()), duckdb_checksum(block.subspan(8)));
}

TEST_F(RealDuckDb, DigestSeesEveryColumnAndNoOrder) {
    const auto digest_of = [&](const std::string& sql) {
        (void)os::remove_tree(file_);
        run("CREATE TABLE t (a BIGINT, b VARCHAR, c DECIMAL(18,4), d TIMESTAMP, e DOUBLE[], f STRUCT(x INT, y "
            "VARCHAR)); " +
            sql);
        const auto found = check();
        return found ? (*found)["tables"].items().at(0)["digest"].text() : found.error().message;
    };
    const std::string row = "(1, 'one', 1.5, '2026-11-20 10:00:00', [1.5, NULL], {x: 1, y: 'q'})",
                      other = "(2, NULL, NULL, NULL, NULL, NULL)";
    const std::string both = digest_of("INSERT INTO t VALUES " + row + ", " + other);
    EXPECT_EQ(digest_of("INSERT INTO t VALUES " + other + ", " + row), both);
    EXPECT_EQ(digest_of("INSERT INTO t VALUES " + row + ", (7, NULL, NULL, NULL, NULL, NULL), " + other +
                        "; DELETE FROM t WHERE a = 7; CHECKPOINT"),
              both);
    for (const char* change :
         {"a = 3", "b = 'two'", "c = 1.5001", "d = '2026-11-20 10:00:01'", "e = [1.5, 0]", "f = {x: 1, y: 'r'}"})
        EXPECT_NE(digest_of("INSERT INTO t VALUES " + row + ", " + other + "; UPDATE t SET " + change + " WHERE a = 1"),
                  both)
            << change;
    EXPECT_NE(digest_of("INSERT INTO t VALUES " + row + ", " + row + ", " + other), both);
}

TEST_F(RealDuckDb, CheckReadsAwkwardNamesAndCountsTheRest) {
    run("CREATE SCHEMA \"s \"\"q\"; CREATE TABLE \"s \"\"q\".\"t 'x\" (\"a b\" INT PRIMARY KEY, \"c\"\"d\" INT NOT "
        "NULL CHECK (\"c\"\"d\" > 0), "
        "holdfast_whole_row_2 INT UNIQUE); INSERT INTO \"s \"\"q\".\"t 'x\" VALUES (1, 2, NULL), (2, 3, NULL); "
        "CREATE VIEW v AS SELECT 1; CREATE SEQUENCE q; CREATE TABLE empty (a INT); CREATE INDEX i ON empty (a)");
    const auto found = check();
    ASSERT_TRUE(found) << found.error().message;
    ASSERT_EQ((*found)["tables"].items().size(), 2u);
    EXPECT_EQ((*found)["tables"].items()[0]["rows"].natural(), 0u);
    EXPECT_EQ((*found)["tables"].items()[1]["name"].text(), "t 'x");
    EXPECT_EQ((*found)["tables"].items()[1]["rows"].natural(), 2u);
    EXPECT_EQ((*found)["views"].natural(), 1u);
    EXPECT_EQ((*found)["indexes"].natural(), 1u);
    EXPECT_EQ((*found)["sequences"].natural(), 1u);
    EXPECT_EQ((*found)["constraints"].natural(), 5u);
}

// A log replayed twice into an older kind of file, as a naive copy brings it about; nothing but the keys shows it.
TEST_F(RealDuckDb, CheckFindsRowsThatCameTwiceByReplay) {
    Bytes log_bytes;
    {
        auto database = DuckDb::open(file_, DuckDb::Mode::read_write);
        ASSERT_TRUE(database->run("CREATE TABLE t (a BIGINT PRIMARY KEY); CHECKPOINT; INSERT INTO t VALUES (5), (6)"));
        os::Command cat;
        cat.arguments = {"cat", file_ + ".wal"};
        log_bytes = to_bytes(os::run(cat)->output);
    }
    ASSERT_TRUE(check());
    ASSERT_TRUE(os::write_file(file_ + ".wal", log_bytes));
    const auto found = check();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::corrupt);
}

// MT-18
TEST_F(RealDuckDb, CheckFindsAFlippedByteInADataBlock) {
    run("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(200000) r(i)");
    change(12288 + 262144 + 1000);
    const auto found = check();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::corrupt);
    EXPECT_THAT(found.error().message, HasSubstr("checksum"));
}

// MT-18: two values that changed places keep the checksum of their block, so DuckDB reads them without a word.
TEST_F(RealDuckDb, CheckFindsSwappedKeysByTheIndex) {
    run("CREATE TABLE t (k UBIGINT PRIMARY KEY, v VARCHAR, d DATE); CREATE INDEX tv ON t (v); CREATE INDEX td ON t "
        "(d); "
        "INSERT INTO t SELECT hash(i), 'v' || (i % 7), DATE '2026-01-01' + (i % 9)::INTEGER FROM range(300) r(i); "
        "CHECKPOINT");
    ASSERT_TRUE(check());
    std::uint64_t keys[2] = {};
    {
        auto database = DuckDb::open(file_, DuckDb::Mode::read_only);
        ASSERT_TRUE(database);
        const auto rows = database->query("SELECT k FROM t WHERE rowid IN (100, 101) ORDER BY rowid");
        ASSERT_TRUE(rows);
        for (int i = 0; i < 2; ++i) keys[i] = std::stoull(*rows->rows.at(static_cast<std::size_t>(i)).at(0));
    }
    Bytes bytes = os::read_file(file_).value();
    const ByteView pattern = std::as_bytes(std::span(keys));
    const auto found = std::search(bytes.begin(), bytes.end(), pattern.begin(), pattern.end());
    ASSERT_NE(found, bytes.end()) << "the column is compressed: choose other values";
    std::swap_ranges(found, found + 8, found + 8);
    ASSERT_TRUE(os::write_file(file_, bytes));
    const auto checked = check();
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::corrupt);
    EXPECT_THAT(checked.error().message,
                HasSubstr("2 of 300 keys that a scan of \"main\".\"t\" finds are not found by its index on \"k\""));
    EXPECT_TRUE(check({.depth = DuckDbCheck::Depth::count}));    // this is what DuckDB itself sees
}

TEST_F(RealDuckDb, CheckFindsACutFile) {
    run("CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS m FROM range(200000) r(i)");
    Bytes bytes = os::read_file(file_).value();
    bytes.resize(bytes.size() / 2);
    ASSERT_TRUE(os::write_file(file_, bytes));
    const auto found = check();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::corrupt);
}

TEST_F(RealDuckDb, CheckSaysWhatToDoWithoutALibrary) {
    run("CREATE TABLE t AS SELECT 1");
    ::setenv("HOLDFAST_DUCKDB_LIBRARY", "/nowhere/libduckdb.so", 1);
    const auto found = check();
    ::unsetenv("HOLDFAST_DUCKDB_LIBRARY");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::unsupported);
    EXPECT_THAT(found.error().hint, HasSubstr("install libduckdb"));
}

TEST_F(RealDuckDb, ASecondWriterIsToldWhoHoldsTheLock) {
    auto database = DuckDb::open(file_, DuckDb::Mode::read_write);
    ASSERT_TRUE(database);
    const auto found = check();
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::locked);
    EXPECT_THAT(found.error().message, HasSubstr("PID"));
}

TEST_F(RealDuckDb, ErrorsOfQueriesNameTheFile) {
    auto database = DuckDb::open(file_, DuckDb::Mode::read_write);
    const auto rows = database->query("FROM nowhere");
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().code, ErrorCode::store);
    EXPECT_THAT(rows.error().message, HasSubstr(file_));
}

}    // namespace
}    // namespace holdfast::db
