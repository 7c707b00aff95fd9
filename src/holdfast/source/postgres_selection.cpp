#include "holdfast/source/postgres_selection.hpp"

#include <fmt/core.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>

namespace holdfast::source {
namespace {

// Not those of the system. Partitions know their parent.
constexpr const char* k_tables =
    "SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', i.inhparent "
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND "
    "c.relispartition "
    "WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> "
    "'information_schema' ORDER BY 2, 3";

bool fits(const std::string& pattern, const std::string& text) {
    return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

bool fits_one(const std::string& pattern, const std::string& schema, const std::string& name) {
    const std::size_t dot = pattern.find('.');
    if (dot == pattern.npos) return fits(pattern, name);
    return fits(pattern.substr(0, dot), schema) && fits(pattern.substr(dot + 1), name);
}

// Each table fits as it is named, or as the table fits of which it is a partition.
struct Table {
    PostgresTable table;
    std::string parent;    // oid; empty: it is no partition
};

using Tables = std::map<std::string, Table>;

template <class Fits>
bool itself_or_parent(const Tables& all, const Table& table, const Fits& wanted) {
    for (const Table* one = &table; one;) {
        if (wanted(one->table)) return true;
        const auto parent = all.find(one->parent);
        one = parent == all.end() ? nullptr : &parent->second;
    }
    return false;
}

}    // namespace

bool fits_table(const std::vector<std::string>& patterns, const std::string& schema, const std::string& name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return fits_one(pattern, schema, name); });
}

bool fits_name(const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return fits(pattern, name); });
}

PostgresScope scope_of(const policy::PostgresConfig& config) {
    return {config.tables, config.schemas, config.exclude_tables};
}

std::string PostgresChoice::oids() const {
    std::string text = "{";
    for (const PostgresTable& table : tables) text += (text.size() == 1 ? "" : ",") + table.oid;
    return text + "}";
}

Result<PostgresChoice> choose_tables(db::PostgresConnection& connection, const PostgresScope& scope) {
    HF_TRY(const auto rows, connection.query(k_tables));
    Tables all;
    std::vector<std::string> order;
    for (const auto& row : rows) {
        order.push_back(row.text(0));
        all[row.text(0)] = {{row.text(0), row.text(1), row.text(2), {}, row.boolean(3), true}, row.text(4)};
    }
    PostgresChoice choice;
    choice.scope = scope;
    for (const std::string& oid : order) {
        const Table& one = all[oid];
        if (!scope.schemas.empty() && !fits_name(scope.schemas, one.table.schema)) continue;
        const bool wanted = scope.tables.empty() || itself_or_parent(all, one, [&](const PostgresTable& table) {
                                return fits_table(scope.tables, table.schema, table.name);
                            });
        if (!wanted) continue;
        PostgresTable table = one.table;
        table.rows = !itself_or_parent(all, one, [&](const PostgresTable& excluded) {
            return fits_table(scope.exclude_tables, excluded.schema, excluded.name);
        });
        if (!table.rows && !scope.tables.empty()) continue;
        if (const auto parent = all.find(one.parent); parent != all.end()) table.parent = parent->second.table.text();
        choice.tables.push_back(std::move(table));
    }
    for (const std::string& pattern : scope.tables)
        if (std::ranges::none_of(all, [&](const auto& entry) {
                return fits_one(pattern, entry.second.table.schema, entry.second.table.name);
            }))
            choice.unmatched.push_back(pattern);
    if (scope.schemas.empty()) return choice;
    // A schema may hold views and functions only.
    HF_TRY(const auto schemas,
           connection.query("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> "
                            "'information_schema' ORDER BY 1"));
    for (const auto& row : schemas)
        if (fits_name(scope.schemas, row.text(0))) choice.schemas.push_back(row.text(0));
    for (const std::string& pattern : scope.schemas)
        if (std::ranges::none_of(schemas, [&](const auto& row) { return fits(pattern, row.text(0)); }))
            choice.unmatched.push_back(pattern);
    return choice;
}

Status check_references(db::PostgresConnection& connection, const PostgresChoice& choice) {
    if (choice.scope.exclude_tables.empty() || !choice.scope.tables.empty()) return {};
    std::string without;
    for (const PostgresTable& table : choice.tables)
        if (!table.rows) without += (without.empty() ? "" : ",") + table.oid;
    HF_TRY(const auto found,
           connection.query("SELECT conrelid::regclass, confrelid::regclass FROM pg_constraint WHERE contype = 'f' AND "
                            "confrelid = ANY($1::oid[]) AND NOT conrelid = ANY($1::oid[]) ORDER BY 1, 2 LIMIT 1",
                            {"{" + without + "}"}));
    if (found.empty()) return {};
    return fail(
        ErrorCode::config,
        fmt::format("rows of {} refer to rows of {}, which exclude_tables leaves out: no restore could bring them back",
                    found[0].text(0), found[0].text(1)),
        fmt::format("add {} to exclude_tables, or take {} out of it", found[0].text(0), found[0].text(1)));
}

}    // namespace holdfast::source
