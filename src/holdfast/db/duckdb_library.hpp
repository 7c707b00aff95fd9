#pragma once
// libduckdb, opened at run time: a machine without it backs up everything else.
//
//   looked for   $HOLDFAST_DUCKDB_LIBRARY, ../lib/libduckdb.so beside this program, the path known at build time, the
//                system's libduckdb.so; the first that loads serves for the life of the process
//   errors       unsupported (no library, or the file needs a newer one), locked (another process has the database
//                open), not_found, disk_full, corrupt (the file is damaged or torn), store (all else DuckDB says)
//   threads      connections of one database may be used at once, one connection by one thread at a time
//   danger       a torn file can crash the library: files whose health is not known are opened in a child process
//                (duckdb_check.hpp). A process that has a database open must never open and close its file otherwise:
//                closing drops DuckDB's lock

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::db {

struct DuckDbRows {
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<std::string>>> rows;    // values as DuckDB prints them; NULL: nullopt
};

/// "v1.5.6", or why there is none.
Result<std::string> duckdb_library_version();

/// One connection. The database closes (and is checkpointed, when it was opened for writing) with its last connection.
class DuckDb {
public:
    enum class Mode { read_only, read_write };
    using Settings = std::vector<std::pair<std::string, std::string>>;

    /// Extensions are never loaded from the network or from disk by themselves.
    static Result<DuckDb> open(const std::string& path, Mode mode, const Settings& settings = {});
    DuckDb(DuckDb&&) noexcept;
    DuckDb& operator=(DuckDb&&) noexcept;
    ~DuckDb();

    /// Another connection to the same database.
    Result<DuckDb> connect() const;
    /// One statement or several; the rows of the last one.
    Result<DuckDbRows> query(const std::string& sql);
    /// The same, for statements whose rows do not matter.
    Status run(const std::string& sql);
    /// Appends rows to a table of text columns, many times faster than INSERT: `values` holds one row after the other, each
    /// in the order of the table's columns.
    Status append(const std::string& table, std::size_t columns, std::span<const std::optional<std::string>> values);

private:
    struct State;
    explicit DuckDb(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// "a""b": a name as SQL takes it; 'a''b': a text.
std::string quote_duckdb_name(std::string_view name);
std::string quote_duckdb_text(std::string_view text);

}    // namespace holdfast::db
