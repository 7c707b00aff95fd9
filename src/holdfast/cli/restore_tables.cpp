// `holdfast restore SNAPSHOT --table PATTERN`: some tables or schemas of a PostgreSQL, into it as it runs; or which tables of a
// ClickHouse are meant.

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/output.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/recovery/postgres_tables.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::cli {
namespace {

// What --only leaves of the stores that have tables; exactly one, or nobody knows what is meant.
template <class Config>
std::vector<const Config*> that_fit(const std::vector<Config>& configs, std::string_view kind,
                                    const std::vector<std::string>& only) {
    std::vector<const Config*> fit;
    for (const Config& one : configs)
        if (only.empty() ||
            std::ranges::any_of(only, [&](const auto& word) { return word == one.name || word == kind; }))
            fit.push_back(&one);
    return fit;
}

Result<json::Value> facts_of(const vault::Repository& repository, const vault::SnapshotEntry& entry,
                             const std::string& name) {
    HF_TRY(const json::Value manifest, source::read_manifest(repository, entry));
    for (const json::Value& component : manifest["components"].items())
        if (component["name"].text() == name && component["kind"].text() == "postgres" &&
            component["status"].text() == "complete")
            return component["facts"];
    return fail(ErrorCode::not_found, fmt::format("snapshot {} holds no whole copy of {}", entry.id.brief(), name),
                "`holdfast snapshots` lists others");
}

std::string told(const json::Value& result) {
    std::string text;
    for (const json::Value& database : result["databases"].items())
        for (const json::Value& table : database["tables"].items()) {
            const std::string from = table["from"].text(), to = table["to"].text();
            text +=
                fmt::format("restored  {}{} in database {}{}\n", printable(from),
                            from == to ? "" : " as " + printable(to), printable(database["name"].text()),
                            table["rows"].is_null() ? "" : fmt::format(": {} rows, compared", table["rows"].natural()));
        }
    for (const json::Value& role : result["roles"].items())
        text += fmt::format("restored  role {}\n", printable(role.text()));
    for (const json::Value& database : result["databases"].items()) {
        for (const json::Value& key : database["not_valid"].items())
            text += fmt::format("not valid {}: rows refer to what is not there now\n", printable(key.text()));
        if (!database["kept"].is_null())
            text += fmt::format("kept      the old ones in {}\n", printable(database["kept"].text()));
    }
    return text;
}

}    // namespace

Result<TablesOf> choose_tables(RestoreArguments& arguments, const policy::Config& config) {
    TablesOf chosen;
    if (arguments.tables.empty() && arguments.schemas.empty() && arguments.roles.empty()) return chosen;
    const bool of_postgres = !arguments.schemas.empty() || !arguments.roles.empty() || !arguments.database.empty();
    if (of_postgres && !arguments.partition.empty())
        return fail(ErrorCode::usage,
                    "--partition is about a ClickHouse, --schema, --role and --database are about a PostgreSQL",
                    "leave one of them out");
    const auto postgres = that_fit(config.postgres, "postgres", arguments.only);
    const auto clickhouse = that_fit(config.clickhouse, "clickhouse", arguments.only);
    const std::size_t fit = (arguments.partition.empty() ? postgres.size() : 0) + (of_postgres ? 0 : clickhouse.size());
    if (fit == 0)
        return fail(ErrorCode::usage,
                    "--table is about a [[postgres]] or [[clickhouse]] of the configuration, --schema and --role about "
                    "a [[postgres]], "
                    "--partition about a [[clickhouse]], and none fits",
                    "name it with --only NAME");
    if (fit > 1)
        return fail(ErrorCode::usage, "the options are about the tables of one store, and more than one fits",
                    "say which with --only NAME");
    if (!postgres.empty() && arguments.partition.empty()) {
        chosen.postgres = postgres[0];
        return chosen;
    }
    chosen.clickhouse.emplace();
    chosen.clickhouse->patterns = arguments.tables;
    chosen.clickhouse->partition = arguments.partition;
    for (const std::string& rename : arguments.renames) {
        const auto equals = rename.find('=');
        if (equals == 0 || equals == std::string::npos || equals + 1 == rename.size())
            return fail(ErrorCode::usage, fmt::format("--rename {} is not FROM=TO", rename),
                        "write --rename trading.fills=trading.fills_back, or --rename trading=trading_back");
        chosen.clickhouse->renames.emplace_back(rename.substr(0, equals), rename.substr(equals + 1));
    }
    arguments.only = {clickhouse[0]->name};
    return chosen;
}

Result<int> restore_tables(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                           const policy::PostgresConfig* postgres, const vault::Repository& repository,
                           const vault::SnapshotEntry& entry) {
    HF_TRY(const json::Value facts, facts_of(repository, entry, postgres->name));
    if (!arguments.yes && !arguments.dry_run)
        return fail(ErrorCode::usage, "tables are written into a database that is in use: that needs --yes",
                    "--dry-run says which, and what is in their way");
    recovery::PostgresPick pick;
    pick.database = arguments.database;
    pick.tables = arguments.tables;
    pick.schemas = arguments.schemas;
    pick.roles = arguments.roles;
    for (const std::string& rename : arguments.renames) HF_DO(recovery::add_rename(rename, pick.renames));
    const std::string where = source::scratch_folder(config);
    const recovery::RestoreContext context{
        repository,
        entry,
        facts,
        repository.clock(),
        postgres->name,
        where,
        arguments.replace ? recovery::WhenExisting::switch_over : recovery::WhenExisting::refuse,
        [&](std::string_view event) {
            if (session.people()) print_note(fmt::format("{}: {}\n", postgres->name, event));
        }};
    if (arguments.dry_run) {
        HF_TRY(const auto steps, recovery::plan_postgres_tables(*postgres, context, pick));
        json::Value list = json::Value::array();
        for (const auto& step : steps) {
            list.push(json::Value::object({{"what", step.what}, {"bytes", step.bytes}, {"replaces", step.replaces}}));
            if (!session.global.json)
                print(fmt::format("{} {}\n", step.replaces ? "replaces:" : "-", printable(step.what)));
        }
        if (session.global.json)
            print_json(json::Value::object({{"snapshot", entry.id.hex()},
                                            {"component", postgres->name},
                                            {"dry_run", true},
                                            {"steps", std::move(list)}}));
        return 0;
    }
    HF_TRY(json::Value result, recovery::restore_postgres_tables(*postgres, context, pick));
    if (session.global.json) {
        result.set("snapshot", entry.id.hex());
        result.set("component", postgres->name);
        print_json(result);
    } else if (!session.global.quiet) {
        print(told(result));
    }
    return 0;
}

}    // namespace holdfast::cli
