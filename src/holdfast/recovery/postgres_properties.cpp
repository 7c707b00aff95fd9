#include "holdfast/recovery/postgres_properties.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace holdfast::recovery {
namespace {

using db::quote_identifier;
using db::quote_literal;

Result<bool> there_is(db::PostgresConnection& home, std::string_view catalogue, std::string_view column,
                      const std::string& name) {
    HF_TRY(const auto rows, home.query(fmt::format("SELECT FROM {} WHERE {} = $1", catalogue, column), {name}));
    return !rows.empty();
}

// Runs all statements or none; a failure that is the server's opinion becomes a warning.
Status attempt(db::PostgresConnection& home, const std::string& statements, const std::string& what,
               json::Value& warnings) {
    auto done = home.execute("BEGIN; " + statements + "; COMMIT");
    if (done) return done;
    if (done.error().code == ErrorCode::unreachable || done.error().code == ErrorCode::cancelled) return done;
    warnings.push(fmt::format("{}: {}", what, done.error().message));
    return home.execute("ROLLBACK");
}

// Values of these are lists of names, quoted already; as one literal they would become one name.
bool is_list(const std::string& setting) {
    static constexpr std::array k_lists = {"search_path", "temp_tablespaces", "session_preload_libraries",
                                           "local_preload_libraries", "shared_preload_libraries"};
    return std::ranges::find(k_lists, setting) != k_lists.end();
}

std::string set_statement(const std::string& database, const json::Value& setting) {
    const std::string role = setting["role"].text(), name = setting["name"].text(), value = setting["value"].text();
    const std::string whose =
        role.empty() ? "ALTER DATABASE " + quote_identifier(database)
                     : "ALTER ROLE " + quote_identifier(role) + " IN DATABASE " + quote_identifier(database);
    // Custom settings have two parts: my.setting
    const std::size_t dot = name.find('.');
    const std::string quoted =
        dot == name.npos ? quote_identifier(name)
                         : quote_identifier(name.substr(0, dot)) + '.' + quote_identifier(name.substr(dot + 1));
    if (!is_list(name)) return fmt::format("{} SET {} TO {}", whose, quoted, quote_literal(value));
    return fmt::format("SELECT set_config({}, {}, true); {} SET {} FROM CURRENT", quote_literal(name),
                       quote_literal(value), whose, quoted);
}

}    // namespace

Status create_database(db::PostgresConnection& home, const std::string& database, const json::Value& properties,
                       json::Value& warnings) {
    std::string sql =
        fmt::format("CREATE DATABASE {} WITH TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
                    quote_identifier(database), quote_literal(properties["encoding"].text("UTF8")),
                    quote_literal(properties["collate"].text("C")), quote_literal(properties["ctype"].text("C")));
    if (properties["locale_provider"].text() == "i" && home.server_major() >= 15)
        sql += " LOCALE_PROVIDER icu ICU_LOCALE " + quote_literal(properties["icu_locale"].text());
    const std::string owner = properties["owner"].text(), tablespace = properties["tablespace"].text();
    HF_TRY(const bool has_owner, there_is(home, "pg_roles", "rolname", owner));
    if (has_owner)
        sql += " OWNER " + quote_identifier(owner);
    else
        warnings.push(fmt::format("there is no role {} to own the database", owner));
    HF_TRY(const bool has_tablespace, there_is(home, "pg_tablespace", "spcname", tablespace));
    if (has_tablespace)
        sql += " TABLESPACE " + quote_identifier(tablespace);
    else
        warnings.push(fmt::format("there is no tablespace {}; the default one is used", tablespace));
    return home.execute(sql);
}

Status apply_properties(db::PostgresConnection& home, const std::string& database, const json::Value& properties,
                        json::Value& warnings) {
    const std::string name = quote_identifier(database);
    if (!properties["comment"].is_null())
        HF_DO(attempt(home,
                      fmt::format("COMMENT ON DATABASE {} IS {}", name, quote_literal(properties["comment"].text())),
                      "the comment", warnings));
    if (properties["acl"].is_array()) {
        // What a new database grants by itself; the list below is all that the old one had.
        HF_DO(attempt(
            home,
            fmt::format("REVOKE ALL ON DATABASE {0} FROM PUBLIC; DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I "
                        "FROM %I', {1}, (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {1})); END $$",
                        name, quote_literal(database)),
            "the default rights", warnings));
        for (const json::Value& right : properties["acl"].items()) {
            const std::string grantee = right["grantee"].text(), privilege = right["privilege"].text();
            if (!std::ranges::all_of(privilege, [](char c) { return c >= 'A' && c <= 'Z'; }))
                return fail(ErrorCode::corrupt, "the manifest names no right: " + privilege);
            HF_DO(attempt(home,
                          fmt::format("GRANT {} ON DATABASE {} TO {}{}", privilege, name,
                                      grantee.empty() ? "PUBLIC" : quote_identifier(grantee),
                                      right["grantable"].boolean() ? " WITH GRANT OPTION" : ""),
                          "a right of " + (grantee.empty() ? "PUBLIC" : grantee), warnings));
        }
    }
    for (const json::Value& setting : properties["settings"].items())
        HF_DO(attempt(home, set_statement(database, setting), "the setting " + setting["name"].text(), warnings));
    if (const auto limit = properties["connection_limit"].integer(-1); limit != -1)
        HF_DO(attempt(home, fmt::format("ALTER DATABASE {} CONNECTION LIMIT {}", name, limit), "the connection limit",
                      warnings));
    return {};
}

}    // namespace holdfast::recovery
