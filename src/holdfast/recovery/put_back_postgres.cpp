// What a restore replaced inside a living database of PostgreSQL: tables ("relation") and schemas, put back by moving them. Old tables
// lie in a schema made for them, under their own names.

#include <fmt/core.h>

#include "holdfast/db/postgres.hpp"
#include "holdfast/recovery/put_back.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::recovery {
namespace {

using db::quote_identifier;

Result<db::PostgresConnection> connect(const policy::PostgresConfig& config, const std::string& database) {
    HF_TRY(const db::PostgresAccess access, source::postgres_access(config));
    return access.connect(database);
}

/// Empty: there is none.
Result<std::string> oid_of(db::PostgresConnection& connection, const Replacement& one, const std::string& where) {
    if (where.empty()) return std::string();
    HF_TRY(const auto rows,
           one.what == "schema"
               ? connection.query("SELECT oid FROM pg_namespace WHERE nspname = $1", {where})
               : connection.query("SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                                  "WHERE n.nspname = $1 AND c.relname = $2",
                                  {where, one.place}));
    return rows.empty() ? std::string() : rows[0].text(0);
}

std::string move(const Replacement& one, const std::string& from, const std::string& to) {
    if (one.what == "schema")
        return fmt::format("ALTER SCHEMA {} RENAME TO {}; ", quote_identifier(from), quote_identifier(to));
    return fmt::format("CREATE SCHEMA IF NOT EXISTS {1}; ALTER TABLE {0}.{2} SET SCHEMA {1}; ", quote_identifier(from),
                       quote_identifier(to), quote_identifier(one.place));
}

/// A schema of ours in which nothing is left.
Status drop_if_empty(db::PostgresConnection& connection, const std::string& schema) {
    HF_TRY(const auto state,
           connection.query("SELECT (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid) FROM "
                            "pg_namespace n WHERE n.nspname = $1",
                            {schema}));
    if (state.empty() || state[0].integer(0) > 0) return {};
    return connection.execute("DROP SCHEMA IF EXISTS " + quote_identifier(schema));
}

}    // namespace

Status put_back_part(const policy::PostgresConfig& config, const Replacement& one) {
    HF_TRY(auto connection, connect(config, one.database));
    const std::string& live = one.what == "schema" ? one.place : one.definition;
    HF_TRY(const std::string now, oid_of(connection, one, live));
    HF_TRY(const std::string kept, oid_of(connection, one, one.aside));
    if (!one.identity.empty() && now == one.identity)    // back already, or never replaced
        return one.what == "relation" ? drop_if_empty(connection, one.aside) : Status();
    if (one.aside.empty() && now.empty()) return {};
    if (!one.aside.empty() && kept.empty())
        return fail(
            ErrorCode::not_found,
            fmt::format("what {} of database {} was before is no longer in {}", one.place, one.database, one.aside),
            "somebody has moved or dropped it; look for it, or restore an older snapshot");
    std::string script = "BEGIN; SET LOCAL lock_timeout = '60s'; ";
    if (!now.empty()) script += move(one, live, one.undone);
    if (!kept.empty()) script += move(one, one.aside, live);
    HF_DO(connection.execute(script + "COMMIT"));
    return one.what == "relation" && !one.aside.empty() ? drop_if_empty(connection, one.aside) : Status();
}

Status drop_kept_part(const policy::PostgresConfig& config, const Replacement& one) {
    const std::string& name = one.kept_as();
    const bool ours = one.what == "schema"
                          ? name.find("_replaced_") != std::string::npos || name.find("__undone_") != std::string::npos
                          : name.starts_with("holdfast_replaced_") || name.starts_with("holdfast_undone_");
    if (!ours)
        return fail(ErrorCode::corrupt, fmt::format("{} is no name under which a restore keeps anything", name),
                    "look at it, and drop it yourself");
    HF_TRY(auto connection, connect(config, one.database));
    if (one.what == "schema") return connection.execute("DROP SCHEMA IF EXISTS " + quote_identifier(name) + " CASCADE");
    HF_TRY(const auto schema, connection.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", {name}));
    if (schema.empty()) return {};
    HF_DO(connection.execute(
        fmt::format("DROP TABLE IF EXISTS {}.{}", quote_identifier(name), quote_identifier(one.place))));
    return drop_if_empty(connection, name);
}

}    // namespace holdfast::recovery
