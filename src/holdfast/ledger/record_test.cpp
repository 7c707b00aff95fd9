// Records of the journal: what a crash may leave ends the log, what had been durable is never lost in silence.

#include "holdfast/ledger/record.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

/// A segment of records "record 1" and so on, in batches; each batch was synced before the next one was written.
struct Segment {
    Bytes bytes;
    std::uint32_t seed = 0;
    std::vector<std::size_t> ends;    // of record 1, 2, ...
    Sequence last = 0, synced = 0;

    Segment() {
        append_segment_header(bytes, {"desk-1", 1, 77});
        seed = record_seed(bytes);
    }
    void batch(int records) {
        const Sequence before = last;
        for (int i = 0; i < records; ++i) {
            ++last;
            append_record(bytes, {last, before, as_bytes(payload(last))}, seed);
            ends.push_back(bytes.size());
        }
        synced = before;
    }
    void seal() {
        append_record(bytes, {last, last, {}}, seed);
        synced = last;
    }
    static std::string payload(Sequence sequence) {
        return fmt::format("record {}{}", sequence, std::string(sequence % 9, '.'));
    }
    /// Of the sequence's record, its first byte.
    std::size_t begin(Sequence sequence) const { return sequence == 1 ? k_segment_header_size : ends[sequence - 2]; }
};

struct Walk {
    Sequence last = 0;    // read, each with its own content
    bool damaged = false;
    std::string message;
};

Walk walk(ByteView bytes, Sequence durable = 0) {
    Walk result;
    const auto failed = [&](const Error& error) {
        EXPECT_EQ(error.code, ErrorCode::corrupt) << error.message;
        EXPECT_NE(error.message.find("offset"), std::string::npos) << error.message;
        result.damaged = true;
        result.message = error.message;
        return result;
    };
    const auto header = read_segment_header(bytes);
    if (!header) return failed(header.error());
    EXPECT_EQ(*header, (SegmentHeader{"desk-1", 1, 77}));
    const std::uint32_t seed = record_seed(bytes);
    for (std::size_t at = k_segment_header_size;;) {
        const auto record = read_record(bytes.subspan(at), at, result.last + 1, durable, seed);
        if (!record) return failed(record.error());
        if (!*record) return result;
        at += (*record)->size();
        if ((*record)->is_seal()) continue;
        ++result.last;
        EXPECT_EQ(as_text((*record)->payload), Segment::payload(result.last));
    }
}

