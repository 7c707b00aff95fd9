#include "holdfast/source/postgres_changes.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/format/sha256.hpp"
#include "holdfast/source/postgres_content.hpp"
#include "holdfast/source/postgres_properties.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::source {
namespace {

bool named(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

// As a backup would take them: those that allow connections, but for templates.
Result<std::vector<std::string>> databases_of(const db::PostgresAccess& access, const policy::PostgresConfig& config) {
    HF_TRY(auto home, access.connect(config.maintenance_database));
    HF_TRY(const auto all, list_databases(home));
    std::vector<std::string> names;
    for (const PostgresDatabase& database : all) {
        const bool asked = named(config.databases, database.name);
        if (!database.allows_connections || named(config.exclude_databases, database.name)) continue;
        if (asked || (config.databases.empty() && !database.is_template)) names.push_back(database.name);
    }
    return names;
}

// Passwords where we may read them (as the dump of the roles does), memberships, settings.
Result<std::string> roles_mark(db::PostgresConnection& connection) {
    HF_TRY(const auto may, connection.query("SELECT has_table_privilege('pg_authid', 'SELECT')"));
    std::string mark;
    for (const char* catalogue :
         {may[0].boolean(0) ? "pg_authid" : "pg_roles", "pg_auth_members", "pg_db_role_setting"}) {
        HF_TRY(const auto sum, connection.query(fmt::format(
                                   "SELECT count(*), sum(hashtextextended(r, 0)), sum(hashtextextended(r, 1)) FROM "
                                   "(SELECT ROW(x.*)::text COLLATE \"C\" AS r FROM {} AS x) AS y",
                                   catalogue)));
        mark += fmt::format("{}:{}:{};", sum[0].text(0), sum[0].text(1), sum[0].text(2));
    }
    return mark;
}

}    // namespace

Result<PostgresChanges> PostgresChanges::open(const policy::PostgresConfig& config) {
    HF_TRY(const db::PostgresAccess access, postgres_access(config));
    HF_TRY(const auto names, databases_of(access, config));
    const PostgresScope scope = scope_of(config);
    std::vector<Database> databases;
    for (const std::string& name : names) {
        HF_TRY(auto connection, access.connect(name));
        HF_DO(pin_text_form(connection));
        HF_TRY(const PostgresChoice choice, choose_tables(connection, scope));
        if (choice.empty()) continue;
        HF_DO(connection.execute(fmt::format("LISTEN {}", k_change_channel)));
        databases.push_back({name, std::move(connection)});
    }
    if (databases.empty())
        return fail(ErrorCode::not_found, fmt::format("no database holds what [[postgres]] {} wants", config.name),
                    "correct tables and schemas in the configuration");
    return PostgresChanges(config, std::move(databases));
}

Result<std::string> PostgresChanges::mark() {
    std::string moment;
    for (Database& database : databases_) {
        HF_TRY(const auto now,
               database.connection.query(database.connection.server_major() >= 13 ? "SELECT pg_current_snapshot()"
                                                                                  : "SELECT txid_current_snapshot()"));
        moment += now[0].text(0) + ";";
    }
    if (moment == moment_) return mark_;
    const PostgresScope scope = scope_of(*config_);
    std::string text;
    for (Database& database : databases_) {
        HF_DO(database.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
        HF_TRY(const PostgresChoice choice, choose_tables(database.connection, scope));
        HF_TRY(const json::Value content, describe_content(database.connection, policy::Proof::digest, &choice));
        text += database.name + '\n' + json::dump(content) + '\n';
        if (config_->globals && &database == &databases_.front()) {
            HF_TRY(const std::string roles, roles_mark(database.connection));
            text += roles + '\n';
        }
        HF_DO(database.connection.execute("COMMIT"));
    }
    moment_ = std::move(moment);
    mark_ = format::sha256(as_bytes(text)).hex();
    return mark_;
}

Result<bool> PostgresChanges::told() {
    bool any = false;
    for (Database& database : databases_) {
        HF_TRY(const bool told, database.connection.take_notifications());
        any |= told;
    }
    return any;
}

std::vector<int> PostgresChanges::sockets() const {
    std::vector<int> all;
    for (const Database& database : databases_) all.push_back(database.connection.socket());
    return all;
}

Result<std::string> trigger_sql(const policy::PostgresConfig& config) {
    HF_TRY(const db::PostgresAccess access, postgres_access(config));
    HF_TRY(const auto names, databases_of(access, config));
    const PostgresScope scope = scope_of(config);
    std::string sql;
    for (const std::string& name : names) {
        HF_TRY(auto connection, access.connect(name));
        HF_TRY(const PostgresChoice choice, choose_tables(connection, scope));
        if (choice.empty()) continue;
        sql += fmt::format(
            "\\connect {}\n"
            "CREATE OR REPLACE FUNCTION public.holdfast_changed() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            "BEGIN PERFORM pg_notify('{}', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME); RETURN NULL; END $$;\n",
            db::quote_identifier(name), k_change_channel);
        for (const PostgresTable& table : choice.tables)
            for (const char* what : {"INSERT OR UPDATE OR DELETE", "TRUNCATE"}) {
                // A partitioned table is never truncated itself: its partitions are, and have their own.
                if (!table.rows) continue;
                const char* trigger = what[0] == 'T' ? "holdfast_truncated" : "holdfast_changed";
                sql += fmt::format(
                    "DROP TRIGGER IF EXISTS {0} ON {1};\nCREATE TRIGGER {0} AFTER {2} ON {1} FOR EACH STATEMENT "
                    "EXECUTE FUNCTION public.holdfast_changed();\n",
                    trigger, table.quoted(), what);
            }
    }
    return sql;
}

}    // namespace holdfast::source
