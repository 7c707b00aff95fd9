#pragma once
// The newest backup of each component, for `status` and `doctor`.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::cli {

/// A component of a stack, or the paths of plain backups.
struct Saved {
    std::string kind;
    std::optional<vault::SnapshotEntry> complete;    // the newest that is whole
    std::optional<vault::SnapshotEntry> incomplete;    // newer than that, and not whole
    std::string why;
    json::Value facts;    // of `complete`, from its manifest
};

/// By "stack: component" or "host: paths". Newest first until every component that the newest stack snapshot knows has a whole
/// one. The index must be loaded.
std::map<std::string, Saved> newest_of_each(const vault::Repository& repository,
                                            const std::vector<vault::SnapshotEntry>& snapshots);

/// What "latest" means for a restore: the newest snapshot that the filter lets through. One that `watch` made of a single
/// component counts only when `only` names just that one, or the filter its tag. The index must be loaded.
Result<vault::SnapshotEntry> latest_of_stack(const vault::Repository& repository, const vault::SnapshotFilter& filter,
                                             const std::vector<std::string>& only);

}    // namespace holdfast::cli
