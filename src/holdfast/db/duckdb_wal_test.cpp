// The log's rules on bytes made here; logs that DuckDB made are in duckdb_real_test.cpp.

#include "holdfast/db/duckdb_wal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "holdfast/db/duckdb_file.hpp"

namespace holdfast::db {
namespace {

using ::testing::HasSubstr;

constexpr std::uint8_t k_insert = 26, k_row_groups = 29, k_marker = 99, k_flush = 100;

class Log {
public:
    explicit Log(std::uint8_t version = 2) { bytes_ = bytes({0x64, 0, 98, 0x65, 0, version, 0xff, 0xff}); }
    static Bytes bytes(std::initializer_list<int> values) {
        Bytes out;
        for (const int value : values) out.push_back(static_cast<std::byte>(value));
        return out;
    }
    Log& entry(std::uint8_t type, const Bytes& rest = {}) {
        Bytes payload = bytes({0x64, 0, type});
        append(payload, rest);
        append(payload, bytes({0xff, 0xff}));
        append_le<std::uint64_t>(bytes_, payload.size());
        append_le<std::uint64_t>(bytes_, duckdb_checksum(payload));
        append(bytes_, payload);
        return *this;
    }
    Log& commit(int value) { return entry(k_insert, bytes({value})).entry(k_flush); }
    Log& marker(int root) {    // under 128, as one byte
        return entry(k_marker, root == 0 ? bytes({0x65, 0, 0xff, 0xff}) : bytes({0x65, 0, 0x64, 0, root, 0xff, 0xff}))
            .entry(k_flush);
    }
    Bytes& data() { return bytes_; }
    DuckDbLog parse() const { return parse_duckdb_log(bytes_, "x.wal").value(); }

private:
    Bytes bytes_;
};

Bytes flat(const std::optional<JoinedLog>& joined) {
    Bytes out;
    if (joined)
        for (const ByteView piece : joined->pieces) append(out, piece);
    return out;
}

const DuckDbLog k_none;

TEST(DuckDbLog, CountsCommitsAndPointersIntoTheFile) {
    Log log;
    log.commit(1).entry(k_row_groups).commit(2).entry(k_row_groups);
    const DuckDbLog found = log.parse();
    EXPECT_EQ(found.commit_count, 2u);
    EXPECT_EQ(found.row_group_count, 1u);    // the second one is not committed
    EXPECT_GT(found.uncommitted_bytes, 0u);
    EXPECT_FALSE(found.marker_root);
}

// DD-08: only the prefix up to the last flush is real.
TEST(DuckDbLog, IsCutAtItsLastFlushWhereverItEnds) {
    Log log;
    const std::size_t header = log.data().size();
    log.commit(1);
    const std::size_t first = log.data().size();
    log.commit(2);
    const Bytes all = log.data();
    for (std::size_t size = 0; size <= all.size(); ++size) {
        const auto found = parse_duckdb_log(ByteView(all).first(size), "x.wal");
        ASSERT_TRUE(found) << size;
        EXPECT_EQ(found->commit_count, size < first ? 0u : size < all.size() ? 1u : 2u) << size;
        EXPECT_FALSE(found->damaged_at) << size;
        EXPECT_EQ(found->header.size(), size < header ? 0u : header) << size;
        const auto joined = join_duckdb_logs(*found, k_none, 1);
        ASSERT_TRUE(joined);
        EXPECT_EQ(joined->size(), size < first ? 0u : size < all.size() ? first : all.size()) << size;
    }
}

TEST(DuckDbLog, SeesAnyFlippedBitOfAnEntrysPayloadOrChecksum) {
    Log log;
    log.commit(1).commit(2);
    const std::size_t header = 8;
    for (std::size_t at = header + 8; at < header + 16 + 6; ++at) {    // the first entry's checksum and payload
        Log damaged = log;
        damaged.data()[at] ^= std::byte{1};
        const DuckDbLog found = damaged.parse();
        ASSERT_TRUE(found.damaged_at) << at;
        EXPECT_EQ(*found.damaged_at, header);
        EXPECT_EQ(found.commit_count, 0u);
        EXPECT_FALSE(join_duckdb_logs(found, k_none, 1));
    }
}

TEST(DuckDbLog, TakesZerosAtItsEndForDamage) {    // what a power failure leaves; DuckDB does not open it
    Log log;
    log.commit(1).data().resize(log.data().size() + 64, std::byte{0});
    EXPECT_TRUE(log.parse().damaged_at);
}

TEST(DuckDbLog, RefusesWhatDoesNotStartAsOne) {
    for (Bytes bytes :
         {Log::bytes({0, 0, 98, 0x65, 0, 2, 0xff, 0xff}), Log::bytes({0x64, 0, 97, 0x65, 0, 2, 0xff, 0xff}),
          Log::bytes({0x64, 0, 98, 0x66, 0, 2, 0xff, 0xff}), Log::bytes({0x64, 0, 98, 0x65, 0, 2, 0xff, 0xfe}),
          Log::bytes({0x64, 0, 98, 0x65, 0, 2, 0x66, 0, 15, 1, 1, 1})}) {
        const auto found = parse_duckdb_log(bytes, "x.wal");
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().code, ErrorCode::corrupt);
        EXPECT_THAT(found.error().message, HasSubstr("x.wal"));
    }
}

TEST(DuckDbLog, RefusesEncryptedAndUnknownVersions) {
    for (const std::uint8_t version : {1, 3, 9}) {
        const auto found = parse_duckdb_log(Log(version).data(), "x.wal");
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().code, ErrorCode::unsupported);
    }
}

