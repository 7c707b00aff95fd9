#pragma once
// Rows for a table of a DuckDB out of another store, as CSV that DuckDB reads exactly: NULL is \N without quotes, every text is in
// quotes. Streamed; memory does not grow with the rows.
//
//   limits    a ClickHouse column of another type than the table's goes through text: DateTime as the server shows it (for a column WITH
//             TIME ZONE: in UTC), zeros at the end of a FixedString cut. Redis is read by SCAN: keys that come or go meanwhile may be missed
//   errors    those of the servers, not_found (no such table), config (`source` is no "database.table", several tables of one name)

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/policy/config.hpp"

namespace holdfast::recovery {

struct DuckDbColumn {
    std::string name, type;
};

struct RowSource {
    policy::DuckDbRebuildConfig rule;
    const policy::ClickHouseConfig* clickhouse = nullptr;    // or
    const policy::RedisConfig* redis = nullptr;
};

struct FetchedRows {
    std::string what;    // "clickhouse desk.trades"
    std::vector<std::string> columns;    // of the CSV, which has no header
    std::string select = "*";    // over those columns, before the rule's own
    std::uint64_t least = 0, most = 0;    // how many rows it may have
};

/// All rows of the source to `file`, from its beginning.
Result<FetchedRows> fetch_rows(const RowSource& source, const std::string& table,
                               const std::vector<DuckDbColumn>& columns, int file);

}    // namespace holdfast::recovery
