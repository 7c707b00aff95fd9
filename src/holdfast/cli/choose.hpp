#pragma once
// Which snapshots a command that changes some is about: those that were named, or those that fit a filter.

#include <string>
#include <vector>

#include "holdfast/cli/options.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::cli {

/// Host equal; all tags and paths of the filter are there. An empty filter fits all.
bool fits(const format::Snapshot& snapshot, const FilterArguments& filter);

/// Out of `all` (oldest first): with `names` exactly those ("latest" within the filter, or the beginning of an ID of at
/// least 4 digits), else those that fit. usage or not_found for a name that is none, or of several.
Result<std::vector<vault::SnapshotEntry>> choose_snapshots(const std::vector<vault::SnapshotEntry>& all,
                                                           const std::vector<std::string>& names,
                                                           const FilterArguments& filter);

/// "7a1b2c3d  2026-11-20 18:42:22  host  tags  paths" as the cells of a table.
std::vector<std::string> snapshot_cells(const vault::SnapshotEntry& entry);
std::string joined(const std::vector<std::string>& words);    // "a, b", safe to print

}    // namespace holdfast::cli