TEST(DuckDbLog, ReadsTheLongVersionEntry) {
    Bytes bytes = Log::bytes({0x64, 0, 98, 0x65, 0, 2, 0x66, 0, 16});
    for (int i = 0; i < 16; ++i)
        append(bytes, i % 2 ? Log::bytes({0xff, 1}) : Log::bytes({7}));    // LEB128: one or two bytes
    append(bytes, Log::bytes({0x67, 0, 0x80, 2, 0xff, 0xff}));
    const auto found = parse_duckdb_log(bytes, "x.wal");
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->header.size(), bytes.size());
}

TEST(DuckDbLogs, AMarkerWithTheFilesRootDropsTheLogThatIsInTheFile) {
    Log log, second;
    log.commit(1).commit(2).marker(5);
    second.commit(3);
    const auto joined = join_duckdb_logs(log.parse(), second.parse(), 5);
    ASSERT_TRUE(joined);
    EXPECT_EQ(joined->commit_count, 1u);
    EXPECT_EQ(flat(joined), second.data());
    EXPECT_TRUE(join_duckdb_logs(log.parse(), k_none, 5)->pieces.empty());
}

TEST(DuckDbLogs, AMarkerWithAnotherRootKeepsBothLogsAndNotItself) {
    Log log, second;
    log.commit(1).commit(2).marker(6);
    second.commit(3);
    Log expected;
    expected.commit(1).commit(2).commit(3);
    const DuckDbLog first_log = log.parse(), second_log = second.parse();
    EXPECT_EQ(flat(join_duckdb_logs(first_log, second_log, 5)), expected.data());
    EXPECT_EQ(join_duckdb_logs(first_log, second_log, 5)->commit_count, 3u);
}

TEST(DuckDbLogs, ARootOfZeroIsAMarkerToo) {
    Log log;
    log.commit(1).marker(0);
    EXPECT_EQ(log.parse().marker_root, 0u);
    EXPECT_TRUE(join_duckdb_logs(log.parse(), k_none, 0)->pieces.empty());
}

TEST(DuckDbLogs, CommitsBehindAMarkerOfAFailedCheckpointStay) {
    Log log;
    log.commit(1).marker(6).commit(2);
    Log expected;
    expected.commit(1).commit(2);
    EXPECT_EQ(flat(join_duckdb_logs(log.parse(), k_none, 5)), expected.data());
}

// Else what was committed between the two reads would be missing.
TEST(DuckDbLogs, ASecondLogWithoutAMarkerInTheFirstIsReadAgain) {
    Log log, second;
    log.commit(1);
    EXPECT_FALSE(join_duckdb_logs(log.parse(), second.commit(2).parse(), 5));
    EXPECT_FALSE(join_duckdb_logs(log.parse(), Log().parse(), 5));
    EXPECT_FALSE(join_duckdb_logs(k_none, second.parse(), 5));
    log.marker(6).commit(3);
    EXPECT_FALSE(join_duckdb_logs(log.parse(), second.parse(), 5));
}

TEST(DuckDbLogs, SurviveAnyBytes) {
    std::mt19937 random(7);
    Log log;
    log.commit(1).marker(6).commit(2);
    for (int round = 0; round < 20000; ++round) {
        Bytes bytes = log.data();
        bytes.resize(random() % (bytes.size() + 1));
        for (int flips = static_cast<int>(random() % 4); flips > 0 && !bytes.empty(); --flips)
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        const auto found = parse_duckdb_log(bytes, "x.wal");
        if (!found) continue;
        const auto joined = join_duckdb_logs(*found, k_none, 5);
        EXPECT_LE(joined ? joined->size() : 0, bytes.size());
    }
}

}    // namespace
}    // namespace holdfast::db
