#include "holdfast/ledger/record.hpp"

#include <fmt/core.h>
#include <isa-l.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

/// ISA-L counts in `int` and takes a pointer that is not const, but only reads.
constexpr std::size_t k_piece_max = std::size_t(1) << 30;

bool only_zeros(ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

/// The record at `offset`, if all of it is there and checks.
std::optional<Record> whole_record(ByteView segment, std::size_t offset) {
    if (segment.size() < offset || segment.size() - offset < k_record_header_size) return std::nullopt;
    const std::byte* head = segment.data() + offset;
    const std::size_t length = load_le<std::uint32_t>(head);
    if (length == 0 || length > k_payload_max || segment.size() - offset - k_record_header_size < length)
        return std::nullopt;
    std::uint32_t crc = crc32c({head, 4});
    crc = crc32c({head + 8, 8 + length}, crc);
    if (crc != load_le<std::uint32_t>(head + 4)) return std::nullopt;
    return Record{load_le<std::uint64_t>(head + 8), {head + k_record_header_size, length}};
}

}    // namespace

std::uint32_t crc32c(ByteView bytes, std::uint32_t crc) {
    crc = ~crc;
    while (!bytes.empty()) {
        const ByteView piece = bytes.first(std::min(bytes.size(), k_piece_max));
        crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data())),
                          static_cast<int>(piece.size()), crc);
        bytes = bytes.subspan(piece.size());
    }
    return ~crc;
}

void append_record(Bytes& segment, Sequence sequence, ByteView payload) {
    HF_ASSERT(!payload.empty() && payload.size() <= k_payload_max);
    const std::size_t at = segment.size();
    segment.resize(at + k_record_header_size + payload.size());
    std::byte* head = segment.data() + at;
    store_le(head, static_cast<std::uint32_t>(payload.size()));
    store_le(head + 8, sequence);
    std::memcpy(head + k_record_header_size, payload.data(), payload.size());
    store_le(head + 4, crc32c({head + 8, 8 + payload.size()}, crc32c({head, 4})));
}

Result<std::optional<Record>> read_record(ByteView segment, std::size_t offset, Sequence expected) {
    if (offset >= segment.size()) return std::nullopt;
    if (const auto record = whole_record(segment, offset)) {
        if (record->sequence != expected)
            return fail(ErrorCode::corrupt, fmt::format("the record at offset {} has sequence {} instead of {}", offset,
                                                        record->sequence, expected));
        return record;
    }
    const ByteView rest = segment.subspan(offset);
    if (only_zeros(rest)) return std::nullopt;
    return std::nullopt;
}

}    // namespace holdfast::ledger
