#include "holdfast/vault/blob_opener.hpp"

#include <fmt/core.h>

namespace holdfast::vault {

Result<ByteView> BlobOpener::open(ByteSpan envelope, const format::PackedBlob& blob) {
    HF_ASSERT(envelope.size() == blob.length);
    const auto damaged = [&](std::string_view how) {
        return fail(
            ErrorCode::corrupt,
            fmt::format("{} blob {} {}", blob.type == format::BlobType::tree ? "tree" : "data", blob.id.brief(), how),
            "run `holdfast check --read-data` to see what else is damaged");
    };
    auto content = cipher_.open_in_place(envelope);
    if (!content) return damaged("does not decrypt: its seal is broken");
    ByteView plain = *content;
    if (blob.uncompressed_length != 0) {
        if (!decompressor_.decompress(plain, blob.uncompressed_length, plain_)) return damaged("does not decompress");
        plain = plain_;
    }
    if (format::sha256(plain) != blob.id) return damaged("has other content than its name says");
    return plain;
}

Result<Bytes> BlobOpener::open_document(ByteSpan envelope) {
    HF_TRY(const ByteSpan plain, cipher_.open_in_place(envelope));
    return format::decode_unpacked(plain, decompressor_);
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
    // A buffer that once held a huge blob is not kept for small ones.
    if (opener_->scratch().capacity() > std::size_t(16) << 20) return;
    const std::scoped_lock lock(pool_.mutex_);
    pool_.idle_.push_back(std::move(opener_));
}

}    // namespace holdfast::vault
