#pragma once
// Opens a DuckDB file whose health is not known, reads it and says what is in it: in a child process of its own, because
// a torn file can crash the library (seen with 1.4.4).
//
//   program   holdfast-duckdb-verify, beside this program; it prints one JSON document
//   facts     {"library": "v1.5.6", "tables": [{"schema", "name", "rows", "digest"}], "views": n, "indexes": n,
//             "sequences": n, "constraints": n}; tables are sorted by schema and name. What holds no rows of its own is
//             counted. "rows" and "digest" are there as far as the depth asks for them
//   digest    of all rows of a table, whatever their order: sum and xor of DuckDB's hash() over whole rows. Equal for
//             copies under the same library; another version of the library may hash differently
//   errors    corrupt (does not open, does not read to its end, breaks a constraint, or crashed the child),
//             unsupported (no libduckdb, or one too old), disk_full, cancelled, store

#include <optional>
#include <string>

#include "holdfast/base/json.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::db {

struct DuckDbCheck {
    /// catalog: open, list. count: count the rows of each table, too. digest: read every value, check the constraints,
    /// and the indexes and counts against what a scan finds.
    enum class Depth { catalog, count, digest } depth = Depth::digest;
    /// First open it for writing and fold its log into the file, so that one file is left; else nothing is written.
    bool settle = false;
    /// Only make this new file, with its tables, views, sequences and so on, and no rows: of a database that still opens.
    std::string tables_to = {};
};

/// "none", "count", "digest": how far tables of facts are told.
std::string_view to_text(DuckDbCheck::Depth depth);

/// A running check. The file and its log must stay as they are until finish(); leaving earlier kills the child.
class DuckDbChecker {
public:
    static Result<DuckDbChecker> start(const std::string& path, const DuckDbCheck& check);
    /// Waits, and returns the facts.
    Result<json::Value> finish();

private:
    DuckDbChecker(os::Process process, std::string path) : process_(std::move(process)), path_(std::move(path)) {}
    os::Process process_;
    std::string path_;
};

/// What the child does; its main() is this and nothing else.
int duckdb_verify_main(int count, const char* const* arguments);

}    // namespace holdfast::db
