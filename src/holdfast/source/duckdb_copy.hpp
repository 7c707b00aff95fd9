#pragma once
// A consistent copy of a live DuckDB database, made from outside: plain reads, never a lock, while another process keeps
// committing. The copy equals one moment after the call began: every commit acknowledged before the call is in it.
//
//   scheme    headers | logs | headers | every block | headers; the headers must be the same bytes all three times, and
//             the logs are joined to fit them (db/duckdb_wal.hpp). Blocks that count are never rewritten between two
//             header changes, except near the end of a checkpoint: a copy during one does not count. Blocks that do
//             not count may be torn in the copy, which is harmless
//   writes    `to`, and `to`.wal when commits are not in the file yet; two more files beside them while it runs
//   errors    not_found, corrupt (not a DuckDB file, or damaged), unsupported (encrypted, too old), disk_full,
//             changed (never quiet long enough, in all tries), cancelled
//   never     call this in the process that has the database open: closing the file would drop DuckDB's own lock
//   proof     3260 of 3260 copies under load were whole; docs/decisions/0004-duckdb-live-copy.md

#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/db/duckdb_file.hpp"

namespace holdfast::source {

struct DuckDbCopy {
    db::DuckDbHeaders headers;
    std::uint64_t file_bytes = 0;
    std::uint64_t wal_bytes = 0;    // 0: there is no log beside the copy
    std::uint64_t wal_commits = 0;
    unsigned tries = 0;
};

Result<DuckDbCopy> copy_live_duckdb(const std::string& path, const std::string& to, Clock& clock,
                                    unsigned tries_max = 60);

}    // namespace holdfast::source
