#include "holdfast/ledger/record.hpp"

#include <fmt/core.h>
#include <isa-l.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

constexpr std::string_view k_magic = "HFJOURN1";
constexpr std::uint32_t k_version = 1;
/// ISA-L counts in `int` and takes a pointer that is not const, but only reads.
constexpr std::size_t k_piece_max = std::size_t(1) << 30;
/// A search for proof checks at most this many times the bytes that it searches.
constexpr std::size_t k_effort_max = 64;

bool only_zeros(ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::uint32_t record_crc(const std::byte* head, std::size_t size, std::uint32_t seed) {
    return crc32c({head + 8, size - 8}, crc32c({head, 4}, seed));
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

void append_segment_header(Bytes& to, const SegmentHeader& header) {
    HF_ASSERT(header.account.size() <= k_account_max && header.first > 0);
    const std::size_t at = to.size();
    to.resize(at + k_segment_header_size);
    std::byte* head = to.data() + at;
    std::fill_n(head, k_segment_header_size, std::byte{0});
    std::ranges::copy(as_bytes(k_magic), head);
    store_le(head + 12, k_version);
    store_le(head + 16, header.first);
    store_le(head + 24, header.salt);
    store_le(head + 32, static_cast<std::uint16_t>(header.account.size()));
    std::ranges::copy(as_bytes(header.account), head + 34);
    store_le(head + 8, crc32c({head + 12, k_segment_header_size - 12}, crc32c({head, 8})));
}

Result<SegmentHeader> read_segment_header(ByteView segment) {
    if (segment.size() < k_segment_header_size)
        return fail(ErrorCode::corrupt,
                    "the segment ends inside its header, at offset " + std::to_string(segment.size()));
    const std::byte* head = segment.data();
    if (as_text(segment.first(k_magic.size())) != k_magic)
        return fail(ErrorCode::corrupt, "it does not begin as a journal segment does, at offset 0");
    if (load_le<std::uint32_t>(head + 8) != crc32c({head + 12, k_segment_header_size - 12}, crc32c({head, 8})))
        return fail(ErrorCode::corrupt, "the segment's header, at offset 0, does not match its checksum");
    if (const auto version = load_le<std::uint32_t>(head + 12); version != k_version)
        return fail(ErrorCode::unsupported, fmt::format("it is a journal segment of version {}", version),
                    "it was written by a newer holdfast: use that one");
    const std::size_t length = load_le<std::uint16_t>(head + 32);
    SegmentHeader header{{}, load_le<std::uint64_t>(head + 16), load_le<std::uint64_t>(head + 24)};
    if (length > k_account_max || header.first == 0)
        return fail(ErrorCode::corrupt, "the segment's header, at offset 0, makes no sense");
    header.account = as_text({head + 34, length});
    return header;
}

std::uint32_t record_seed(ByteView segment) { return load_le<std::uint32_t>(segment.data() + 8); }

void append_unfinished(Bytes& to, Sequence sequence, ByteView payload) {
    HF_ASSERT(payload.size() <= k_payload_max);
    const std::size_t at = to.size();
    const std::size_t size = record_size(payload.size());
    to.resize(at + size);
    std::byte* head = to.data() + at;
    store_le(head + size - 8, std::uint64_t(0));    // the padding; the payload goes over the rest
    store_le(head, static_cast<std::uint32_t>(payload.size()));
    store_le(head + 8, sequence);
    if (!payload.empty()) std::memcpy(head + k_record_header_size, payload.data(), payload.size());
}

std::size_t finish_record(std::byte* at, Sequence synced, std::uint32_t seed) {
    const std::size_t size = record_size(load_le<std::uint32_t>(at));
    store_le(at + 16, synced);
    store_le(at + 4, record_crc(at, size, seed));
    return size;
}

void append_record(Bytes& segment, const Record& record, std::uint32_t seed) {
    const std::size_t at = segment.size();
    append_unfinished(segment, record.sequence, record.payload);
    finish_record(segment.data() + at, record.synced, seed);
}

std::optional<std::size_t> claimed_size(ByteView bytes) {
    if (bytes.size() < k_record_header_size) return std::nullopt;
    const std::size_t length = load_le<std::uint32_t>(bytes.data());
    if (length > k_payload_max) return std::nullopt;
    return record_size(length);
}

std::optional<Record> whole_record(ByteView bytes, std::uint32_t seed) {
    const auto size = claimed_size(bytes);
    if (!size || *size > bytes.size()) return std::nullopt;
    const std::byte* head = bytes.data();
    if (record_crc(head, *size, seed) != load_le<std::uint32_t>(head + 4)) return std::nullopt;
    return Record{load_le<std::uint64_t>(head + 8),
                  load_le<std::uint64_t>(head + 16),
                  {head + k_record_header_size, load_le<std::uint32_t>(head)}};
}

bool proves_durable(ByteView bytes, Sequence sequence, std::uint32_t seed) {
    // What could prove something is rare in what a crash leaves, but common in a log that was damaged early and long
    // ago; there the first look succeeds. Only a file made to waste time needs the limit.
    std::size_t effort = (bytes.size() + k_payload_max) * k_effort_max;
    for (; bytes.size() >= k_record_header_size; bytes = bytes.subspan(8)) {
        const auto said = load_le<std::uint64_t>(bytes.data() + 16);
        if (said < sequence || said > load_le<std::uint64_t>(bytes.data() + 8)) continue;
        const auto size = claimed_size(bytes);
        if (!size || *size > bytes.size()) continue;
        if (whole_record(bytes, seed) || *size > effort) return true;
        effort -= *size;
    }
    return false;
}

Status check_place(const Record& record, Sequence expected, std::uint64_t offset) {
    if (record.sequence != (record.is_seal() ? expected - 1 : expected))
        return fail(ErrorCode::corrupt, fmt::format("the record at offset {} has sequence {} instead of {}", offset,
                                                    record.sequence, expected));
    if (record.synced > record.sequence)
        return fail(ErrorCode::corrupt,
                    fmt::format("the record at offset {} says that sequence {} was durable before it "
                                "was written",
                                offset, record.synced));
    return {};
}

Result<std::optional<Record>> read_record(ByteView rest, std::uint64_t offset, Sequence expected, Sequence durable,
                                          std::uint32_t seed) {
    if (const auto record = whole_record(rest, seed)) {
        HF_DO(check_place(*record, expected, offset));
        return record;
    }
    if (expected <= durable || proves_durable(rest, expected, seed))
        return fail(ErrorCode::corrupt,
                    fmt::format("the record at offset {} (sequence {}) had been durable and {}", offset, expected,
                                only_zeros(rest.first(std::min(rest.size(), k_record_header_size)))
                                    ? "is not there any more"
                                    : "does not match its checksum"));
    return std::nullopt;
}

}    // namespace holdfast::ledger
