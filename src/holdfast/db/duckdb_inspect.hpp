#pragma once
// What an open DuckDB database holds, and whether it keeps its own rules. Used in the child (duckdb_check.hpp says what
// the facts look like) and by tests.

#include "holdfast/base/json.hpp"
#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/db/duckdb_library.hpp"

namespace holdfast::db {

Result<json::Value> inspect_duckdb(DuckDb& database, DuckDbCheck::Depth depth);

}    // namespace holdfast::db
