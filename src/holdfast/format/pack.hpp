#pragma once
// A pack: sealed blobs, then a sealed table of them. And the index entry of each.
//
//   shape    envelope 1 | … | envelope n | header envelope | u32 length of the header envelope; all little endian
//   errors   corrupt
//   source   docs/formats/vault.md section 6

#include <cstdint>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::format {

enum class BlobType : std::uint8_t { data = 0, tree = 1 };

/// One blob inside a pack.
struct PackedBlob {
    Id id;
    BlobType type = BlobType::data;
    std::uint32_t offset = 0;    // of the envelope in the pack
    std::uint32_t length = 0;    // of the envelope
    std::uint32_t uncompressed_length = 0;    // 0: stored plain
    bool operator==(const PackedBlob&) const = default;
    std::uint32_t plain_length() const { return uncompressed_length ? uncompressed_length : length - 32; }
};

/// No honest blob is longer: a chunk has 8 MiB at most, and a folder of a million files takes about 350 MB of tree. Memory
/// is taken for a blob's length before its content can be checked, so a table that claims more is refused.
inline constexpr std::uint32_t k_data_blob_max = 128u << 20, k_tree_blob_max = 512u << 20;
bool has_sane_length(const PackedBlob& blob);

inline constexpr std::size_t k_pack_trailer = 4;
/// Bytes that the table of one blob takes in the header.
std::size_t header_entry_size(const PackedBlob& blob);
/// The size of the whole pack file that holds these blobs.
std::uint64_t pack_size(const std::vector<PackedBlob>& blobs);

/// The header's plaintext, in the order given (offsets must be the running sum).
Bytes encode_pack_header(const std::vector<PackedBlob>& blobs);
/// Offsets are computed. Refuses unknown types, ragged tables, lengths under 32 or beyond the limits above, and sums over 4 GiB.
Result<std::vector<PackedBlob>> decode_pack_header(ByteView plain);

}    // namespace holdfast::format
