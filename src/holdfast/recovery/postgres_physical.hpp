#pragma once
// A physical copy of a PostgreSQL cluster back into a data folder.
//
//   order     written beside, compared with backup_manifest, started by a server of our own until it is consistent and out
//             of recovery, stopped cleanly; only then the live server is stopped and the folders change places by rename
//   timeline  a new one: what the restored server writes never passes for the log of the one before
//   spaces    tablespaces go into new folders "restored-<time>" beside where each was (or below tablespace_folder): the
//             rename of the data folder switches them, too, and the old ones stay as they are
//   errors    exists, locked (a server runs there), corrupt, mismatch, disk_full, unsupported (no postgres of that version);
//             nothing is replaced then. Killed at any instant: the old folder or the whole new one has the name, and the next
//             restore clears what was left

#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

Result<std::vector<PlanStep>> plan_postgres_physical(const policy::PostgresConfig& config,
                                                     const RestoreContext& context);
Result<json::Value> restore_postgres_physical(const policy::PostgresConfig& config, const RestoreContext& context);

/// stop_command; returns when no server runs on the folder any more.
Status stop_cluster(const policy::PostgresConfig& config, const std::string& folder, Clock& clock);
/// start_command; returns when it answers. mismatch: another cluster does than `system_identifier` (empty: any may).
Status start_cluster(const policy::PostgresConfig& config, const std::string& scratch,
                     const std::string& system_identifier, Clock& clock);

}    // namespace holdfast::recovery
