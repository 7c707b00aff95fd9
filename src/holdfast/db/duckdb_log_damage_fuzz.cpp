// Any bytes as a damaged log: what is mended must be whole, with the commits that were said to be kept.

#include "holdfast/db/duckdb_log_damage.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const ByteView bytes = std::as_bytes(std::span(data, size));
    db::DuckDbHeaders headers;
    headers.storage_version = 64;
    const auto damage = db::examine_duckdb_log(bytes, headers, "fuzz");
    if (!damage) return 0;
    (void)damage->text();
    const Bytes mended = db::mended_duckdb_log(bytes, *damage, headers);
    if (mended.empty()) return 0;
    const auto log = db::parse_duckdb_log(mended, "mended");
    HF_ASSERT(log && !log->damaged_at && log->commit_count == damage->kept_commits);
    return 0;
}
