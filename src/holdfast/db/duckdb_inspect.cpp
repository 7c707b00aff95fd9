#include "holdfast/db/duckdb_inspect.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

namespace holdfast::db {
namespace {

std::uint64_t number(const std::optional<std::string>& text) {
    std::uint64_t value = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), value);
    return value;
}

Result<std::uint64_t> count_of(DuckDb& database, const std::string& sql) {
    HF_TRY(const DuckDbRows rows, database.query(sql));
    return rows.rows.empty() || rows.rows[0].empty() ? 0 : number(rows.rows[0][0]);
}

// The alias must not be a column's name: hash(alias) would then hash that column alone.
constexpr std::string_view k_row = "holdfast_whole_row_";

Status add_rows(DuckDb& database, const std::string& table, bool with_digest, json::Value& facts) {
    if (!with_digest) {
        HF_TRY(const std::uint64_t rows, count_of(database, "SELECT count(*) FROM " + table));
        facts.set("rows", rows);
        return {};
    }
    HF_TRY(const DuckDbRows found,
           database.query(fmt::format("SELECT count(*), coalesce(sum(hash({0})::HUGEINT), 0)::VARCHAR, "
                                      "coalesce(bit_xor(hash({0})), 0)::VARCHAR FROM {1} AS {0}",
                                      k_row, table)));
    const auto& row = found.rows.at(0);
    facts.set("rows", number(row[0]));
    facts.set("digest", fmt::format("{}:{}", row[1].value_or(""), row[2].value_or("")));
    return {};
}

struct Constraint {
    std::string table, type, columns, all_columns_set, expression, text;
};

// How many rows or keys break it. A log replayed twice shows here: replay does not ask the indexes.
Result<std::uint64_t> violations(DuckDb& database, const Constraint& c) {
    if (c.type == "NOT NULL")
        return count_of(database, fmt::format("SELECT count(*) FROM {} WHERE {} IS NULL", c.table, c.columns));
    if (c.type == "PRIMARY KEY" || c.type == "UNIQUE")
        return count_of(database, fmt::format("SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} GROUP BY {} "
                                              "HAVING count(*) > 1)",
                                              c.table, c.all_columns_set, c.columns));
    if (c.type == "CHECK")
        return count_of(database, fmt::format("SELECT count(*) FROM {} WHERE NOT ({})", c.table, c.expression));
    // Foreign keys are left to their two tables' counts and digests: proving them would take a join of whole tables.
    return 0;
}

Status check_constraints(DuckDb& database) {
    HF_TRY(const DuckDbRows found,
           database.query("WITH c AS (SELECT *, list_transform(constraint_column_names, "
                          "lambda n: '\"' || replace(n, '\"', '\"\"') || '\"') AS names FROM duckdb_constraints() "
                          "WHERE database_name = current_database()) "
                          "SELECT schema_name, table_name, constraint_type, array_to_string(names, ', '), "
                          "array_to_string(list_transform(names, lambda n: n || ' IS NOT NULL'), ' AND '), "
                          "expression, constraint_text FROM c ORDER BY 1, 2, constraint_index"));
    for (const auto& row : found.rows) {
        const auto text = [&](std::size_t column) { return row[column].value_or(""); };
        const std::string table = quote_duckdb_name(text(0)) + "." + quote_duckdb_name(text(1));
        HF_TRY(const std::uint64_t broken, violations(database, {table, text(2), text(3), text(4), text(5), text(6)}));
        if (broken > 0)
            return fail(ErrorCode::corrupt, fmt::format("{} keys or rows of {} break {}", broken, table, text(6)));
    }
    return {};
}

// What a scan of everything says is the truth; without these the optimizer would answer from statistics that may be damaged.
constexpr const char* k_by_scan =
    "SET disabled_optimizers = 'statistics_propagation,filter_pushdown,compressed_materialization'";
constexpr const char* k_as_usual = "RESET disabled_optimizers";
constexpr std::size_t k_keys_max = 512, k_keys_at_once = 16;    // as many as DuckDB still looks up in an index

struct KeyColumn {
    std::string table, column;    // quoted
};

// Columns that an index is over alone: only such an index is used to find rows.
Result<std::vector<KeyColumn>> key_columns(DuckDb& database) {
    HF_TRY(
        const DuckDbRows found,
        database.query(
            "SELECT DISTINCT k.schema_name, k.table_name, c.column_name FROM ("
            "SELECT schema_name, table_name, constraint_column_names[1] AS name FROM duckdb_constraints() WHERE "
            "database_name = current_database() AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND "
            "len(constraint_column_names) = 1 UNION ALL "
            "SELECT schema_name, table_name, trim(expressions, '[]''\"') FROM duckdb_indexes() WHERE "
            "database_name = current_database()) k JOIN duckdb_columns() c ON c.database_name = current_database() AND "
            "c.schema_name = k.schema_name AND c.table_name = k.table_name AND c.column_name = k.name "
            "WHERE c.data_type NOT LIKE '%(%' AND c.data_type NOT LIKE '%[]' AND c.data_type <> 'BLOB' ORDER BY 1, 2, "
            "3"));
    std::vector<KeyColumn> columns;
    for (const auto& row : found.rows)
        columns.push_back({quote_duckdb_name(row[0].value_or("")) + "." + quote_duckdb_name(row[1].value_or("")),
                           quote_duckdb_name(row[2].value_or(""))});
    return columns;
}

