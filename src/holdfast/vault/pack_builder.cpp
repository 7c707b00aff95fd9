#include "holdfast/vault/pack_builder.hpp"

#include <algorithm>

#include "holdfast/format/envelope_pieces.hpp"
#include "holdfast/vault/keys.hpp"

namespace holdfast::vault {
namespace {

// Small enough to stay in the processor's cache between sealing, hashing and writing; large enough for few calls. Packs
// below this size at the end of a run are merged.
constexpr std::size_t k_flush_size = 1u << 20;
// Bytes that nobody has hashed yet wait for that a little longer.
constexpr std::size_t k_flush_unhashed = 2u << 20;
// rustic closes its packs there; restic reads up to forty times as many.
constexpr std::size_t k_blobs_max = 10'000;

}    // namespace

Result<std::uint32_t> PackBuilder::append(format::Cipher& cipher, format::BlobType type, const Id& id, ByteView stored,
                                          std::uint32_t uncompressed_length) {
    HF_ASSERT(!stored.empty());
    HF_DO(flush_if_long());
    const std::uint64_t offset = flushed_ + pending_.size();
    const std::uint64_t length = stored.size() + format::k_envelope_overhead;
    HF_ASSERT(offset + length < std::uint64_t(1) << 32);
    // Exactly as much as is needed: doubling would take twice the longest chunk.
    // But never by one small blob at a time: that would copy the buffer for each.
    if (const std::size_t wanted = pending_.size() + length; wanted > pending_.capacity())
        pending_.reserve(std::max(wanted, std::min(2 * pending_.capacity(), std::size_t(k_flush_unhashed))));
    cipher.seal(stored, random_nonce(), pending_);
    blobs_.push_back(
        {id, type, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(length), uncompressed_length});
    return static_cast<std::uint32_t>(length);
}

Result<std::uint32_t> PackBuilder::append_pieces(const format::Key& key, format::BlobType type, const Id& id,
                                                 std::uint32_t uncompressed_length,
                                                 const std::function<Status(const Take&)>& write) {
    HF_DO(flush_if_long());
    const std::uint64_t offset = flushed_ + pending_.size();
    format::PieceSealer sealer(key, random_nonce(), pending_);
    HF_DO(write([&](ByteView piece) -> Status {
        sealer.add(piece, pending_);
        return flush_if_long();
    }));
    sealer.end(pending_);
    const std::uint64_t length = flushed_ + pending_.size() - offset;
    HF_ASSERT(offset + length < std::uint64_t(1) << 32);
    blobs_.push_back(
        {id, type, static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(length), uncompressed_length});
    return static_cast<std::uint32_t>(length);
}

format::HashWork PackBuilder::take_hash_work() {
    const std::size_t from = std::exchange(hashed_, pending_.size());
    return {&sha256_, ByteView(pending_).subspan(from)};
}

Status PackBuilder::append_sealed(const format::PackedBlob& blob, ByteView envelope) {
    HF_ASSERT(envelope.size() == blob.length && blob.length >= format::k_envelope_overhead);
    HF_DO(flush_if_long());
    format::PackedBlob moved = blob;
    HF_ASSERT(flushed_ + pending_.size() + blob.length < std::uint64_t(1) << 32);
    moved.offset = static_cast<std::uint32_t>(flushed_ + pending_.size());
    pending_.reserve(pending_.size() + envelope.size());
    holdfast::append(pending_, envelope);
    blobs_.push_back(moved);
    return {};
}

bool PackBuilder::full(std::uint64_t target) const {
    return flushed_ + pending_.size() >= target || blobs_.size() >= k_blobs_max;
}

void PackBuilder::merge(PackBuilder&& other) {
    HF_ASSERT(other.can_merge());
    const std::uint64_t shift = flushed_ + pending_.size();
    for (format::PackedBlob blob : other.blobs_) {
        blob.offset += static_cast<std::uint32_t>(shift);
        blobs_.push_back(blob);
    }
    holdfast::append(pending_, other.pending_);
    other.blobs_.clear();
    other.pending_.clear();
}

Status PackBuilder::flush_if_long() {
    if (pending_.size() < (hashed_ == pending_.size() ? k_flush_size : k_flush_unhashed)) return {};
    return flush();
}

Status PackBuilder::flush() {
    if (pending_.empty()) return {};
    if (!upload_) {
        HF_TRY(upload_, backend_->start(storage::FileKind::pack));
    }
    sha256_.update(ByteView(pending_).subspan(hashed_));
    HF_DO(upload_->write(pending_));
    flushed_ += pending_.size();
    hashed_ = 0;
    if (pending_.capacity() > 2 * k_flush_unhashed)
        pending_ = {};    // after a blob of the longest kind
    else
        pending_.clear();
    return {};
}

Result<PackBuilder> PackBuilder::detach() {
    HF_DO(flush());
    PackBuilder next(*backend_);
    next.pending_ = std::exchange(pending_, {});
    return std::exchange(*this, std::move(next));
}

Result<format::IndexPack> PackBuilder::seal(format::Cipher& cipher) {
    HF_ASSERT(!blobs_.empty());
    const Bytes header = format::encode_pack_header(blobs_);
    {
        // Index and table are written from the same list; that a reader gets this list back is checked on every pack.
        const auto again = format::decode_pack_header(header);
        HF_ASSERT(again && *again == blobs_);
    }
    const std::size_t at = pending_.size();
    cipher.seal(header, random_nonce(), pending_);
    append_le(pending_, static_cast<std::uint32_t>(pending_.size() - at));
    HF_ASSERT(flushed_ + pending_.size() == format::pack_size(blobs_));
    HF_DO(flush());
    format::IndexPack pack;
    pack.id = sha256_.finish();
    HF_DO(upload_->commit(pack.id));
    upload_.reset();
    pack.blobs = std::move(blobs_);
    return pack;
}

}    // namespace holdfast::vault
