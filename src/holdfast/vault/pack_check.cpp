#include "holdfast/vault/pack_check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace holdfast::vault {
namespace {

// Large enough that a request to a far storage pays; small enough that what is decrypted, decompressed and hashed comes
// from the processor's cache.
constexpr std::uint64_t k_piece = 2u << 20;
// What blobs may take that are unpacked and hashed together. A longer one is alone, and its buffers are not kept.
constexpr std::size_t k_room = 4u << 20;

// What was in it goes before more is taken: growing would need both for a moment. `kept`: what may stay for the next time.
void fit(Bytes& buffer, std::size_t size, std::size_t kept) {
    if (buffer.capacity() < size) {
        Bytes().swap(buffer);
        buffer.reserve(std::max(size, kept));
    }
    buffer.resize(size);
}

std::uint64_t end_of(const format::PackedBlob& blob) { return std::uint64_t(blob.offset) + blob.length; }

bool may_hold(const format::PackedBlob& blob) {
    return format::Decompressor::may_hold(blob.length, blob.uncompressed_length);
}

}    // namespace

PackCheck::PackCheck(Repository& repository)
    : repository_(repository), opener_(repository.master_key()), sums_(k_together_max) {}

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
    Status read = check_blobs(pack.blobs, own, report);
    if (read) read = check_table(pack, own, report);
    if (!read) report(fmt::format("{}: {}", name_, read.error().message));
    return *size;
}

Status PackCheck::read_piece(std::uint64_t from, std::uint64_t length) {
    fit(piece_, length, 2 * k_piece);
    return repository_.backend().read_at(file_, from, piece_);
}

Status PackCheck::check_blobs(std::span<const format::PackedBlob> blobs, std::uint64_t size, const Report& report) {
    const auto is_there = [&](const format::PackedBlob& blob) {
        return end_of(blob) <= size && blob.length >= format::k_envelope_overhead;
    };
    for (std::size_t first = 0, next = 0; first < blobs.size(); first = next) {
        const std::uint64_t from = blobs[first].offset;
        std::uint64_t end = from;
        for (; next < blobs.size() && blobs[next].offset == end && is_there(blobs[next]); ++next) {
            if (next > first && end_of(blobs[next]) - from > k_piece) break;
            end = end_of(blobs[next]);
        }
        if (next == first) {
            report(fmt::format("{}: it ends before blob {}", name_, blobs[next++].id.brief()));
            continue;
        }
        HF_DO(read_piece(from, end - from));
        check_piece(blobs.subspan(first, next - first), report);
    }
    return {};
}

void PackCheck::check_piece(std::span<const format::PackedBlob> blobs, const Report& report) {
    const std::uint64_t from = blobs.front().offset;
    while (!blobs.empty())
        blobs = blobs.subspan(check_some(ByteSpan(piece_).subspan(blobs.front().offset - from), blobs, report));
}

// The first blobs of the piece, as many as are worth hashing together. Returns how many. They are decrypted where they lie.
std::size_t PackCheck::check_some(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report) {
    std::size_t count = 0, size = 0;
    for (; count < std::min(blobs.size(), k_together_max); ++count) {
        const std::size_t more = may_hold(blobs[count]) ? blobs[count].uncompressed_length : 0;
        if (count > 0 && size + more > k_room) break;
        size += more;
    }
    fit(room_, size, k_room);
    std::array<const format::PackedBlob*, k_together_max> opened;
    std::vector<format::HashWork> work;
    ByteSpan room = room_;
    for (const format::PackedBlob& blob : blobs.first(count)) {
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
    return count;
}

// The pack's own table must say what the index says, or the index could not be made anew from it.
Status PackCheck::check_table(const format::IndexPack& pack, std::uint64_t size, const Report& report) {
    std::uint64_t length = format::pack_size(pack.blobs);
    for (const format::PackedBlob& blob : pack.blobs) length -= blob.length;
    length = std::min(length, size);
    HF_DO(read_piece(size - length, length));
    if (!table_is_whole(pack, report)) report(name_ + ": its table of blobs is damaged");
    return {};
}

bool PackCheck::table_is_whole(const format::IndexPack& pack, const Report& report) {
    if (piece_.size() < format::k_envelope_overhead + format::k_pack_trailer) return false;
    const std::size_t length = piece_.size() - format::k_pack_trailer;
    if (load_le<std::uint32_t>(piece_.data() + length) != length) return false;
    Bytes plain;
    if (!opener_.cipher().open(ByteView(piece_).first(length), plain)) return false;
    const auto table = format::decode_pack_header(plain);
    if (!table) return false;
    if (*table != pack.blobs) report(name_ + ": its table of blobs differs from the index");
    return true;
}

}    // namespace holdfast::vault
