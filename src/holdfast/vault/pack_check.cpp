#include "holdfast/vault/pack_check.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::vault {
namespace {

// Large enough that a request to a far storage pays; small enough that what is hashed, decrypted and decompressed comes
// from the processor's cache.
constexpr std::uint64_t k_piece = 2u << 20;
// What blobs may take that are unpacked and hashed together.
constexpr std::size_t k_room_max = 4u << 20;
// Longer ones are opened alone and where they lie. They are rare, and their buffers are not kept.
constexpr std::size_t k_long = 3u << 20;
// A table of more blobs than any writer puts into a pack.
constexpr std::uint64_t k_table_max = 64u << 20;

// What was in it goes before more is taken: growing would need both for a moment. `kept`: what may stay for the next time.
void fit(Bytes& buffer, std::size_t size, std::size_t kept) {
    if (buffer.capacity() < size || buffer.capacity() > kept) Bytes().swap(buffer);
    buffer.resize(size);
}

// Blobs that lie one after the other from the start, as they should (the index's part of the check says so otherwise).
bool is_contiguous(const format::IndexPack& pack, std::uint64_t& end) {
    end = 0;
    for (const format::PackedBlob& blob : pack.blobs) {
        if (blob.offset != end || blob.length < format::k_envelope_overhead) return false;
        end += blob.length;
    }
    return true;
}

}    // namespace

PackCheck::PackCheck(Repository& repository)
    : repository_(repository), opener_(repository.master_key()), plains_(k_together_max) {}

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
    const Status read = read_blobs(pack, std::min(*size, format::pack_size(pack.blobs)), report);
    const Id sum = sum_.finish();
    if (!read) {
        report(fmt::format("{}: {}", name_, read.error().message));
        return *size;
    }
    if (sum != pack.id) report(name_ + " is damaged: its content does not match its name");
    if (!table_is_whole(pack, report)) report(name_ + ": its table of blobs is damaged");
    return *size;
}

Status PackCheck::read_piece(std::uint64_t from, std::uint64_t length) {
    fit(piece_, length, 2 * k_piece);
    return repository_.backend().read_at(file_, from, piece_);
}

// The end stays in piece_, for table_is_whole().
Status PackCheck::read_blobs(const format::IndexPack& pack, std::uint64_t size, const Report& report) {
    std::uint64_t end = 0;
    if (!is_contiguous(pack, end) || end > size) {
        HF_DO(read_rest(0, size));
        const Bytes table = std::exchange(piece_, {});
        for (const format::PackedBlob& blob : pack.blobs) {
            if (std::uint64_t(blob.offset) + blob.length > size || blob.length < format::k_envelope_overhead) {
                report(fmt::format("{}: it ends before blob {}", name_, blob.id.brief()));
                continue;
            }
            HF_DO(read_piece(blob.offset, blob.length));
            format::Sha256 ignored;
            std::swap(sum_, ignored);
            check_piece(piece_, {&blob, 1}, report);
            std::swap(sum_, ignored);
        }
        piece_ = table;
        return {};
    }
    const std::span<const format::PackedBlob> blobs(pack.blobs);
    for (std::size_t first = 0, next = 0; first < blobs.size(); first = next) {
        std::uint64_t length = 0;
        while (next < blobs.size() && (length == 0 || length + blobs[next].length <= k_piece))
            length += blobs[next++].length;
        HF_DO(read_piece(blobs[first].offset, length));
        check_piece(piece_, blobs.subspan(first, next - first), report);
    }
    return read_rest(end, size);
}

Status PackCheck::read_rest(std::uint64_t from, std::uint64_t size) {
    do {
        // All at once as a rule: the table.
        const std::uint64_t length = std::min(size - from, size - from <= k_table_max ? k_table_max : k_piece);
        HF_DO(read_piece(from, length));
        sum_.update(piece_);
        from += length;
    } while (from < size);
    return {};
}

void PackCheck::check_piece(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report) {
    while (!blobs.empty()) {
        const std::size_t count = check_some(piece, blobs, report);
        std::size_t length = 0;
        for (const format::PackedBlob& blob : blobs.first(count)) length += blob.length;
        piece = piece.subspan(length);
        blobs = blobs.subspan(count);
    }
}

// The first blobs of the piece, as many as are worth hashing together. Returns how many.
std::size_t PackCheck::check_some(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report) {
    std::size_t count = 0, length = 0, size = 0;
    for (; count < blobs.size() && count < k_together_max; ++count) {
        const format::PackedBlob& blob = blobs[count];
        const bool is_long = std::max(blob.length, blob.uncompressed_length) > k_long;
        if (count == 0 && is_long) return check_alone(piece.first(blob.length), blob, report);
        if (is_long || (count > 0 && size + blob.plain_length() > k_room_max)) break;
        length += blob.length;
        size += blob.plain_length();
    }
    fit(room_, size, k_room_max);
    std::vector<format::HashWork> work;
    std::size_t at = 0, room = 0;
    for (const format::PackedBlob& blob : blobs.first(count)) {
        Plain& plain = plains_[work.size()];
        const ByteSpan content = ByteSpan(room_).subspan(room, blob.plain_length());
        const auto opened = opener_.unpack(piece.subspan(at, blob.length), blob, content);
        at += blob.length;
        room += content.size();
        if (!opened) {
            report(fmt::format("{}: {}", name_, opened.error().message));
            continue;
        }
        plain.blob = &blob;
        work.push_back({&plain.sum, content});
    }
    const std::size_t opened = work.size();
    work.push_back({&sum_, piece.first(length)});
    format::update_together(work);
    for (std::size_t i = 0; i < opened; ++i)
        if (const Plain& plain = plains_[i]; plains_[i].sum.finish() != plain.blob->id)
            report(fmt::format("{}: {}", name_, BlobOpener::other_content(*plain.blob).error().message));
    return count;
}

// The pack's sum is made first, so that the blob may be decrypted in its place.
std::size_t PackCheck::check_alone(ByteSpan envelope, const format::PackedBlob& blob, const Report& report) {
    sum_.update(envelope);
    if (!format::Decompressor::may_hold(blob.length, blob.uncompressed_length)) {
        report(fmt::format("{}: blob {} cannot be as long as the index says", name_, blob.id.brief()));
        return 1;
    }
    fit(room_, blob.uncompressed_length, k_room_max);
    const auto plain = opener_.unpack_in_place(envelope, blob, room_);
    if (!plain)
        report(fmt::format("{}: {}", name_, plain.error().message));
    else if (format::sha256(*plain) != blob.id)
        report(fmt::format("{}: {}", name_, BlobOpener::other_content(blob).error().message));
    give_back();
    return 1;
}

void PackCheck::give_back() {
    if (room_.capacity() > k_room_max) room_ = {};
}

// The pack's own table must say what the index says, or the index could not be made anew from it. It was read last.
bool PackCheck::table_is_whole(const format::IndexPack& pack, const Report& report) {
    const ByteView bytes = piece_;
    if (bytes.size() < format::k_pack_trailer) return false;
    const auto length = load_le<std::uint32_t>(bytes.last(format::k_pack_trailer).data());
    if (length < format::k_envelope_overhead || length > bytes.size() - format::k_pack_trailer) return false;
    Bytes plain;
    if (!opener_.cipher().open(bytes.subspan(bytes.size() - format::k_pack_trailer - length, length), plain))
        return false;
    const auto table = format::decode_pack_header(plain);
    if (!table) return false;
    if (*table != pack.blobs) report(name_ + ": its table of blobs differs from the index");
    return true;
}

}    // namespace holdfast::vault
