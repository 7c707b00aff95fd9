#include "holdfast/source/clickhouse_catalog.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "holdfast/db/clickhouse_text.hpp"

namespace holdfast::source::clickhouse {

using db::clickhouse::Client;
using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

namespace {

constexpr int k_listings_max = 20;

std::uint64_t number(const std::string& text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

Status expect_width(const db::clickhouse::Rows& rows, std::size_t width) {
    for (const auto& row : rows)
        if (row.size() != width)
            return fail(ErrorCode::store, "ClickHouse answered a question about itself with a row of another width");
    return {};
}

}    // namespace

Result<std::vector<std::string>> list_databases(Client& client, const policy::ClickHouseConfig& config) {
    HF_TRY(const auto rows, client.rows("SELECT name FROM system.databases ORDER BY name"));
    HF_DO(expect_width(rows, 1));
    std::vector<std::string> all;
    for (const auto& row : rows) all.push_back(row[0]);
    for (const auto& name : config.databases)
        if (!contains(all, name))
            return fail(ErrorCode::not_found, fmt::format("ClickHouse at {} has no database {}", config.url, name),
                        "correct `databases` of [[clickhouse]]");
    if (!config.databases.empty()) return config.databases;
    std::vector<std::string> chosen;
    for (const auto& name : all) {
        if (name == "system" || name == "information_schema" || name == "INFORMATION_SCHEMA" ||
            name == "_temporary_and_external_tables" || contains(config.exclude_databases, name)) {
            continue;
        }
        if (name == "default") {
            HF_TRY(const auto tables, list_tables(client, name));
            if (tables.empty()) continue;
        }
        chosen.push_back(name);
    }
    return chosen;
}

Result<std::vector<Table>> list_tables(Client& client, const std::string& database) {
    HF_TRY(const bool with_uuid, client.system_has("tables", "uuid"));
    const std::string query =
        fmt::format("SELECT name, engine, {} FROM system.tables WHERE database = {} AND NOT is_temporary ORDER BY name",
                    with_uuid ? "toString(uuid)" : "''", quoted_text(database));
    // 18.16 stumbles over a table that is dropped while it lists them.
    auto listed = client.rows(query);
    for (int tries = 1; !listed && listed.error().code == ErrorCode::not_found && tries < k_listings_max; ++tries)
        listed = client.rows(query);
    HF_TRY(const auto rows, std::move(listed));
    HF_DO(expect_width(rows, 3));
    std::map<std::string, std::string> inner_of;    // inner table → view
    for (const auto& row : rows) {
        if (row[1] != "MaterializedView") continue;
        inner_of[".inner." + row[0]] = row[0];
        if (!row[2].empty()) inner_of[".inner_id." + row[2]] = row[0];
    }
    std::map<std::string, std::string> inner_for;    // view → inner table that is there
    for (const auto& row : rows)
        if (const auto found = inner_of.find(row[0]); found != inner_of.end()) inner_for[found->second] = row[0];
    std::vector<Table> tables;
    for (const auto& row : rows) {
        if (inner_of.contains(row[0])) continue;
        const auto inner = inner_for.find(row[0]);
        tables.push_back({database, row[0], row[1], inner == inner_for.end() ? "" : inner->second});
    }
    return tables;
}

Result<std::vector<Column>> list_columns(Client& client, const std::string& database, const std::string& table) {
    HF_TRY(const auto rows, client.rows(fmt::format("SELECT name, type, default_kind, default_expression FROM "
                                                    "system.columns WHERE database = {} AND table = {}",
                                                    quoted_text(database), quoted_text(table))));
    HF_DO(expect_width(rows, 4));
    std::vector<Column> columns;
    for (const auto& row : rows) columns.push_back({row[0], row[1], row[2], row[3]});
    return columns;
}

std::string Part::identity() const { return fmt::format("{} {} {} {} {}", name, rows, bytes, made_at, hash); }

Result<PartListing> list_parts(Client& client, const std::string& database, const std::string& table) {
    HF_TRY(const bool with_deletes, client.system_has("parts", "has_lightweight_delete"));
    HF_TRY(const bool with_hash, client.system_has("parts", "hash_of_all_files"));
    HF_TRY(const auto rows, client.rows(fmt::format(
                                "SELECT name, rows, {}, {}, toUnixTimestamp(modification_time), {}, "
                                "toUnixTimestamp(now()), partition_id, path FROM "
                                "system.parts WHERE active AND rows > 0 AND database = {} AND table = {} ORDER BY name",
                                with_deletes ? "bytes_on_disk" : "bytes", with_deletes ? "has_lightweight_delete" : "0",
                                with_hash ? "hash_of_all_files" : "''", quoted_text(database), quoted_text(table))));
    HF_DO(expect_width(rows, 9));
    PartListing listing;
    if (!rows.empty()) listing.asked_at = static_cast<std::int64_t>(number(rows[0][6]));
    for (const auto& row : rows)
        listing.parts.push_back({row[0], number(row[1]), number(row[2]), row[3] == "1",
                                 static_cast<std::int64_t>(number(row[4])), row[5], row[7], row[8]});
    return listing;
}

Result<std::string> show_create(Client& client, const std::string& database, const std::string& table,
                                Secrets secrets) {
    const std::string question = "SHOW CREATE TABLE " + quoted_name(database, table) + " FORMAT TSVRaw";
    HF_TRY(auto ddl, client.text(question));
    // Passwords of dictionaries and of engines that reach elsewhere: shown to who may see them, and asks for it.
    if (secrets == Secrets::shown && hides_secret(ddl)) {
        HF_TRY(ddl, client.text(question, {{"format_display_secrets_in_show_and_select", "1"}}));
    }
    while (!ddl.empty() && (ddl.back() == '\n' || ddl.back() == ' ')) ddl.pop_back();
    return ddl;
}

bool hides_secret(std::string_view ddl) { return ddl.find("[HIDDEN]") != std::string_view::npos; }

Result<std::string> engine_of(Client& client, const std::string& database, const std::string& table) {
    HF_TRY(const auto rows,
           client.rows(fmt::format("SELECT engine FROM system.tables WHERE database = {} AND name = {}",
                                   quoted_text(database), quoted_text(table))));
    if (rows.empty() || rows[0].empty())
        return fail(ErrorCode::not_found, fmt::format("ClickHouse has no table {}.{}", database, table));
    return rows[0][0];
}

Holding holding_of(std::string_view engine) {
    if (engine.ends_with("MergeTree")) return Holding::parts;
    for (const std::string_view whole : {"Log", "TinyLog", "StripeLog", "Memory"})
        if (engine == whole) return Holding::whole;
    return Holding::nothing;
}

std::string column_list(const std::vector<Column>& columns) {
    std::string list;
    for (const auto& column : columns)
        if (column.stored()) list += (list.empty() ? "" : ", ") + quoted_name(column.name);
    return list;
}

std::string content_expression(const std::vector<Column>& columns, policy::Proof proof) {
    if (proof != policy::Proof::digest) return "count(), 0";
    return "count(), sum(cityHash64(toString(tuple(" + column_list(columns) + "))))";
}

json::Value to_json(const std::vector<Column>& columns) {
    auto list = json::Value::array();
    for (const auto& column : columns)
        list.push(json::Value::object(
            {{"name", column.name}, {"type", column.type}, {"kind", column.kind}, {"expression", column.expression}}));
    return list;
}

std::vector<Column> columns_from(const json::Value& value) {
    std::vector<Column> columns;
    for (const auto& item : value.items())
        columns.push_back({item["name"].text(), item["type"].text(), item["kind"].text(), item["expression"].text()});
    return columns;
}

}    // namespace holdfast::source::clickhouse
