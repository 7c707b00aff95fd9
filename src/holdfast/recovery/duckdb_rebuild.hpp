#pragma once
// A DuckDB database made anew when it is beyond repair: on the newest copy of it that is whole (or on its bare tables), with the rows
// that a ClickHouse or a Redis has of each table.
//
//   key       a table with a primary key is merged: what the source has is put in, rows that only the copy has stay. A row that both
//             have is the source's or, with `version` in the rule, the one whose version is larger
//   no key    rows cannot be told apart: all of the source take the place of all of the copy. Fewer than the copy has: mismatch, unless
//             `take_fewer`
//   else      tables that no source has keep the rows of the copy; the report says how new the newest is
//   after     indexes are made anew, sequences go on behind the largest value that a source gave
//   errors    those of the sources, mismatch, corrupt (no copy is whole), not_found (no copy at all). The file made so far is then worth nothing
//   memory    rows pass through a file without a name beside the database

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/recovery/duckdb_rows.hpp"

namespace holdfast::recovery {

/// A copy to begin with.
struct DuckDbBase {
    std::string what;    // "state 12+340", "snapshot 1a2b3c4d", "the tables of FILE"
    std::optional<Timestamp> at;    // nullopt: no rows in it
    std::function<Status(const std::string& to)> write;    // `to`, and `to`.wal when it has a log
    bool read_through = false;    // it was, when it was made: opening it is enough
};

struct DuckDbRebuild {
    std::vector<DuckDbBase> bases;    // tried in this order, until one is whole
    std::vector<RowSource> sources;    // in the order in which they are read
    std::vector<std::string> only;    // tables; empty: all that have a source
    bool take_fewer = false;
    std::function<void(std::string_view)> say;    // never empty
};

/// Makes the file `to`, without a log, and returns "copy", "copy_time" and "tables": for each "table", "rows", "copy_rows", "sources" and, when
/// there is one, "newest" and "only_in_copy".
Result<json::Value> rebuild_duckdb(const std::string& to, const DuckDbRebuild& rebuild);

/// Makes `to` hold what `sql` makes.
Status make_duckdb_tables(const std::string& sql, const std::string& to);

}    // namespace holdfast::recovery
