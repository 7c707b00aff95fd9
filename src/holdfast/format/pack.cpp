#include "holdfast/format/pack.hpp"

#include <fmt/core.h>

#include "holdfast/format/crypto.hpp"

namespace holdfast::format {
namespace {

// One entry: type (1) | envelope length (4) | uncompressed length (4, only if compressed) | blob ID (32)
constexpr std::size_t k_entry_plain = 37, k_entry_compressed = 41;
constexpr unsigned k_compressed_bit = 2;

}    // namespace

bool has_sane_length(const PackedBlob& blob) {
    const std::uint32_t max = blob.type == BlobType::tree ? k_tree_blob_max : k_data_blob_max;
    // What is stored may be a little longer than what it holds.
    return blob.length >= k_envelope_overhead && blob.length <= max + (max >> 6) && blob.uncompressed_length <= max;
}

std::size_t header_entry_size(const PackedBlob& blob) {
    return blob.uncompressed_length ? k_entry_compressed : k_entry_plain;
}

std::uint64_t pack_size(const std::vector<PackedBlob>& blobs) {
    std::uint64_t size = k_envelope_overhead + k_pack_trailer;
    for (const PackedBlob& blob : blobs) size += blob.length + header_entry_size(blob);
    return size;
}

Bytes encode_pack_header(const std::vector<PackedBlob>& blobs) {
    Bytes header;
    header.reserve(blobs.size() * k_entry_compressed);
    std::uint64_t offset = 0;
    for (const PackedBlob& blob : blobs) {
        HF_ASSERT(blob.offset == offset && blob.length >= k_envelope_overhead);
        const bool compressed = blob.uncompressed_length != 0;
        header.push_back(
            static_cast<std::byte>(static_cast<unsigned>(blob.type) | (compressed ? k_compressed_bit : 0)));
        append_le(header, blob.length);
        if (compressed) append_le(header, blob.uncompressed_length);
        append(header, blob.id.bytes);
        offset += blob.length;
    }
    return header;
}

Result<std::vector<PackedBlob>> decode_pack_header(ByteView plain) {
    const auto corrupt = [&](std::string_view why) {
        return fail(ErrorCode::corrupt, fmt::format("a pack header of {} bytes is damaged: {}", plain.size(), why));
    };
    if (plain.empty()) return corrupt("it names no blob");
    std::vector<PackedBlob> blobs;
    blobs.reserve(plain.size() / k_entry_plain);
    std::uint64_t offset = 0;
    while (!plain.empty()) {
        const unsigned type = std::to_integer<unsigned>(plain[0]);
        if (type > 3) return corrupt(fmt::format("blob type {} is unknown", type));
        const bool compressed = type & k_compressed_bit;
        const std::size_t entry = compressed ? k_entry_compressed : k_entry_plain;
        if (plain.size() < entry) return corrupt("it ends inside an entry");
        PackedBlob blob;
        blob.type = static_cast<BlobType>(type & 1);
        blob.offset = static_cast<std::uint32_t>(offset);
        blob.length = load_le<std::uint32_t>(plain.data() + 1);
        if (compressed) blob.uncompressed_length = load_le<std::uint32_t>(plain.data() + 5);
        std::copy_n(plain.begin() + static_cast<std::ptrdiff_t>(entry - 32), 32, blob.id.bytes.begin());
        if (blob.length < k_envelope_overhead)
            return corrupt(fmt::format("a blob of {} bytes is too short", blob.length));
        // Zero stands for "not compressed" everywhere else; with a compressed type it is a contradiction.
        if (compressed && blob.uncompressed_length == 0) return corrupt("a compressed blob has no length");
        if (!has_sane_length(blob)) return corrupt(fmt::format("no blob has {} bytes", blob.plain_length()));
        offset += blob.length;
        if (offset > UINT32_MAX) return corrupt("its blobs add up to more than 4 GiB");
        blobs.push_back(blob);
        plain = plain.subspan(entry);
    }
    return blobs;
}

}    // namespace holdfast::format