TEST(Record, IsReadBackInOrderAndEndsCleanlyInZerosOrAtTheEnd) {
    // Requirement: EA-16
    Segment segment;
    segment.batch(3);
    segment.seal();
    segment.batch(40);
    EXPECT_EQ(walk(segment.bytes).last, 43u);
    segment.bytes.resize(segment.bytes.size() + 10'000, std::byte{0});
    const Walk padded = walk(segment.bytes);
    EXPECT_EQ(padded.last, 43u);
    EXPECT_FALSE(padded.damaged);
    EXPECT_EQ(walk(Segment().bytes).last, 0u);
}

TEST(Record, AFlippedBitIsNeverReadAndNeverCutsWhatHadBeenDurable) {
    // Requirement: EA-16
    for (const bool sealed : {false, true}) {
        Segment segment;
        segment.batch(1);
        segment.batch(4);
        segment.batch(3);
        if (sealed) segment.seal();
        const std::size_t end = segment.bytes.size();
        const std::size_t durable_end = sealed ? segment.ends.back() : segment.begin(segment.synced + 1);
        segment.bytes.resize(end + 64, std::byte{0});
        for (std::size_t at = 0; at < end; ++at) {
            for (int bit = 0; bit < 8; ++bit) {
                segment.bytes[at] ^= std::byte(1 << bit);
                const Walk result = walk(segment.bytes);
                segment.bytes[at] ^= std::byte(1 << bit);
                const bool in_durable = at < durable_end;
                ASSERT_EQ(result.damaged, in_durable) << "offset " << at << " bit " << bit << result.message;
                if (!in_durable) {
                    ASSERT_GE(result.last, segment.synced) << "offset " << at;
                }
            }
        }
    }
}

TEST(Record, ACutAtAnyLengthLeavesWholeRecordsOnly) {
    // Requirement: EA-16
    Segment segment;
    segment.batch(2);
    segment.batch(3);
    segment.seal();
    for (std::size_t size = k_segment_header_size; size <= segment.bytes.size(); ++size) {
        const auto whole =
            static_cast<Sequence>(std::ranges::count_if(segment.ends, [&](std::size_t end) { return end <= size; }));
        Bytes cut(segment.bytes.begin(), segment.bytes.begin() + static_cast<std::ptrdiff_t>(size));
        for (const bool zeros : {false, true}) {
            if (zeros) cut.resize(segment.bytes.size() + 100, std::byte{0});
            const Walk result = walk(cut);
            // A record that ends in zeros is whole without them.
            EXPECT_GE(result.last, whole) << size;
            EXPECT_LE(result.last, whole + (zeros ? 1 : 0)) << size;
            EXPECT_FALSE(result.damaged) << size << result.message;
        }
        // Somebody else knows better: a state snapshot, or a later segment.
        if (whole < 5) {
            EXPECT_TRUE(walk(ByteView(cut).first(size), 5).damaged) << size;
        }
    }
    for (std::size_t size = 0; size < k_segment_header_size; ++size)
        EXPECT_TRUE(walk(ByteView(segment.bytes).first(size)).damaged) << size;
}

TEST(Record, AnUnsyncedBatchMayReachTheDiskInAnyOrder) {
    // Requirement: EA-16
    Segment segment;
    segment.batch(2);
    segment.batch(60);
    // All subsets would be too many: each single one lost, with all later ones there.
    for (Sequence lost = 3; lost <= 62; ++lost) {
        Bytes bytes = segment.bytes;
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(segment.begin(lost)),
                  bytes.begin() + static_cast<std::ptrdiff_t>(segment.ends[lost - 1]), std::byte{0});
        const Walk result = walk(bytes);
        EXPECT_FALSE(result.damaged) << result.message;
        EXPECT_EQ(result.last, lost - 1);
    }
    // The batch before it had been synced.
    for (Sequence lost = 1; lost <= 2; ++lost) {
        Bytes bytes = segment.bytes;
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(segment.begin(lost)),
                  bytes.begin() + static_cast<std::ptrdiff_t>(segment.ends[lost - 1]), std::byte{0});
        const Walk result = walk(bytes);
        EXPECT_TRUE(result.damaged);
        EXPECT_NE(result.message.find(fmt::format("offset {} ", segment.begin(lost))), std::string::npos)
            << result.message;
    }
}

TEST(Record, CountsOnlyInTheSegmentAndAtThePlaceWhereItWasWritten) {
    // Requirement: EA-16
    Segment segment;
    segment.batch(2);
    // A payload that is a copy of another segment's record, which would prove that the record before it had been durable.
    Bytes forged;
    append_record(forged, {9, 9, as_bytes("anything")}, 4711);
    append_record(segment.bytes, {4, 2, forged}, segment.seed);
    EXPECT_EQ(walk(segment.bytes).message,
              fmt::format("the record at offset {} has sequence 4 instead of 3", segment.ends[1]));
    Bytes torn = segment.bytes;
    torn[segment.ends[1]] ^= std::byte{1};
    EXPECT_FALSE(walk(torn).damaged);
    EXPECT_EQ(walk(torn).last, 2u);
}

TEST(Record, HoldsTheLargestPayloadAndRefusesALaterVersion) {
    Segment segment;
    const std::string large(k_payload_max, 'x');
    append_record(segment.bytes, {1, 0, as_bytes(large)}, segment.seed);
    const auto record =
        read_record(ByteView(segment.bytes).subspan(k_segment_header_size), k_segment_header_size, 1, 0, segment.seed);
    ASSERT_TRUE(record.has_value() && record->has_value());
    EXPECT_EQ(as_text((*record)->payload), large);

    store_le(segment.bytes.data() + 12, std::uint32_t{2});
    store_le(segment.bytes.data() + 8, crc32c(ByteView(segment.bytes).subspan(12, k_segment_header_size - 12),
                                              crc32c(ByteView(segment.bytes).first(8))));
    EXPECT_EQ(read_segment_header(segment.bytes).error().code, ErrorCode::unsupported);
}

TEST(Record, KnowsTheChecksumOfTheStandard) {
    // RFC 3720, B.4
    EXPECT_EQ(crc32c(Bytes(32, std::byte{0})), 0x8a9136aau);
    EXPECT_EQ(crc32c(Bytes(32, std::byte{0xff})), 0x62a8ab43u);
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
}

}    // namespace
}    // namespace holdfast::ledger
