#pragma once
// A DuckDB database whose log is damaged, brought to its last whole commit before the damage. The database as it is, with the damaged
// log, goes aside; what is lost is told exactly.
//
//   errors    locked (a program has it open: its memory holds what the damaged log does not), unsupported, corrupt (the file is damaged, too)

#include <optional>

#include "holdfast/db/duckdb_log_damage.hpp"
#include "holdfast/recovery/duckdb_back.hpp"

namespace holdfast::recovery {

struct DuckDbLogs {
    std::string path;
    db::DuckDbHeaders headers;
    std::uint64_t file_bytes = 0;
    db::DuckDbLogDamage log, checkpoint_log;    // X.wal and X.wal.checkpoint
    Bytes mended;    // the log that goes beside the file; empty: none
    std::uint64_t mended_commits = 0;

    bool damaged() const { return log.damaged() || checkpoint_log.damaged(); }
};
/// Changes nothing. The database must be nobody's while this runs.
Result<DuckDbLogs> examine_duckdb_logs(const std::string& path);

/// For put_duckdb_back: the file as it is, with the log as far as it is whole.
DuckDbOrigin mended_duckdb(const DuckDbLogs& logs);

}    // namespace holdfast::recovery
