#pragma once
// States of a DuckDB database between two backups, as a snapshot holds them (source/duckdb_kept.hpp puts them there).
//
//   moment    a database file of the snapshot, and how many commits of the log beside it; every commit acknowledged by then is in it
//   errors    not_found (with what there is instead), corrupt
//   threads   any

#include <string>
#include <vector>

#include "holdfast/policy/config.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::recovery {

struct DuckDbMoment {
    std::string file;    // in the component's folder
    std::uint64_t generation = 0, commits = 0;
    Timestamp at;
    std::string name() const;    // "12+340", as it was called where it was kept
};

/// The last moment at or before `time` that this snapshot has; `component` is the database's name.
Result<DuckDbMoment> find_duckdb_moment(const vault::Repository& repository, const vault::SnapshotEntry& snapshot,
                                        const std::string& folder, const std::string& component, Timestamp time);

/// The snapshot that "latest" means for this moment: the first one of the stack that was made after it and has it; else the newest that
/// ends before it, if another one was made later. The index must be loaded.
Result<vault::SnapshotEntry> snapshot_of_duckdb_moment(const vault::Repository& repository,
                                                       const std::vector<std::string>& stack_paths,
                                                       const std::string& component, Timestamp time);

}    // namespace holdfast::recovery
