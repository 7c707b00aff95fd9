#pragma once
/// One record of the trade journal: one thing that happened, in the order in which it happened.
/// Appended and never changed: the journal is the truth, every store is a projection of it.
///
///   shape    u32 length | u32 crc32c | u64 sequence | u64 synced | payload | zeros up to a multiple of 8; little endian;
///            crc over all of it but itself, started from the segment's own crc: a record counts only where it was written
///   units    length counts the payload's bytes, 0 to k_payload_max; sequences start at 1 and have no gaps. A seal has no
///            payload and the sequence of the record before it: it says nothing but `synced`
///   errors   corrupt, with the offset in the message, when something says that the record had been durable; else a
///            record that does not check ends the log: that is what a crash may leave
///   threads  values only; safe anywhere
///   source   docs/formats/journal.md, version 1; CRC-32C as in RFC 3720, B.4

#include <cstdint>
#include <optional>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::ledger {

using Sequence = std::uint64_t;    // 0: before the first record

inline constexpr std::size_t k_record_header_size = 24;
inline constexpr std::size_t k_payload_max = std::size_t(1) << 20;
inline constexpr std::size_t k_segment_header_size = 4096;
inline constexpr std::size_t k_account_max = 64;

/// What a record with a payload of this size takes in a segment.
constexpr std::size_t record_size(std::size_t payload_size) {
    return (k_record_header_size + payload_size + 7) / 8 * 8;
}

struct Record {
    Sequence sequence = 0;
    Sequence synced = 0;    // everything up to this one was durable when it was written
    ByteView payload;    // borrowed from the segment, lives as long as it; empty: a seal

    bool is_seal() const { return payload.empty(); }
    std::size_t size() const { return record_size(payload.size()); }
};

/// The first k_segment_header_size bytes of a segment; a page of their own, so that no later write touches them.
///
///   shape    "HFJOURN1" | u32 crc32c of all but itself | u32 version | u64 first | u64 salt | u16 length + account | zeros
struct SegmentHeader {
    std::string account;    // at most k_account_max bytes
    Sequence first = 1;    // of its first record; everything before was durable when the segment was made
    std::uint64_t salt = 0;    // random, so that nobody who writes a payload can foresee a crc

    bool operator==(const SegmentHeader&) const = default;
};
void append_segment_header(Bytes& to, const SegmentHeader& header);
/// corrupt, or unsupported for a later version.
Result<SegmentHeader> read_segment_header(ByteView segment);
/// Where the crc of each record of this segment starts. `segment`: at least its header.
std::uint32_t record_seed(ByteView segment);

/// Appends one record without `synced` and crc; finish_record adds them before it is written. Split, so that the thread
/// that appends pays for a copy only, and `synced` is as late as it can be.
void append_unfinished(Bytes& to, Sequence sequence, ByteView payload);
/// Sets `synced` and the crc of the record at `at`, and returns its size.
std::size_t finish_record(std::byte* at, Sequence synced, std::uint32_t seed);
/// Both in one; read_record gives it back.
void append_record(Bytes& segment, const Record& record, std::uint32_t seed);

/// The record at the begin of `bytes`, if all of it is there and checks.
std::optional<Record> whole_record(ByteView bytes, std::uint32_t seed);
/// How many bytes the record at the begin of `bytes` takes by its own word, at least a header's; nothing when no record says so.
std::optional<std::size_t> claimed_size(ByteView bytes);

/// Whether a whole record anywhere in `bytes` (at multiples of 8) says that `sequence` had been durable. Also true when so
/// much looks like records that it would take unreasonable time to tell.
bool proves_durable(ByteView bytes, Sequence sequence, std::uint32_t seed);

/// Whether a record that checks stands at its place: with the expected sequence, or as a seal of the one before. corrupt.
Status check_place(const Record& record, Sequence expected, std::uint64_t offset);

/// Reads the record at `offset` of a segment, which must carry `expected`; nullopt: the log ends here. `rest` is the segment
/// from there to its end. Touches neither disk nor clock.
/// `durable` is what is known from elsewhere: with a later segment, all before that one's first. A record that does not check
/// is damage when `durable` or any later whole record of this segment says that it had been durable, else the end.
Result<std::optional<Record>> read_record(ByteView rest, std::uint64_t offset, Sequence expected, Sequence durable,
                                          std::uint32_t seed);

/// CRC-32C (Castagnoli) of `bytes`, continued from `crc`.
std::uint32_t crc32c(ByteView bytes, std::uint32_t crc = 0);

}    // namespace holdfast::ledger
