#pragma once
// A DuckDB database put at a live path, wherever it comes from: made beside it, opened and read in a child process, and only then
// switched by rename (duckdb_switch.hpp). What was there goes aside.

#include "holdfast/os/fd.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

/// Where the database comes from.
struct DuckDbOrigin {
    std::string id;    // part of temporary names
    std::uint64_t file_bytes = 0, log_bytes = 0;
    /// Makes `to`, and `to`.wal if log_bytes is not 0, durable.
    std::function<Status(const std::string& to)> write;
    /// What must be found in it ("tables", "proof" …, docs/formats/manifest.md); without tables: only whether it is whole.
    json::Value facts{};
};

struct DuckDbBack {
    std::string target;    // absolute
    WhenExisting existing = WhenExisting::refuse;
    Clock& clock;
    std::function<void(std::string_view)> say;    // never empty
    WillReplace will_replace = {};    // told of what goes aside, before it does; may be empty
};

/// What would be done. exists, locked (a process has the target open), disk_full.
Result<std::vector<PlanStep>> plan_duckdb_back(const DuckDbBack& back, const DuckDbOrigin& origin);
/// Does it, and returns "path", "bytes", "tables", "library", "digests_compared" and, if there was one, "old_one_is_at". corrupt, mismatch:
/// nothing was replaced.
Result<json::Value> put_duckdb_back(const DuckDbBack& back, const DuckDbOrigin& origin);

/// The database as a snapshot has it; the repository must outlive it.
Result<DuckDbOrigin> saved_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context);

/// Holds DuckDB's kind of lock on the file, so that no program opens it; locked, with who has it.
Result<os::Fd> lock_duckdb(const std::string& target);

}    // namespace holdfast::recovery
