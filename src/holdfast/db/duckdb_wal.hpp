#pragma once
// DuckDB's write-ahead log as bytes: what of it is committed, and how `X.wal` and `X.wal.checkpoint` (commits accepted
// while a checkpoint ran, since 1.5) become one ordinary log that fits a given state of the file.
//
//   shape    entry 0 (version; from storage version 67 database id and iteration), without size or checksum; then
//            u64 size | u64 checksum | payload, where the payload starts 64 00 <type>. A commit ends with a flush entry
//   errors   corrupt (this is no log), unsupported (encrypted, or of a version before checksums)
//   threads  values only; the spans returned refer to the bytes given
//   source   DuckDB 1.4 and 1.5; docs/formats/duckdb.md

#include <cstdint>
#include <optional>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::db {

/// What a read of a log file holds.
struct DuckDbLog {
    ByteView header;    // entry 0; empty when the file is empty or ends inside it
    std::vector<ByteView> commits;    // runs of whole commits, without checkpoint markers and their flush
    std::uint64_t commit_count = 0;
    std::uint64_t row_group_count = 0;    // commits' entries that point into the database file (type 29)
    std::optional<std::uint64_t>
        marker_root;    // of the last checkpoint marker: the root that the checkpoint will write
    bool ends_with_marker = false;    // the last committed thing is a marker
    std::uint64_t uncommitted_bytes = 0;    // behind the last flush
    std::optional<std::uint64_t>
        damaged_at;    // offset of an entry whose checksum does not hold; nothing behind is read
};

/// An end inside an entry is no damage: a live log is read while it is written.
Result<DuckDbLog> parse_duckdb_log(ByteView bytes, std::string_view path);
/// The same for bytes that begin between two entries behind entry 0; `damaged_at` counts from there.
DuckDbLog parse_duckdb_entries(ByteView bytes);
/// The length of a log that ends behind this many of its commits. corrupt: it has fewer.
Result<std::uint64_t> duckdb_log_size(ByteView bytes, std::uint64_t commits, std::string_view path);

struct JoinedLog {
    std::vector<ByteView> pieces;    // to be written one after the other; none: no log is needed
    std::uint64_t commit_count = 0;
    std::uint64_t row_group_count = 0;    // as in DuckDbLog
    std::uint64_t size() const;
};

/// The log that belongs beside a copy of the file whose current root is `root`, holding every commit of both logs that
/// the file does not hold itself. nullopt: the two were read at moments that do not fit (a checkpoint ended in between,
/// or an entry was cut away under the reader); read both again.
std::optional<JoinedLog> join_duckdb_logs(const DuckDbLog& log, const DuckDbLog& checkpoint_log, std::uint64_t root);

}    // namespace holdfast::db
