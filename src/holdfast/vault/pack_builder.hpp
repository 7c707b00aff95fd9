#pragma once
// A pack on its way: blobs are sealed straight into a small buffer that goes out to the storage as it fills; the pack
// is never held whole. Its name, the SHA-256 of its bytes, is computed along the way: best by whoever hashes other things
// at the same time (take_hash_work), else when the buffer goes out.
//
//   errors   the backend's own
//   threads  one at a time

#include <functional>
#include <memory>
#include <vector>

#include "holdfast/format/crypto.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::vault {

class PackBuilder {
public:
    explicit PackBuilder(storage::Backend& backend) : backend_(&backend) {}

    /// `stored` is the plain blob, or its zstd frame when uncompressed_length is not 0. Returns the envelope's length.
    Result<std::uint32_t> append(format::Cipher& cipher, format::BlobType type, const Id& id, ByteView stored,
                                 std::uint32_t uncompressed_length);
    /// The same of one that is better not held in memory: `write` hands its pieces to `take`. After an error the pack is of no
    /// use any more.
    using Take = std::function<Status(ByteView piece)>;
    Result<std::uint32_t> append_pieces(const format::Key& key, format::BlobType type, const Id& id,
                                        std::uint32_t uncompressed_length,
                                        const std::function<Status(const Take& take)>& write);
    /// What its name has not taken in yet; to be handed to format::update_together() before the next call.
    format::HashWork take_hash_work();
    /// A blob as it lies in another pack under the same key: its envelope is copied. `blob.offset` is not looked at.
    Status append_sealed(const format::PackedBlob& blob, ByteView envelope);
    /// Worth sealing: the target size or the number of blobs that other readers expect at most is reached.
    bool full(std::uint64_t target) const;
    bool empty() const { return blobs_.empty(); }
    /// Nothing of it has gone out yet: it may still be merged into another pack.
    bool can_merge() const { return !upload_; }
    /// Takes over all blobs of `other`, which can_merge().
    void merge(PackBuilder&& other);

    /// Everything out, so that a pack that waits for the disk holds no memory; the buffer stays for the next pack.
    Result<PackBuilder> detach();

    /// Table, name, fsync: when it returns the pack's bytes are safe (its name after the backend's next sync()).
    Result<format::IndexPack> seal(format::Cipher& cipher);

private:
    Status flush_if_long();
    Status flush();

    storage::Backend* backend_;
    std::unique_ptr<storage::Upload> upload_;    // from the first flush on
    format::Sha256 sha256_;
    Bytes pending_;
    std::size_t hashed_ = 0;    // of the pending bytes
    std::uint64_t flushed_ = 0;
    std::vector<format::PackedBlob> blobs_;
};

}    // namespace holdfast::vault
