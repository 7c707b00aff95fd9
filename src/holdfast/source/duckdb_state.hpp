#pragma once
// Whether a DuckDB database is what it was, without reading its blocks: between two changes of its headers no block that counts is
// rewritten, and whatever is committed in between stands in its logs.
//
//   text      of the file: inode, size, time, mode, owner; SHA-256 of its headers and of its logs. Equal texts: the same state
//   limits    as for any file that is not read again because its size and time are the same: damage below that is not seen
//   source    docs/decisions/0004-duckdb-live-copy.md

#include <optional>
#include <string>

#include "holdfast/base/result.hpp"

namespace holdfast::source {

/// Nullopt: it changed while it was looked at. Reads headers and logs only, and takes no lock.
Result<std::optional<std::string>> duckdb_state(const std::string& path);

}    // namespace holdfast::source
