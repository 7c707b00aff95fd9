// Any bytes as two logs, cut in two by the first byte: what is joined must parse again, whole, with the same commits.

#include "holdfast/db/duckdb_wal.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    if (size < 2) return 0;
    const ByteView all = std::as_bytes(std::span(data + 1, size - 1));
    const std::size_t cut = all.size() * data[0] / 255;
    const auto first = db::parse_duckdb_log(all.first(cut), "first");
    const auto second = db::parse_duckdb_log(all.subspan(cut), "second");
    if (!first || !second) return 0;
    const auto joined = db::join_duckdb_logs(*first, *second, 0);
    if (!joined) return 0;
    Bytes bytes;
    for (const ByteView piece : joined->pieces) append(bytes, piece);
    HF_ASSERT(bytes.size() == joined->size());
    const auto again = db::parse_duckdb_log(bytes, "joined");
    HF_ASSERT(again && again->commit_count == joined->commit_count && again->uncommitted_bytes == 0);
    return 0;
}
