#include "holdfast/vault/pack_check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "holdfast/vault/parallel.hpp"

namespace holdfast::vault {
namespace {

// Small enough that what is decrypted, decompressed and hashed comes from the processor's cache. Over a line a request
// costs more than memory does, and others must not wait for the reading of a long blob.
constexpr std::size_t k_piece = 2u << 20, k_piece_far = 4u << 20;
// What blobs may take that are unpacked and hashed together.
constexpr std::size_t k_room = 4u << 20;
constexpr std::size_t k_line = 64;    // of the processor's cache

std::uint64_t end_of(const format::PackedBlob& blob) { return std::uint64_t(blob.offset) + blob.length; }

bool may_hold(const format::PackedBlob& blob) {
    return format::Decompressor::may_hold(blob.length, blob.uncompressed_length);
}

}    // namespace

PackCheck::PackCheck(Repository& repository, LongRoom& long_room)
    : repository_(repository),
      long_room_(long_room),
      opener_(repository.master_key()),
      piece_(is_far(repository.backend()) ? k_piece_far : k_piece),
      room_(k_room),
      sums_(k_together_max) {}

std::uint64_t PackCheck::run(const format::IndexPack& pack, const Report& report) {
    file_ = {storage::FileKind::pack, pack.id};
    name_ = "pack " + pack.id.hex();
    const auto size = repository_.backend().size(file_);
    if (!size) {
        // Missing packs have been reported.
        if (size.error().code != ErrorCode::not_found) report(fmt::format("{}: {}", name_, size.error().message));
        return 0;
    }
    // What was put behind the pack has been reported, too, and may have no end.
    const std::uint64_t own = std::min(*size, format::pack_size(pack.blobs));
    Status checked = check_blobs(pack.blobs, own, report);
    if (checked) checked = check_table(pack, own, report);
    if (!checked) report(fmt::format("{}: {}", name_, checked.error().message));
    return *size;
}

// Opened alone, and by one thread at a time.
bool PackCheck::is_long(const format::PackedBlob& blob) const {
    return blob.length > piece_.capacity() || (may_hold(blob) && blob.uncompressed_length > k_room);
}

Status PackCheck::read(std::uint64_t from, ByteSpan to) { return repository_.backend().read_at(file_, from, to); }

Status PackCheck::check_blobs(std::span<const format::PackedBlob> blobs, std::uint64_t size, const Report& report) {
    const auto is_there = [&](const format::PackedBlob& blob) {
        return end_of(blob) <= size && blob.length >= format::k_envelope_overhead;
    };
    for (std::size_t first = 0, next = 0; first < blobs.size(); first = next) {
        const format::PackedBlob& blob = blobs[next++];
        if (!is_there(blob)) {
            report(fmt::format("{}: it ends before blob {}", name_, blob.id.brief()));
            continue;
        }
        if (is_long(blob)) {
            HF_DO(check_long(blob, report));
            continue;
        }
        std::uint64_t end = end_of(blob);
        for (; next < blobs.size() && blobs[next].offset == end && is_there(blobs[next]); ++next) {
            if (is_long(blobs[next]) || end_of(blobs[next]) - blob.offset > piece_.capacity()) break;
            end = end_of(blobs[next]);
        }
        const ByteSpan piece(piece_.data(), end - blob.offset);
        HF_DO(read(blob.offset, piece));
        check_piece(piece, blobs.subspan(first, next - first), report);
    }
    return {};
}

// As many at once as are worth hashing together.
void PackCheck::check_piece(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report) {
    while (!blobs.empty()) {
        std::size_t count = 0, length = 0, room = 0;
        for (; count < std::min(blobs.size(), k_together_max); ++count) {
            const std::size_t more = may_hold(blobs[count]) ? blobs[count].uncompressed_length : 0;
            if (room + more > k_room) break;
            room += more;
            length += blobs[count].length;
        }
        check_some(piece.first(length), blobs.first(count), {room_.data(), room}, report);
        piece = piece.subspan(length);
        blobs = blobs.subspan(count);
    }
}

// They are decrypted where they lie, and unpacked into `room`.
void PackCheck::check_some(ByteSpan piece, std::span<const format::PackedBlob> blobs, ByteSpan room,
                           const Report& report) {
    std::array<const format::PackedBlob*, k_together_max> opened;
    std::vector<format::HashWork> work;
    for (const format::PackedBlob& blob : blobs) {
        const ByteSpan envelope = piece.first(blob.length);
        piece = piece.subspan(blob.length);
        if (!may_hold(blob)) {
            report(fmt::format("{}: blob {} cannot be as long as the index says", name_, blob.id.brief()));
            continue;
        }
        const auto plain = opener_.unpack_in_place(envelope, blob, room.first(blob.uncompressed_length));
        room = room.subspan(blob.uncompressed_length);
        if (!plain) {
            report(fmt::format("{}: {}", name_, plain.error().message));
            continue;
        }
        opened[work.size()] = &blob;
        work.push_back({&sums_[work.size()], *plain});
    }
    format::update_together(work);
    for (std::size_t i = 0; i < work.size(); ++i)
        if (sums_[i].finish() != opened[i]->id)
            report(fmt::format("{}: {}", name_, BlobOpener::other_content(*opened[i]).error().message));
}

Status PackCheck::check_long(const format::PackedBlob& blob, const Report& report) {
    // A huge file's list of blobs is longer than any chunk.
    if (blob.type == format::BlobType::tree) {
        const LongRoom::Turn turn = long_room_.take(blob.length);
        HF_DO(read(blob.offset, turn.bytes));
        if (opener_.is_whole_in_pieces(turn.bytes, blob)) return {};
    }
    const std::size_t room = may_hold(blob) ? blob.uncompressed_length : 0;
    const std::size_t at = (room + k_line - 1) / k_line * k_line;
    const LongRoom::Turn turn = long_room_.take(at + blob.length);
    HF_DO(read(blob.offset, turn.bytes.subspan(at)));
    check_some(turn.bytes.subspan(at), {&blob, 1}, turn.bytes.first(room), report);
    return {};
}

// The pack's own table must say what the index says, or the index could not be made anew from it.
Status PackCheck::check_table(const format::IndexPack& pack, std::uint64_t size, const Report& report) {
    std::uint64_t length = format::pack_size(pack.blobs);
    for (const format::PackedBlob& blob : pack.blobs) length -= blob.length;
    Bytes table(std::min(length, size));
    HF_DO(read(size - table.size(), table));
    if (!table_is_whole(table, pack, report)) report(name_ + ": its table of blobs is damaged");
    return {};
}

bool PackCheck::table_is_whole(ByteView bytes, const format::IndexPack& pack, const Report& report) {
    if (bytes.size() < format::k_envelope_overhead + format::k_pack_trailer) return false;
    const std::size_t length = bytes.size() - format::k_pack_trailer;
    if (load_le<std::uint32_t>(bytes.data() + length) != length) return false;
    Bytes plain;
    if (!opener_.cipher().open(bytes.first(length), plain)) return false;
    const auto table = format::decode_pack_header(plain);
    if (!table) return false;
    if (*table != pack.blobs) report(name_ + ": its table of blobs differs from the index");
    return true;
}

}    // namespace holdfast::vault