// Whether keys that a scan finds are found by the index, too, as often: a value and its row were exchanged by damage that
// keeps a block's checksum, or the index is of another moment than the table.
Status check_index(DuckDb& database, const KeyColumn& key, std::uint64_t rows) {
    const std::uint64_t every = rows / k_keys_max + 1;
    HF_DO(database.run(k_by_scan));
    HF_TRY(const DuckDbRows scanned,
           database.query(
               fmt::format("SELECT {0}::VARCHAR, count(*)::VARCHAR, typeof({0}) FROM {1} WHERE {0} IS NOT NULL AND "
                           "hash({0}) % {2} = 0 GROUP BY {0} ORDER BY hash({0}) LIMIT {3}",
                           key.column, key.table, every, k_keys_max)));
    HF_DO(database.run(k_as_usual));
    std::size_t missing = 0;
    for (std::size_t at = 0; at < scanned.rows.size(); at += k_keys_at_once) {
        std::map<std::string, std::string> expected;
        std::string list;
        for (std::size_t i = at; i < std::min(at + k_keys_at_once, scanned.rows.size()); ++i) {
            const auto& row = scanned.rows[i];
            expected.emplace(row[0].value_or(""), row[1].value_or(""));
            list += fmt::format("{}{}::{}", list.empty() ? "" : ", ", quote_duckdb_text(row[0].value_or("")),
                                row[2].value_or(""));
        }
        HF_TRY(const DuckDbRows looked_up,
               database.query(
                   fmt::format("SELECT {0}::VARCHAR, count(*)::VARCHAR FROM {1} WHERE {0} IN ({2}) GROUP BY {0}",
                               key.column, key.table, list)));
        for (const auto& row : looked_up.rows) {
            const auto one = expected.find(row[0].value_or(""));
            if (one != expected.end() && one->second == row[1].value_or("")) expected.erase(one);
        }
        missing += expected.size();
    }
    if (missing == 0) return {};
    return fail(ErrorCode::corrupt,
                fmt::format("{} of {} keys that a scan of {} finds are not found by its index on {}", missing,
                            scanned.rows.size(), key.table, key.column));
}

// What a file says of itself against what is in it: damage that no checksum of DuckDB's shows.
Status check_indexes_and_counts(DuckDb& database, const json::Value& tables) {
    std::map<std::string, std::uint64_t> rows;
    for (const json::Value& table : tables.items()) {
        const std::string name =
            quote_duckdb_name(table["schema"].text()) + "." + quote_duckdb_name(table["name"].text());
        rows[name] = table["rows"].natural();    // counted by reading them
        HF_TRY(const std::uint64_t said, count_of(database, "SELECT count(*) FROM " + name));
        if (said != rows[name])
            return fail(ErrorCode::corrupt,
                        fmt::format("{} says that it has {} rows, and has {}", name, said, rows[name]));
    }
    HF_TRY(const auto keys, key_columns(database));
    for (const KeyColumn& key : keys) HF_DO(check_index(database, key, rows[key.table]));
    return {};
}

}    // namespace

Result<json::Value> inspect_duckdb(DuckDb& database, DuckDbCheck::Depth depth) {
    json::Value facts = json::Value::object();
    HF_TRY(const std::string version, duckdb_library_version());
    facts.set("library", version);
    json::Value tables = json::Value::array();
    HF_TRY(
        const DuckDbRows listed,
        database.query("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() "
                       "AND NOT internal AND NOT temporary ORDER BY 1, 2"));
    for (const auto& row : listed.rows) {
        const std::string schema = row[0].value_or(""), name = row[1].value_or("");
        json::Value table = json::Value::object({{"schema", schema}, {"name", name}});
        if (depth != DuckDbCheck::Depth::catalog)
            HF_DO(add_rows(database, quote_duckdb_name(schema) + "." + quote_duckdb_name(name),
                           depth == DuckDbCheck::Depth::digest, table));
        tables.push(std::move(table));
    }
    if (depth == DuckDbCheck::Depth::digest) {
        HF_DO(database.run(k_by_scan));
        HF_DO(check_constraints(database));
        HF_DO(database.run(k_as_usual));
        HF_DO(check_indexes_and_counts(database, tables));
    }
    facts.set("tables", std::move(tables));
    for (const auto& [name, source] :
         {std::pair("views", "duckdb_views() WHERE NOT internal AND"), std::pair("indexes", "duckdb_indexes() WHERE"),
          std::pair("sequences", "duckdb_sequences() WHERE"), std::pair("constraints", "duckdb_constraints() WHERE")}) {
        HF_TRY(const std::uint64_t n, count_of(database, fmt::format("SELECT count(*) FROM {} database_name = "
                                                                     "current_database()",
                                                                     source)));
        facts.set(name, n);
    }
    return facts;
}

}    // namespace holdfast::db
