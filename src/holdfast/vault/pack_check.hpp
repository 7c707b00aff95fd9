#pragma once
// One pack read from end to end, as check --read-data does: every blob's seal holds, it decompresses, and hashes to its ID;
// the pack's own table has its seal and says what the index says. Where blobs lie one after the other (the index's part of
// the check says so otherwise) no byte of the file is left: so its SHA-256, which is its name, is not made again.
//
//   memory   6 MiB (over a line 8) for a piece of the pack and the blobs in it that are hashed together, and what all threads
//            share for the longest blobs; never the whole pack
//   threads  one per thread
//   source   docs/decisions/0042-a-pack-is-checked-by-its-seals.md

#include <functional>
#include <string>
#include <vector>

#include "holdfast/vault/blob_opener.hpp"
#include "holdfast/vault/buffer_pool.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

class PackCheck {
public:
    using Report = std::function<void(std::string error)>;

    PackCheck(Repository& repository, LongRoom& long_room);
    /// `pack` with its blobs sorted by offset. Returns how many bytes were read. A pack that is not there is not
    /// reported here.
    std::uint64_t run(const format::IndexPack& pack, const Report& report);

private:
    // What is hashed together.
    static constexpr std::size_t k_together_max = 16;

    bool is_long(const format::PackedBlob& blob) const;
    Status check_blobs(std::span<const format::PackedBlob> blobs, std::uint64_t size, const Report& report);
    void check_piece(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report);
    void check_some(ByteSpan piece, std::span<const format::PackedBlob> blobs, ByteSpan room, const Report& report);
    Status check_long(const format::PackedBlob& blob, const Report& report);
    Status check_table(const format::IndexPack& pack, std::uint64_t size, const Report& report);
    bool table_is_whole(ByteView bytes, const format::IndexPack& pack, const Report& report);
    Status read(std::uint64_t from, ByteSpan to);

    Repository& repository_;
    LongRoom& long_room_;
    BlobOpener opener_;
    storage::FileName file_;
    std::string name_;    // for messages
    Buffer piece_, room_;    // as read, and unpacked
    std::vector<format::Sha256> sums_;
};

}    // namespace holdfast::vault
