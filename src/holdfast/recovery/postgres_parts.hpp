#pragma once
// A dump loaded, and a database compared, by several connections at once.
//
//   order     definitions first (pg_restore, one transaction); then the rows of each table, the largest first, out of the vault
//             by COPY; large objects; then indexes, constraints and all else by `pg_restore --jobs`, from the archive's head
//             alone, which holds no data
//   failure   of one connection ends the others; what is there then is half of a database: the caller drops it
//   on disk   the head and lists of entries, in a folder that only its owner enters, gone at the end
//   errors    corrupt (the vault), disk_full, denied, store, cancelled, unreachable

#include <functional>
#include <map>
#include <string>

#include "holdfast/db/copy_digest.hpp"
#include "holdfast/db/script_copies.hpp"
#include "holdfast/recovery/postgres_archive.hpp"
#include "holdfast/recovery/postgres_load.hpp"

namespace holdfast::recovery {

/// restore_jobs of the configuration; without: one a processor, 4 at most.
unsigned restore_jobs(const policy::PostgresConfig& config);

/// These entries of the archive only; null: all.
Status load_in_parts(const PostgresLoad& load, const PostgresArchive& archive, const json::Value& facts,
                     const std::string& beside, const db::EntryIds* wanted = nullptr);

using TableName = std::pair<std::string, std::string>;    // schema, name
/// What the tables of `beside` hold whose facts have a digest of that kind. A table that is not there is left out.
/// `archive` is null for a script (an imported export): `script` then knows the columns of its rows.
Result<std::map<TableName, db::CopyDigest>> digest_tables(const PostgresLoad& load, const PostgresArchive* archive,
                                                          const db::ScriptCopies& script, const json::Value& facts,
                                                          const std::string& beside);

}    // namespace holdfast::recovery
