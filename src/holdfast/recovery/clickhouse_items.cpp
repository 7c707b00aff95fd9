#include "holdfast/recovery/clickhouse_items.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery::clickhouse {

using db::clickhouse::Client;
using db::clickhouse::quoted_name;

namespace {

constexpr std::size_t k_ddl_max = 4 << 20;

Result<format::Node> find_file(const RestoreContext& context, const std::string& file, bool folder = false) {
    const std::string path = context.folder + "/" + file;
    HF_TRY(auto node, context.repository.find_node(context.snapshot.snapshot.tree, path));
    if (node.type != (folder ? format::NodeType::dir : format::NodeType::file))
        return fail(ErrorCode::corrupt, fmt::format("{} of the snapshot is not a {}", path, folder ? "folder" : "file"),
                    "restore from another snapshot");
    return node;
}

Result<std::string> read_definition(const RestoreContext& context, const std::string& file) {
    HF_TRY(const auto node, find_file(context, file));
    HF_TRY(const auto bytes, vault::read_small(context.repository, node, k_ddl_max));
    std::string ddl(as_text(bytes));
    while (!ddl.empty() && (ddl.back() == '\n' || ddl.back() == ' ')) ddl.pop_back();
    return ddl;
}

/// Backups before this was written down have it in front of the part's name.
std::string partition_of(const json::Value& part) {
    const std::string name = part["name"].text();
    return part["partition"].text(name.substr(0, name.find('_')));
}

Status read_rows(const RestoreContext& context, const json::Value& facts, Item& item) {
    item.columns = source::clickhouse::columns_from(facts["columns"]);
    item.rows = facts["rows"].natural();
    item.digest = facts["digest"].text();
    std::uint64_t rows = 0;
    for (const json::Value& part : facts["parts"].items()) {
        const bool folder = !part["folder"].is_null();
        const std::string path = folder ? part["folder"].text() : part["file"].text();
        HF_TRY(auto node, find_file(context, path, folder));
        if (!folder && node.size != part["bytes"].natural())
            return fail(ErrorCode::corrupt,
                        fmt::format("{} has {} bytes, the manifest says {}", path, node.size, part["bytes"].natural()),
                        "restore from another snapshot");
        rows += part["rows"].natural();
        item.bytes += part["bytes"].natural();
        item.files.push_back({std::move(node), path, part["rows"].natural(), partition_of(part), part["digest"].text(),
                              part["bytes"].natural()});
        if (item.files.back().folder() != item.files.front().folder())
            return fail(ErrorCode::corrupt, "the manifest has files and folders of rows for " + item.title(),
                        "restore from another snapshot");
    }
    if (rows != item.rows || item.columns.empty())
        return fail(ErrorCode::corrupt, "the manifest contradicts itself about the rows of " + item.title(),
                    "restore from another snapshot");
    return {};
}

Result<Item> read_item(const RestoreContext& context, const json::Value& facts) {
    Item item;
    item.database = facts["database"].text();
    item.name = facts["name"].text();
    if (item.database.empty() || item.name.empty())
        return fail(ErrorCode::corrupt, "the manifest has a ClickHouse table without a name");
    item.engine = facts["inner_engine"].text(facts["engine"].text());
    const std::string file = facts["definition"].text();
    HF_TRY(item.ddl, read_definition(context, file));
    HF_TRY(item.create, db::clickhouse::parse_create(item.ddl));
    if (!facts["data"].boolean()) return item;
    item.kind = Kind::rows;
    if (!facts["inner_engine"].is_null()) {
        item.kind = Kind::rows_inside;
        HF_TRY(const auto inner, read_definition(context, file.substr(0, file.size() - 4) + ".inner.sql"));
        HF_TRY(item.inner, db::clickhouse::parse_create(inner));
    }
    if (item.engine.starts_with("Shared"))
        return fail(ErrorCode::unsupported,
                    fmt::format("{} has the engine {}, which only its vendor's cloud has", item.title(), item.engine),
                    "create it by hand from its .sql file and insert its .native files "
                    "(docs/operations/restore-clickhouse-by-hand.md)");
    if (item.engine.starts_with("Replicated")) {
        item.replicated = db::clickhouse::without_replication(item.create.rest).replicated;
        if (!item.replicated || item.kind != Kind::rows)
            return fail(
                ErrorCode::unsupported,
                fmt::format("{} has the engine {}, and not in a form that holdfast knows", item.title(), item.engine),
                "create it by hand from its .sql file and insert its .native files "
                "(docs/operations/restore-clickhouse-by-hand.md)");
    }
    HF_DO(read_rows(context, facts, item));
    return item;
}

Result<bool> has_rows(Client& client, const std::string& database, const std::string& table) {
    HF_TRY(const auto rows, client.rows("SELECT 1 FROM " + quoted_name(database, table) + " LIMIT 1"));
    return !rows.empty();
}

Result<bool> has_partition(Client& client, const Item& item, const std::string& table) {
    HF_TRY(const auto listing, source::clickhouse::list_parts(client, item.database, table));
    return std::ranges::any_of(listing.parts, [&](const auto& part) { return part.partition == item.partition; });
}

}    // namespace

