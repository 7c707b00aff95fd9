#pragma once
// One pack read from end to end, as check --read-data does: the SHA-256 of its bytes is its name, its own table says what
// the index says, and every blob decrypts, decompresses and hashes to its ID.
//
//   memory   a piece of the pack of some MiB and the blobs in it that are hashed together; never the whole pack
//   threads  one per thread

#include <functional>
#include <string>
#include <vector>

#include "holdfast/vault/blob_opener.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

class PackCheck {
public:
    using Report = std::function<void(std::string error)>;

    explicit PackCheck(Repository& repository);
    /// `pack` with its blobs sorted by offset. Returns how many bytes were read. A pack that is not there is not
    /// reported here.
    std::uint64_t run(const format::IndexPack& pack, const Report& report);

private:
    struct Plain {
        const format::PackedBlob* blob = nullptr;
        format::Sha256 sum;
    };
    // What is hashed together: the bytes of the pack and the plain blobs in them.
    static constexpr std::size_t k_together_max = 15;

    Status read_blobs(const format::IndexPack& pack, std::uint64_t size, const Report& report);
    void check_piece(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report);
    std::size_t check_some(ByteSpan piece, std::span<const format::PackedBlob> blobs, const Report& report);
    std::size_t check_alone(ByteSpan envelope, const format::PackedBlob& blob, const Report& report);
    /// What was large for once.
    void give_back();
    Status read_rest(std::uint64_t from, std::uint64_t size);
    bool table_is_whole(const format::IndexPack& pack, const Report& report);
    Status read_piece(std::uint64_t from, std::uint64_t length);

    Repository& repository_;
    BlobOpener opener_;
    format::Sha256 sum_;    // of the pack
    storage::FileName file_;
    std::string name_;    // for messages
    Bytes piece_, room_;    // as read, and unpacked
    std::vector<Plain> plains_;
};

}    // namespace holdfast::vault
