// capture_clickhouse: definitions and rows of every table. Layout below the component's folder, names escaped as the server
// escapes its own folders:
//
//   <database>.sql                  CREATE DATABASE
//   <database>/<table>.sql          CREATE of a table, view, dictionary
//   <database>/<table>.inner.sql    CREATE of the table inside a materialized view
//   <database>/<table>/<part>.native   rows of one part ("all" for the Log family and Memory)
//   <database>/<table>/<part>/…        the same as the server's own files (method = "freeze" and "backup")
//   server.objects/<kind>/<name>.sql   what is made by SQL and lies in no database: functions, users, grants …

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "holdfast/base/log.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/clickhouse_catalog.hpp"
#include "holdfast/source/clickhouse_objects.hpp"
#include "holdfast/source/clickhouse_table.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::source {

namespace clickhouse {

namespace {

using db::clickhouse::Client;
using db::clickhouse::file_name_of;

constexpr int k_definitions_max = 3;

json::Value to_json(const TakenRows& rows, policy::Proof proof) {
    auto files = json::Value::array();
    for (const auto& file : rows.files) {
        auto part = json::Value::object({{"name", file.name},
                                         {file.folder ? "folder" : "file", file.file},
                                         {"rows", file.rows},
                                         {"bytes", file.bytes}});
        if (!file.partition.empty()) part.set("partition", file.partition);
        if (!file.identity.empty()) {
            part.set("identity", file.identity);
            if (proof == policy::Proof::digest) part.set("digest", std::to_string(file.digest));
        }
        files.push(std::move(part));
    }
    auto value = json::Value::object({{"rows", rows.rows}});
    // As text: half of all digests are above what JSON readers keep of a number.
    if (proof == policy::Proof::digest) value.set("digest", std::to_string(rows.digest));
    value.set("parts", std::move(files));
    if (rows.asked_at != 0) value.set("asked_at", rows.asked_at);
    return value;
}

struct Definition {
    std::string ddl, inner_ddl, engine;
    std::vector<Column> columns;
};

Result<Definition> define(Client& client, const Table& table) {
    Definition definition;
    HF_TRY(definition.ddl, show_create(client, table.database, table.name));
    definition.engine = table.engine;
    if (!table.inner.empty()) {
        HF_TRY(definition.inner_ddl, show_create(client, table.database, table.inner));
        HF_TRY(definition.engine, engine_of(client, table.database, table.inner));
    }
    HF_TRY(definition.columns, list_columns(client, table.database, table.holder()));
    if (definition.columns.empty() && holding_of(definition.engine) != Holding::nothing)
        return fail(ErrorCode::not_found, fmt::format("ClickHouse has no table {}.{}", table.database, table.holder()));
    return definition;
}

/// What the earlier copy has of this table, if its rows were read with the same columns and proven as now.
std::optional<EarlierParts> earlier_parts(const EarlierCopy* copy, const Table& table, const Definition& definition,
                                          policy::Proof proof) {
    if (copy == nullptr) return std::nullopt;
    for (const json::Value& facts : copy->facts["tables"].items()) {
        if (facts["database"].text() != table.database || facts["name"].text() != table.name) continue;
        if (json::dump(facts["columns"]) != json::dump(clickhouse::to_json(definition.columns))) return std::nullopt;
        EarlierParts earlier{copy->tree, facts["asked_at"].integer(0), {}};
        for (const json::Value& part : facts["parts"].items()) {
            const std::string identity = part["identity"].text(), digest = part["digest"].text();
            if (identity.empty() || (proof == policy::Proof::digest && digest.empty())) continue;
            earlier.parts[identity] = {part["name"].text(),      part["file"].text(part["folder"].text()),
                                       part["rows"].natural(),   std::strtoull(digest.c_str(), nullptr, 10),
                                       part["bytes"].natural(),  identity,
                                       part["partition"].text(), !part["folder"].is_null()};
        }
        return earlier;
    }
    return std::nullopt;
}

struct Counts {
    std::size_t parts = 0, reused = 0, frozen = 0;
    std::vector<std::string> secrets_hidden;    // tables whose definition lacks its password
    std::string not_frozen;    // why one was read over HTTP though files were asked for
};

Result<json::Value> capture_table(Client& client, const Table& table, const policy::ClickHouseConfig& config,
                                  const EarlierCopy* copy, CaptureContext& context, Counts& counts) {
    const std::string below = file_name_of(table.database) + "/" + file_name_of(table.name);
    const std::string path = context.folder + "/" + below;
    const policy::Proof proof = config.proof;
    for (int attempt = 0; attempt < k_definitions_max; ++attempt) {
        HF_TRY(const auto definition, define(client, table));
        const auto earlier = earlier_parts(copy, table, definition, proof);
        HF_TRY(const auto rows, take_rows(client, context.backup, table, definition.engine, definition.columns,
                                          {proof,
                                           context.folder,
                                           below,
                                           earlier ? &*earlier : nullptr,
                                           config.method,
                                           config.backup_folder,
                                           {}}));
        HF_TRY(const auto now, define(client, table));
        if (now.ddl != definition.ddl || now.inner_ddl != definition.inner_ddl) {
            context.backup.forget_path(path);    // an ALTER came in between: rows and definition must fit
            continue;
        }
        HF_DO(context.backup.add_file(path + ".sql", as_bytes(definition.ddl + "\n")));
        if (!definition.inner_ddl.empty())
            HF_DO(context.backup.add_file(path + ".inner.sql", as_bytes(definition.inner_ddl + "\n")));
        auto facts =
            json::Value::object({{"database", table.database}, {"name", table.name}, {"engine", table.engine}});
        const bool holds = holding_of(definition.engine) != Holding::nothing;
        facts.set("data", holds);
        if (hides_secret(definition.ddl)) counts.secrets_hidden.push_back(table.database + "." + table.name);
        if (!table.inner.empty()) facts.set("inner_engine", definition.engine);
        facts.set("definition", below + ".sql");
        if (holds) {
            facts.set("columns", clickhouse::to_json(definition.columns));
            counts.parts += rows.files.size();
            counts.frozen += static_cast<std::size_t>(std::ranges::count_if(rows.files, &TakenFile::folder));
            if (!rows.not_frozen.empty())
                counts.not_frozen = fmt::format("{}.{}: {}", table.database, table.name, rows.not_frozen);
            counts.reused += static_cast<std::size_t>(std::ranges::count_if(rows.files, &TakenFile::reused));
            const json::Value content = to_json(rows, proof);
            for (const auto& [key, value] : content.members()) facts.set(key, value);
        }
        return facts;
    }
    return fail(ErrorCode::changed, fmt::format("{}.{} was altered during each of {} reads", table.database, table.name,
                                                k_definitions_max));
}

Result<bool> is_gone(Client& client, const Table& table) {
    HF_TRY(const auto tables, list_tables(client, table.database));
    for (const auto& other : tables)
        if (other.name == table.name && other.engine == table.engine) return false;
    return true;
}

/// A table that is dropped while it is read is not there any more: that is no error, it is left out.
Status add_table(Client& client, const Table& table, const policy::ClickHouseConfig& config, const EarlierCopy* copy,
                 CaptureContext& context, Counts& counts, json::Value& tables) {
    auto facts = capture_table(client, table, config, copy, context, counts);
    if (facts) {
        tables.push(*std::move(facts));
        return {};
    }
    if (facts.error().code == ErrorCode::not_found) {
        HF_TRY(const bool gone, is_gone(client, table));
        if (gone) {
            context.backup.forget_path(context.folder + "/" + file_name_of(table.database) + "/" +
                                       file_name_of(table.name));
            log_warning("a table was dropped during the backup and is not in it",
                        {{"table", table.database + "." + table.name}});
            return {};
        }
    }
    return fail(facts.error().within("table " + table.database + "." + table.name));
}

}    // namespace

}    // namespace clickhouse

