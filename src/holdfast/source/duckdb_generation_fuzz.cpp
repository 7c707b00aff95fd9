// Any bytes as the end of a file of kept blocks, as a frame, and as names of blobs. The checksums are made to hold, so that what is behind them is reached.

#include "holdfast/base/xxh64.hpp"
#include "holdfast/source/duckdb_blob_ids.hpp"
#include "holdfast/source/duckdb_generation.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    Bytes bytes = to_bytes({reinterpret_cast<const char*>(data), size});
    if (const auto frame = source::parse_frame(bytes); frame)
        HF_ASSERT(source::encode_frame(*frame).size() == source::k_log_frame_size);
    if (bytes.size() >= 24) {
        Bytes names = bytes;
        std::copy_n(as_bytes("HFDUCKI1").data(), 8, names.data());
        store_le(names.data() + 8, std::uint64_t((names.size() - 24) / 48));
        store_le(names.data() + names.size() - 8, xxh64(ByteView(names).first(names.size() - 8)));
        (void)source::parse_blob_ids(names);
        (void)source::parse_blob_ids(bytes);
    }
    if (bytes.size() < source::k_generation_trailer_size) return 0;
    const std::size_t map_size = bytes.size() - source::k_generation_trailer_size;
    std::byte* trailer = bytes.data() + map_size;
    (void)source::parse_generation(ByteView(bytes).first(map_size), ByteView(bytes).subspan(map_size), "fuzz");
    std::copy_n(as_bytes("HFDUCKB1").data(), 8, trailer);
    store_le(trailer + 16, std::uint64_t(map_size));
    store_le(trailer + 24, xxh64(ByteView(bytes).first(map_size)));
    store_le(trailer + 60, static_cast<std::uint32_t>(xxh64(ByteView(trailer, 60))));
    const auto generation =
        source::parse_generation(ByteView(bytes).first(map_size), ByteView(bytes).subspan(map_size), "fuzz");
    if (!generation) return 0;
    const Bytes again = source::encode_generation(*generation, load_le<std::uint64_t>(trailer + 8));
    HF_ASSERT(again.size() == bytes.size() &&
              std::equal(again.begin(), again.begin() + static_cast<long>(map_size), bytes.begin()));
    for (std::size_t i = 0; i < generation->blocks.size(); ++i)
        HF_ASSERT(generation->block_bytes(i) <= generation->block_size);
    return 0;
}
