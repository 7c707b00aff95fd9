#pragma once
// The newest backup of each component, for `status` and `doctor`.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"
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

/// What "latest" means for a restore: the newest snapshot that the filter lets through; when it is about this stack and `only`
/// names one component, also what `watch` made of that one. The index must be loaded.
Result<vault::SnapshotEntry> latest_of_stack(const policy::Config& config, const vault::Repository& repository,
                                             const vault::SnapshotFilter& filter, const std::vector<std::string>& only);

}    // namespace holdfast::cli
