#pragma once
// One dump into a new database beside the live ones, compared with the facts of its backup.
//
//   name      "<database>_holdfast_<8 digits of the snapshot>", shortened to the server's 63 bytes; what an interrupted try
//             left under it is dropped first
//   errors    mismatch (the new database is dropped), corrupt (the vault), disk_full, denied, store, cancelled

#include <string>
#include <vector>

#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

std::string beside_name(const std::string& database, const Id& snapshot);

struct PostgresLoad {
    const db::PostgresAccess& access;
    const db::PostgresTool& pg_restore;
    const db::PostgresTool& psql;    // for a dump that is a script ("format": "plain": imported)
    const RestoreContext& context;
    unsigned jobs = 1;    // connections at once
    bool no_tablespaces = false;    // one that the dump names is not there
};

/// {tables, rows, proof, seconds, warnings} of the database that now stands beside. Any error: nothing of it is left,
/// unless we were stopped or the server is gone.
Result<json::Value> load_beside(const PostgresLoad& load, db::PostgresConnection& home, const json::Value& facts,
                                const format::Node& dump, const std::string& beside);

/// Ends the sessions of a database and drops it; not there is success.
Status drop_database(db::PostgresConnection& home, const std::string& database);

}    // namespace holdfast::recovery
