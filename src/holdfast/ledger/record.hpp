#pragma once
/// One record of the trade journal: one thing that happened, in the order in which it happened.
/// Appended and never changed: the journal is the truth, every store is a projection of it.
///
///   shape    u32 length | u32 crc32c | u64 sequence | payload; little endian; crc over length, sequence and payload
///   units    length counts the payload's bytes, 1 to k_payload_max; sequences start at 1 and have no gaps
///   errors   torn (the segment ends inside the record, or only zeros follow: cut there), corrupt (all else: the offset
///            is in the message)
///   threads  values only; safe anywhere
///   source   docs/formats/journal.md, version 1; CRC-32C as in RFC 3720, B.4

#include <cstdint>
#include <optional>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::ledger {

using Sequence = std::uint64_t;    // 0: before the first record

inline constexpr std::size_t k_record_header_size = 16;
inline constexpr std::size_t k_payload_max = std::size_t(1) << 20;

struct Record {
    Sequence sequence = 0;
    ByteView payload;    // borrowed from the segment, lives as long as it
};

/// Appends one record; read_record gives it back.
void append_record(Bytes& segment, Sequence sequence, ByteView payload);

/// Reads the record that starts at `offset` and must carry `expected`; nullopt: the log ends here (cleanly at the end of the
/// bytes, in zeros up to their end, or torn). Touches neither disk nor clock.
/// Torn is only what a crash can leave: a record that is not whole and after which no whole record follows. A record
/// that does not check although a later one does is damage.
Result<std::optional<Record>> read_record(ByteView segment, std::size_t offset, Sequence expected);

/// CRC-32C (Castagnoli) of `bytes`, continued from `crc`.
std::uint32_t crc32c(ByteView bytes, std::uint32_t crc = 0);

}    // namespace holdfast::ledger
