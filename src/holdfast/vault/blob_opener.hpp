#pragma once
// From an envelope in a pack back to the blob: tag, decrypt, decompress, and the hash compared with the blob's ID, so
// that no wrong byte leaves the vault.
//
//   errors   corrupt; the message names the blob
//   threads  one per thread; OpenerPool hands them out

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/format/compress.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/format/envelope_pieces.hpp"
#include "holdfast/format/pack.hpp"
#include "holdfast/format/tree.hpp"

namespace holdfast::vault {

class BlobOpener {
public:
    explicit BlobOpener(const format::Key& key) : cipher_(key) {}
    /// `envelope` is overwritten. The view lives in it or in this opener, until the next call.
    Result<ByteView> open(ByteSpan envelope, const format::PackedBlob& blob);
    /// All of that but the hash, which the caller compares: several are made together in half the time. `envelope` is
    /// overwritten. What was compressed goes into `room`, which has uncompressed_length bytes; else the view lies in
    /// `envelope`.
    Result<ByteView> unpack_in_place(ByteSpan envelope, const format::PackedBlob& blob, ByteSpan room);
    /// The same, but `envelope` stays as it is, and `room` has plain_length() bytes and takes what was stored plain, too.
    Status unpack(ByteView envelope, const format::PackedBlob& blob, ByteSpan room);
    /// The error for one that hashes to something else.
    static std::unexpected<Error> other_content(const format::PackedBlob& blob);
    /// As open(), but `envelope` stays as it is and can be copied.
    Result<ByteView> open_copy(ByteView envelope, const format::PackedBlob& blob);
    /// As open(), of a tree. A large one is never in memory as text, if it was written for that (format::Compressor::begin).
    /// `number_of`: such a tree comes with numbers (format::scan_tree), or without, if that does not know all blobs.
    /// The inner error: it is what its name says, but no tree.
    Result<Result<format::Tree>> open_tree(ByteSpan envelope, const format::PackedBlob& blob,
                                           const format::NumberOf* number_of = nullptr);
    /// The same of an envelope that was verified and is not in memory either. Nothing: it has to be.
    std::optional<format::Tree> open_tree(format::EnvelopePieces& envelope, const format::PackedBlob& blob,
                                          const format::NumberOf* number_of);
    /// Whether the blob is what its name says, without having it in memory. `envelope` is overwritten. False as well for
    /// frames that were not written for that.
    bool is_whole_in_pieces(ByteSpan envelope, const format::PackedBlob& blob);
    /// An unpacked file (index, snapshot, lock).
    Result<Bytes> open_document(ByteSpan envelope);
    /// An index file, as open_tree(), but pack by pack. `envelope` is overwritten. After again(), and after an error, what
    /// came until then counts for nothing.
    Status open_index(ByteSpan envelope, std::string_view what, const format::EachIndexPack& each,
                      const std::function<void()>& again);
    /// The same of an envelope that was verified and is not in memory. False: it has to be, and the packs come again.
    Result<bool> open_index(format::EnvelopePieces& envelope, const format::EachIndexPack& each);
    /// Of this length and more a text is read in pieces.
    static constexpr std::size_t k_pieces_min = 512u << 10;
    /// A scratch buffer for the envelope.
    Bytes& scratch() { return scratch_; }
    /// Buffers of more than `kept` bytes go; what was returned from them with them.
    void shrink(std::size_t kept);
    format::Cipher& cipher() { return cipher_; }

private:
    Result<ByteView> open_content(ByteView content, const format::PackedBlob& blob);
    format::Cipher cipher_;
    format::Decompressor decompressor_;
    Bytes scratch_, plain_;
};

/// Openers for whichever thread asks.
class OpenerPool {
public:
    explicit OpenerPool(const format::Key& key) : key_(key) {}

    class Lease {
    public:
        Lease(OpenerPool& pool, std::unique_ptr<BlobOpener> opener) : pool_(pool), opener_(std::move(opener)) {}
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        BlobOpener* operator->() const { return opener_.get(); }
        BlobOpener& operator*() const { return *opener_; }

    private:
        OpenerPool& pool_;
        std::unique_ptr<BlobOpener> opener_;
    };
    Lease get();

private:
    const format::Key& key_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<BlobOpener>> idle_;
};

}    // namespace holdfast::vault
