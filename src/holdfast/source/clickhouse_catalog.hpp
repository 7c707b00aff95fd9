#pragma once
// What a ClickHouse server holds, as its system tables say, and the two queries that both sides of a copy ask about a
// table's content: the columns that are data, and the count and digest over them.
//
//   digest   sum over all rows of cityHash64(toString(tuple(columns))), modulo 2^64: order does not matter, parts add up,
//            NULL, NaN, UUID and aggregate states count; equal on 18.16 and 26.5 but for trailing zeros of Decimal

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/clickhouse.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::source::clickhouse {

struct Column {
    std::string name, type;
    std::string kind;    // "", DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL
    std::string expression;
    /// ALIAS and EPHEMERAL columns are not stored. MATERIALIZED ones are: their values may not be computable again.
    bool stored() const { return kind != "ALIAS" && kind != "EPHEMERAL"; }
};

/// How the data of a table is taken.
enum class Holding { parts, whole, nothing };

struct Table {
    std::string database, name, engine;
    std::string inner;    // a materialized view's own table; empty for all else
    std::string holder() const { return inner.empty() ? name : inner; }    // whose rows are the data
};

struct Part {
    std::string name;
    std::uint64_t rows = 0, bytes = 0;
    bool with_deleted_rows = false;    // lightweight deletes: fewer rows can be read than `rows`
    std::int64_t made_at = 0;    // by the server's clock, seconds since 1970
    std::string hash;    // of all its files; empty: this server does not tell (18.16)
    std::string partition;    // its ID: "202611", "all"
    std::string path;    // its folder on the server
    /// Equal for two listings of one server only when it is the same part, see `EarlierParts`.
    std::string identity() const;
};

/// Those of the configuration; without a choice all but the server's own, and `default` only when it holds tables.
/// not_found when one was named that is not there.
Result<std::vector<std::string>> list_databases(db::clickhouse::Client& client, const policy::ClickHouseConfig& config);
/// Without temporary tables; inner tables of materialized views stand in their views.
Result<std::vector<Table>> list_tables(db::clickhouse::Client& client, const std::string& database);
Result<std::vector<Column>> list_columns(db::clickhouse::Client& client, const std::string& database,
                                         const std::string& table);
struct PartListing {
    std::vector<Part> parts;
    std::int64_t asked_at = 0;    // by the server's clock, seconds since 1970; 0 without parts
};
/// Active parts that have rows, at one instant.
Result<PartListing> list_parts(db::clickhouse::Client& client, const std::string& database, const std::string& table);
/// Whether newer servers left a password out of this statement.
bool hides_secret(std::string_view ddl);
enum class Secrets { shown, hidden };
/// As SHOW CREATE prints it; `shown`: with its passwords if this user may see them, for the vault only. not_found when the table is gone.
Result<std::string> show_create(db::clickhouse::Client& client, const std::string& database, const std::string& table,
                                Secrets secrets = Secrets::shown);
/// The engine of the table that holds the rows ("MergeTree", "Log").
Result<std::string> engine_of(db::clickhouse::Client& client, const std::string& database, const std::string& table);
Holding holding_of(std::string_view engine);

/// "`a`, `b`": the stored columns.
std::string column_list(const std::vector<Column>& columns);
/// "count(), sum(cityHash64(…))" or, with Proof::count, "count(), 0".
std::string content_expression(const std::vector<Column>& columns, policy::Proof proof);

json::Value to_json(const std::vector<Column>& columns);
std::vector<Column> columns_from(const json::Value& value);

}    // namespace holdfast::source::clickhouse
