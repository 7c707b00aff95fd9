#include "holdfast/db/duckdb_inspect.hpp"

#include <fmt/core.h>

#include <charconv>

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
    if (depth == DuckDbCheck::Depth::digest) HF_DO(check_constraints(database));
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
