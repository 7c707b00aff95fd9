#pragma once
// Some tables of a PostgreSQL database instead of all of it.
//
//   patterns   "users", "auth.users", "audit.log_*": * ? [a-z]; a dot parts schema and table, without one any schema fits.
//              Letters are as they stand in the catalogue, nothing is folded. A partitioned table brings its partitions
//   schemas    all that is in them, functions and types included; with `tables`: only tables that lie in these
//   excluded   of the whole database or of schemas: the definition is taken, the rows are not (so that what refers to the
//              table can be made again). With `tables`: not taken at all
//   threads    pure, but for the connection that is asked

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "holdfast/db/postgres.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::source {

struct PostgresScope {
    std::vector<std::string> tables, schemas, exclude_tables;
    bool whole() const { return tables.empty() && schemas.empty() && exclude_tables.empty(); }
    /// Less than a database: it can only be restored into one.
    bool partial() const { return !tables.empty() || !schemas.empty(); }
};

struct PostgresTable {
    std::string oid, schema, name;
    std::string parent{};    // "schema.name" of the table of which it is a partition
    bool partitioned = false;    // its rows are in its partitions
    bool rows = true;    // false: only the definition
    std::string text() const { return schema + '.' + name; }
    /// "schema"."name", as SQL takes it and as pg_dump's --table takes it literally.
    std::string quoted() const { return db::quote_identifier(schema) + '.' + db::quote_identifier(name); }
};

struct PostgresChoice {
    PostgresScope scope;
    std::vector<PostgresTable> tables;    // that are taken, with or without rows; of the whole scope: all
    std::vector<std::string> schemas;    // of the scope, by name
    std::vector<std::string> unmatched;    // of the scope's tables and schemas: what fits nothing here
    bool empty() const { return scope.partial() && tables.empty() && (!scope.tables.empty() || schemas.empty()); }
    /// "{1,2}": for = ANY($n::oid[]).
    std::string oids() const;
};

/// Does "schema.name" fit one of the patterns?
bool fits_table(const std::vector<std::string>& patterns, const std::string& schema, const std::string& name);
/// The schema part of this: does the name fit one of the patterns?
bool fits_name(const std::vector<std::string>& patterns, const std::string& name);

PostgresScope scope_of(const policy::PostgresConfig& config);

/// What there is now in this database of what is meant.
Result<PostgresChoice> choose_tables(db::PostgresConnection& connection, const PostgresScope& scope);

/// A foreign key from rows that are taken to rows that are left out would make every restore fail: config, with both names.
Status check_references(db::PostgresConnection& connection, const PostgresChoice& choice);

}    // namespace holdfast::source
