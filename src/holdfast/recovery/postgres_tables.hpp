#pragma once
// Some tables or schemas of a dump into a database that goes on living.
//
//   way      a dump of some tables goes as it is into one transaction of the live database. Where only some of it is wanted,
//            or other names: the dump's definitions and the wanted rows go into a scratch database beside; what is to be renamed is renamed
//            there; pg_dump of it is then loaded into the live database in one transaction, which ends by comparing counts and digests with the manifest. Until its COMMIT nothing is seen of it, a failure or a kill leaves all as it was
//   refuses  what is there already (exists), unless `existing` says to replace: a table then moves to the schema
//            holdfast_replaced_<time>, a schema becomes <schema>_replaced_<time>. What other views and tables refer to is
//            never moved: they would go on with the old one
//   foreign  keys come back when both tables are there. Where live rows do not fit, they come back NOT VALID, and are told
//   limits   types, functions and roles that a table needs must be in the live database; triggers do not fire meanwhile,
//            for they are made after the rows

#include <map>

#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::recovery {

struct PostgresPick {
    std::string database;    // of the snapshot; empty: the only one in which something fits
    std::vector<std::string> tables, schemas, roles;    // patterns; all empty: everything that the component holds
    std::map<std::string, std::string> renames;    // "schema.table" to "schema.table", or schema to schema
};

/// FROM=TO; usage where it is neither two tables nor two schemas.
Status add_rename(std::string_view text, std::map<std::string, std::string>& to);

/// Was only a part of databases saved? Then this is the only way back.
bool holds_only_tables(const json::Value& facts);

/// Does a copy of the server hold every row of these tables, too?
bool covers_tables(const json::Value& whole, const json::Value& some);

Result<std::vector<PlanStep>> plan_postgres_tables(const policy::PostgresConfig& config, const RestoreContext& context,
                                                   const PostgresPick& pick);
/// {databases: [{name, tables: [{from, to, rows}], kept_in, not_valid, left_out, …}], roles: […]}
Result<json::Value> restore_postgres_tables(const policy::PostgresConfig& config, const RestoreContext& context,
                                            const PostgresPick& pick);

}    // namespace holdfast::recovery