std::string beside_name(std::string_view table) { return std::string(table) + "__holdfast_restore"; }

std::string aside_name(std::string_view table, Timestamp now) {
    std::string stamp = to_rfc3339(now).substr(0, 19);    // 2026-11-20T18:42:22
    std::erase(stamp, '-');
    std::erase(stamp, ':');
    std::replace(stamp.begin(), stamp.end(), 'T', '_');
    return fmt::format("{}__replaced_{}", table, stamp);
}

bool Item::stays() const {
    return kind == Kind::definition && present.there && present.ddl == ddl && create.kind != "MATERIALIZED VIEW";
}

Result<std::vector<Item>> read_items(const RestoreContext& context) {
    std::vector<Item> items;
    for (const json::Value& facts : context.facts["tables"].items()) {
        HF_TRY(auto item, read_item(context, facts));
        items.push_back(std::move(item));
    }
    if (items.empty() && context.facts["databases"].items().empty())
        return fail(ErrorCode::not_found, "the snapshot holds no ClickHouse database");
    return items;
}

Status look(Client& client, std::vector<Item>& items) {
    HF_TRY(const auto rows, client.rows("SELECT name FROM system.databases"));
    std::map<std::string, std::map<std::string, source::clickhouse::Table>> present;
    for (auto& item : items) {
        if (!std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row[0] == item.database; })) continue;
        if (!present.contains(item.database)) {
            auto& tables = present[item.database];
            HF_TRY(auto list, source::clickhouse::list_tables(client, item.database));
            for (auto& table : list) tables[table.name] = std::move(table);
        }
        const auto found = present[item.database].find(item.name);
        if (found == present[item.database].end()) continue;
        const auto& table = found->second;
        item.present.there = true;
        item.present.inner = table.inner;
        item.present.is_view = table.engine.ends_with("View") || table.engine == "Dictionary";
        HF_TRY(item.present.ddl, source::clickhouse::show_create(client, item.database, item.name));
        HF_TRY(item.present.shown,
               source::clickhouse::show_create(client, item.database, item.name, source::clickhouse::Secrets::hidden));
        if (item.into_table()) {
            HF_TRY(item.present.with_rows, has_partition(client, item, table.holder()));
            continue;
        }
        const bool holds =
            !table.inner.empty() || (!item.present.is_view && table.engine != "Distributed" && table.engine != "Kafka");
        if (holds) {
            HF_TRY(item.present.with_rows, has_rows(client, item.database, table.holder()));
        }
    }
    return {};
}

Status refuse_existing(const std::vector<Item>& items, const RestoreContext& context) {
    for (const Item& item : items)
        if (item.replicated && item.present.there && !item.into_table() &&
            (item.present.with_rows || item.present.is_view))
            return fail(
                ErrorCode::exists,
                fmt::format(
                    "{} is there with rows, and is replicated in the backup: its place cannot be taken beside other "
                    "replicas",
                    item.title()),
                fmt::format("DROP it on every replica and restore again, or restore it under another name (--rename "
                            "{0}={0}_back), or one partition (--partition ID --replace)",
                            item.title()));
    if (context.existing == WhenExisting::switch_over) return {};
    std::string taken;
    for (const Item& item : items) {
        const Present& present = item.present;
        if (!present.there || item.stays()) continue;
        const bool same_view = present.is_view && present.inner.empty() && present.ddl == item.ddl;
        const bool empty_table = !present.is_view && !present.with_rows && item.kind == Kind::rows;
        const bool empty_view = !present.inner.empty() && !present.with_rows && item.kind == Kind::rows_inside;
        if (same_view || empty_table || empty_view) continue;
        taken += (taken.empty() ? "" : ", ") + item.title();
    }
    if (taken.empty()) return {};
    return fail(ErrorCode::exists, "on the server there is already: " + taken,
                "--replace restores beside them, keeps them under other names and takes their places; "
                "--target FOLDER restores the definitions and Native files");
}

}    // namespace holdfast::recovery::clickhouse
