#pragma once
// The head of a DuckDB database file: which state the file is in, without opening it (which a live writer would refuse).
//
//   shape    main header | database header 1 | database header 2, 4096 bytes each; block n is at 12288 + n * block_size.
//            A checkpoint writes the database header that is not current, with iteration + 1: the headers' bytes change
//            exactly when the set of blocks that count changes
//   errors   corrupt (no DuckDB file, or a checksum does not hold: DuckDB would not open it either, or it was read while
//            being written), unsupported (encrypted, or older than DuckDB 0.10)
//   threads  values only
//   source   DuckDB 1.4 and 1.5, storage versions 64 to 68; docs/formats/duckdb.md

#include <cstdint>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::db {

inline constexpr std::size_t k_duckdb_headers_size = 12288;

struct DuckDbHeaders {
    std::uint64_t storage_version = 0;    // 64 by default, 67 from 'v1.4.0', 68 from 'v1.5.0'
    std::string library_version;    // that made the file: "v1.5.6"
    std::string database_id;    // 32 hex digits; empty below storage version 67
    std::uint64_t iteration = 0;    // of the current header, as all that follow
    std::uint64_t root = 0;    // pointer to the catalog's first metadata block
    std::uint64_t block_count = 0;
    std::uint32_t block_size = 0;
};

/// Whether these first bytes (at least 12) are those of a DuckDB file.
bool looks_like_duckdb(ByteView start);

/// `bytes` are the first k_duckdb_headers_size of the file; `path` is for messages.
Result<DuckDbHeaders> parse_duckdb_headers(ByteView bytes, std::string_view path);

/// DuckDB's checksum of headers, blocks and log entries. It does not see the order of 64-bit words.
std::uint64_t duckdb_checksum(ByteView bytes);

}    // namespace holdfast::db