Result<json::Value> capture_clickhouse(const policy::ClickHouseConfig& config, CaptureContext& context) {
    using namespace clickhouse;
    HF_TRY(auto client, clickhouse_client(config));
    HF_TRY(const auto databases, list_databases(client, config));

    auto facts = json::Value::object({{"version", client.version()}});
    auto database_facts = json::Value::array(), tables = json::Value::array();
    const auto copy = context.earlier ? context.earlier() : std::nullopt;
    Counts counts;
    for (const auto& database : databases) {
        HF_TRY(auto ddl,
               client.text("SHOW CREATE DATABASE " + db::clickhouse::quoted_name(database) + " FORMAT TSVRaw"));
        HF_DO(context.backup.add_file(context.folder + "/" + file_name_of(database) + ".sql", as_bytes(ddl)));
        database_facts.push(database);
        HF_TRY(const auto list, list_tables(client, database));
        for (const auto& table : list) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading ClickHouse");
            HF_DO(add_table(client, table, config, copy ? &*copy : nullptr, context, counts, tables));
        }
    }
    HF_TRY(auto objects, list_objects(client));
    for (const std::string& table : counts.secrets_hidden)
        objects.left_out.push_back("the password in the definition of " + table + std::string(k_secrets_are_hidden));
    HF_DO(add_objects(objects, context.backup, context.folder, facts));
    facts.set("databases", std::move(database_facts));
    facts.set("tables", std::move(tables));
    facts.set("parts_reused", counts.reused);
    std::string how;
    if (copy) how = fmt::format("{} of {} parts were there already", counts.reused, counts.parts);
    if (config.method != policy::ClickHouseMethod::http) {
        how += fmt::format("{}{} as files", how.empty() ? "" : ", ", counts.frozen);
        if (!counts.not_frozen.empty()) {
            how += ", others over HTTP: " + counts.not_frozen;
            log_warning("tables were read over HTTP instead of as files", {{"why", counts.not_frozen}});
        }
    }
    if (!how.empty()) facts.set("how", how);
    return facts;
}

}    // namespace holdfast::source
