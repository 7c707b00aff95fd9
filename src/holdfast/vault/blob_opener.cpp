#include "holdfast/vault/blob_opener.hpp"

#include <fmt/core.h>

namespace holdfast::vault {

namespace {

std::unexpected<Error> damaged(const format::PackedBlob& blob, std::string_view how) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("{} blob {} {}", blob.type == format::BlobType::tree ? "tree" : "data", blob.id.brief(), how),
        "run `holdfast check --read-data` to see what else is damaged");
}

constexpr std::string_view k_broken_seal = "does not decrypt: its seal is broken";
constexpr std::string_view k_broken_frame = "does not decompress";

}    // namespace

Result<ByteView> BlobOpener::open(ByteSpan envelope, const format::PackedBlob& blob) {
    HF_ASSERT(envelope.size() == blob.length);
    const auto content = cipher_.open_in_place(envelope);
    if (!content) return damaged(blob, k_broken_seal);
    return open_content(*content, blob);
}

Result<ByteView> BlobOpener::open_content(ByteView content, const format::PackedBlob& blob) {
    ByteView plain = content;
    if (blob.uncompressed_length != 0) {
        if (!decompressor_.decompress(plain, blob.uncompressed_length, plain_)) return damaged(blob, k_broken_frame);
        plain = plain_;
    }
    if (format::sha256(plain) != blob.id) return other_content(blob);
    return plain;
}

Result<ByteView> BlobOpener::unpack_in_place(ByteSpan envelope, const format::PackedBlob& blob, ByteSpan room) {
    HF_ASSERT(envelope.size() == blob.length && room.size() == blob.uncompressed_length);
    const auto content = cipher_.open_in_place(envelope);
    if (!content) return damaged(blob, k_broken_seal);
    if (blob.uncompressed_length == 0) return ByteView(*content);
    if (!decompressor_.decompress_into(*content, room)) return damaged(blob, k_broken_frame);
    return ByteView(room);
}

Status BlobOpener::unpack(ByteView envelope, const format::PackedBlob& blob, ByteSpan room) {
    HF_ASSERT(envelope.size() == blob.length && room.size() == blob.plain_length());
    if (blob.uncompressed_length == 0) {
        if (!cipher_.open_into(envelope, room)) return damaged(blob, k_broken_seal);
        return {};
    }
    if (!cipher_.open(envelope, scratch_)) return damaged(blob, k_broken_seal);
    if (!decompressor_.decompress_into(scratch_, room)) return damaged(blob, k_broken_frame);
    return {};
}

Result<ByteView> BlobOpener::open_copy(ByteView envelope, const format::PackedBlob& blob) {
    plain_.clear();    // growing need not copy
    if (!format::Decompressor::may_hold(blob.length, blob.uncompressed_length)) return damaged(blob, k_broken_frame);
    plain_.resize(blob.plain_length());
    HF_DO(unpack(envelope, blob, plain_));
    if (format::sha256(plain_) != blob.id) return other_content(blob);
    return ByteView(plain_);
}

std::unexpected<Error> BlobOpener::other_content(const format::PackedBlob& blob) {
    return damaged(blob, "has other content than its name says");
}

Result<Result<format::Tree>> BlobOpener::open_tree(ByteSpan envelope, const format::PackedBlob& blob,
                                                   const format::NumberOf* number_of) {
    HF_ASSERT(envelope.size() == blob.length);
    const auto content = cipher_.open_in_place(envelope);
    if (!content) return damaged(blob, k_broken_seal);
    if (blob.uncompressed_length >= k_pieces_min) {
        format::FramePieces pieces(decompressor_, *content, blob.uncompressed_length);
        auto tree = format::scan_tree(pieces, number_of);
        if (tree && pieces.whole() && pieces.sum() == blob.id) return Result<format::Tree>(*std::move(tree));
    }
    HF_TRY(const ByteView json, open_content(*content, blob));
    return format::decode_tree(as_text(json), "tree " + blob.id.brief());
}

std::optional<format::Tree> BlobOpener::open_tree(format::EnvelopePieces& envelope, const format::PackedBlob& blob,
                                                  const format::NumberOf* number_of) {
    format::FramePieces pieces(
        decompressor_, envelope.next(), [&] { return envelope.next(); }, blob.uncompressed_length);
    auto tree = format::scan_tree(pieces, number_of);
    if (!tree || !pieces.whole() || pieces.sum() != blob.id) return std::nullopt;
    return tree;
}

bool BlobOpener::is_whole_in_pieces(ByteSpan envelope, const format::PackedBlob& blob) {
    HF_ASSERT(envelope.size() == blob.length);
    const auto content = cipher_.open_in_place(envelope);
    if (!content) return false;
    format::FramePieces pieces(decompressor_, *content, blob.uncompressed_length);
    while (!pieces.more({}).empty()) {}
    return pieces.whole() && pieces.sum() == blob.id;
}

Result<bool> BlobOpener::open_index(format::EnvelopePieces& envelope, const format::EachIndexPack& each) {
    bool read = false;
    if (const auto frames = format::unpacked_frames(envelope.next()); frames && frames->second >= k_pieces_min) {
        format::FramePieces pieces(decompressor_, frames->first, [&] { return envelope.next(); }, frames->second);
        read = format::scan_index(pieces, each) && pieces.whole();
    }
    HF_DO(envelope.end());
    return read;
}

Status BlobOpener::open_index(ByteSpan envelope, std::string_view what, const format::EachIndexPack& each,
                              const std::function<void()>& again) {
    HF_TRY(const ByteSpan plain, cipher_.open_in_place(envelope));
    if (const auto frames = format::unpacked_frames(plain); frames && frames->second >= k_pieces_min) {
        format::FramePieces pieces(decompressor_, frames->first, frames->second);
        if (format::scan_index(pieces, each) && pieces.whole()) return {};
        again();
    }
    HF_TRY(const Bytes json, format::decode_unpacked(plain, decompressor_));
    HF_TRY(auto packs, format::decode_index(as_text(json), what));
    for (format::IndexPack& pack : packs) each(std::move(pack));
    return {};
}

Result<Bytes> BlobOpener::open_document(ByteSpan envelope) {
    HF_TRY(const ByteSpan plain, cipher_.open_in_place(envelope));
    return format::decode_unpacked(plain, decompressor_);
}

void BlobOpener::shrink(std::size_t kept) {
    for (Bytes* buffer : {&scratch_, &plain_})
        if (buffer->capacity() > kept) Bytes().swap(*buffer);
}

OpenerPool::Lease OpenerPool::get() {
    std::unique_ptr<BlobOpener> opener;
    {
        const std::scoped_lock lock(mutex_);
        if (!idle_.empty()) {
            opener = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (!opener) opener = std::make_unique<BlobOpener>(key_);
    return {*this, std::move(opener)};
}

OpenerPool::Lease::~Lease() {
    // Buffers that once held a huge blob are not kept for small ones.
    opener_->shrink(std::size_t(16) << 20);
    const std::scoped_lock lock(pool_.mutex_);
    pool_.idle_.push_back(std::move(opener_));
}

}    // namespace holdfast::vault
