// capture_postgres(): which databases, the globals, then one dump after the other.

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "holdfast/os/host.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/postgres_changes.hpp"
#include "holdfast/source/postgres_dump.hpp"
#include "holdfast/source/postgres_physical.hpp"
#include "holdfast/source/postgres_properties.hpp"
#include "holdfast/source/postgres_rights.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::source {
namespace {

constexpr int k_major_min = 11;    // hashtextextended

bool named(const std::vector<std::string>& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

// "<db>_holdfast_<8 hex digits>": what a restore that was killed left behind.
bool is_leftover(const std::string& name) {
    constexpr std::string_view k_mark = "_holdfast_";
    const std::size_t at = name.rfind(k_mark);
    return at != name.npos && name.size() == at + k_mark.size() + 8 &&
           std::all_of(name.begin() + static_cast<std::ptrdiff_t>(at + k_mark.size()), name.end(),
                       [](char c) { return std::isxdigit(static_cast<unsigned char>(c)); });
}

struct Selection {
    std::vector<PostgresDatabase> databases;
    json::Value skipped = json::Value::array();    // {name, why}
};

Result<Selection> select(std::vector<PostgresDatabase> all, const policy::PostgresConfig& config) {
    for (const auto* names : {&config.databases, &config.exclude_databases})
        for (const std::string& name : *names)
            if (std::ranges::none_of(all, [&](const auto& database) { return database.name == name; }))
                return fail(
                    ErrorCode::not_found,
                    fmt::format("database {} of [[postgres]] {} does not exist on the server", name, config.name),
                    "correct databases or exclude_databases in the configuration");
    Selection selection;
    for (PostgresDatabase& database : all) {
        if (!config.databases.empty() && !named(config.databases, database.name)) continue;
        if (named(config.exclude_databases, database.name)) continue;
        const bool asked = named(config.databases, database.name);
        if (!database.allows_connections) {
            if (asked)
                return fail(ErrorCode::denied, fmt::format("database {} does not allow connections", database.name),
                            "ALTER DATABASE … ALLOW_CONNECTIONS true, or leave it out");
            if (!database.is_template)
                selection.skipped.push(
                    json::Value::object({{"name", database.name}, {"why", "it does not allow connections"}}));
        } else if (!asked && database.is_template) {
            continue;
        } else if (!asked && is_leftover(database.name)) {
            selection.skipped.push(
                json::Value::object({{"name", database.name}, {"why", "left by an interrupted restore"}}));
        } else {
            selection.databases.push_back(std::move(database));
        }
    }
    return selection;
}

// Databases that have none of the wanted tables; a pattern that fits nowhere is a slip of the pen.
Status leave_out_untouched(const db::PostgresAccess& access, const PostgresScope& scope,
                           const policy::PostgresConfig& config, Selection& selection) {
    if (!scope.partial()) return {};
    std::vector<std::string> unmatched = scope.tables;
    unmatched.insert(unmatched.end(), scope.schemas.begin(), scope.schemas.end());
    std::vector<PostgresDatabase> kept;
    for (PostgresDatabase& database : selection.databases) {
        HF_TRY(auto connection, access.connect(database.name));
        HF_TRY(const PostgresChoice choice, choose_tables(connection, scope));
        std::erase_if(unmatched, [&](const std::string& pattern) { return !named(choice.unmatched, pattern); });
        if (choice.empty())
            selection.skipped.push(json::Value::object(
                {{"name", database.name}, {"why", "it holds none of the tables and schemas that are wanted"}}));
        else
            kept.push_back(std::move(database));
    }
    if (!unmatched.empty())
        return fail(ErrorCode::not_found,
                    fmt::format("'{}' of [[postgres]] {} fits no table or schema in {} databases", unmatched[0],
                                config.name, selection.databases.size()),
                    "correct tables or schemas in the configuration: \"schema.table\", letters as in the catalogue");
    if (kept.empty())
        return fail(ErrorCode::not_found, fmt::format("no database holds what [[postgres]] {} wants", config.name),
                    "correct tables and schemas in the configuration");
    selection.databases = std::move(kept);
    return {};
}

Result<json::Value> dump_globals(const db::PostgresAccess& access, db::PostgresConnection& connection,
                                 const policy::PostgresConfig& config, CaptureContext& context) {
    HF_TRY(const auto tool, db::find_postgres_tool("pg_dumpall", connection.server_major(), config.bin_folder));
    // pg_read_all_data may read pg_authid, verifiers included; a lesser role may not, and gets the roles without them.
    HF_TRY(const auto may, connection.query("SELECT has_table_privilege('pg_authid', 'SELECT')"));
    const bool passwords = may[0].boolean(0);
    std::vector<std::string> arguments = {"--globals-only",
                                          "--database=" + db::database_option(config.maintenance_database)};
    if (!passwords) arguments.emplace_back("--no-role-passwords");
    HF_TRY(const auto done, os::run(postgres_command(tool, access.address, access.password, arguments)));
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    if (!done.status.ok()) return fail(db::postgres_tool_error("pg_dumpall --globals-only", done.status, done.errors));
    if (done.output.find("PostgreSQL database cluster dump complete") == done.output.npos)
        return fail(ErrorCode::store, "pg_dumpall --globals-only ended early", "run it by hand to see why");
    const std::string file = "globals.sql";
    HF_DO(context.backup.add_file(context.folder + '/' + file, as_bytes(done.output), 0600));
    return json::Value::object({{"file", file}, {"bytes", done.output.size()}, {"role_passwords", passwords}});
}

}    // namespace

Result<json::Value> capture_postgres(const policy::PostgresConfig& config, CaptureContext& context) {
    if (config.method == policy::PostgresMethod::physical) return capture_postgres_physical(config, context);
    HF_TRY(const db::PostgresAccess access, postgres_access(config));
    HF_TRY(auto connection, access.connect(config.maintenance_database));
    if (connection.server_major() < k_major_min)
        return fail(ErrorCode::unsupported, fmt::format("PostgreSQL {} is too old", connection.server_major()),
                    fmt::format("versions {} and newer are supported", k_major_min));
    HF_TRY(const auto pg_dump, db::find_postgres_tool("pg_dump", connection.server_major(), config.bin_folder));
    HF_TRY(const auto version, connection.query("SHOW server_version"));
    HF_TRY(auto all, list_databases(connection));
    HF_TRY(auto selection, select(std::move(all), config));
    const PostgresScope scope = scope_of(config);
    HF_DO(leave_out_untouched(access, scope, config, selection));
    std::vector<std::string> names;
    for (const PostgresDatabase& database : selection.databases) names.push_back(database.name);
    HF_TRY(const auto missing, find_missing_rights(access, names, scope));
    HF_DO(check_rights(missing));

    auto facts = json::Value::object({{"server_version", version[0].text(0)},
                                      {"server_version_number", connection.server_version()},
                                      {"pg_dump_version", pg_dump.version}});
    if (config.on_change) {
        // Before the dumps: a change that comes meanwhile is then one that the copy may lack.
        HF_TRY(auto changes, PostgresChanges::open(config));
        HF_TRY(std::string mark, changes.mark());
        facts.set("change_mark", std::move(mark));
    }
    if (config.globals) {
        HF_TRY(auto globals, dump_globals(access, connection, config, context));
        facts.set("globals", std::move(globals));
    }
    auto databases = json::Value::array();
    for (const PostgresDatabase& database : selection.databases) {
        const std::string file = dump_file_name(database.name);
        HF_TRY(const auto dumped, dump_database(access, pg_dump, database.name, file, config.proof, scope, context));
        auto entry = json::Value::object(
            {{"name", database.name}, {"file", file}, {"encoding", database.properties["encoding"]}});
        for (const auto& [key, value] : dumped.members()) entry.set(key, value);
        entry.set("properties", database.properties);
        databases.push(std::move(entry));
    }
    facts.set("databases", std::move(databases));
    facts.set("skipped", std::move(selection.skipped));
    return facts;
}

}    // namespace holdfast::source
