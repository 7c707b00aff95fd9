// Any bytes as the head of a database file. The checksums are made to hold, so that what is behind them is reached.

#include "holdfast/db/duckdb_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    Bytes bytes = to_bytes({reinterpret_cast<const char*>(data), size});
    (void)db::parse_duckdb_headers(bytes, "fuzz");
    if (bytes.size() < db::k_duckdb_headers_size) return 0;
    for (const std::size_t at : {0u, 4096u, 8192u})
        store_le(bytes.data() + at, db::duckdb_checksum(ByteView(bytes).subspan(at + 8, 4088)));
    if (const auto headers = db::parse_duckdb_headers(bytes, "fuzz"); headers) HF_ASSERT(headers->block_size >= 16384);
    return 0;
}
