#pragma once
// Snapshots without some of their files, or with another host or time.
//
//   trees    a tree in which nothing changes keeps its ID and is not written; in others what stays keeps its bytes
//   summary  kept; its totals are lessened by what was left out
//   memory   some 40 bytes for each folder of the snapshots
//   order    trees safe → index → new snapshots safe → the old ones go (with `forget`)
//   errors   those of the repository; a folder nested more than 2,000 deep: corrupt

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/vault/replace_snapshots.hpp"

namespace holdfast::vault {

struct RewriteOptions {
    std::vector<std::string> excludes;    // glob patterns, against paths from the snapshot's root
    std::optional<std::string> new_host;
    std::optional<Timestamp> new_time;
    bool forget = false;    // remove the old ones; else the new ones get the tag "rewrite"
    bool dry_run = false;
    std::function<void(std::uint64_t done, std::uint64_t total)> progress;    // snapshots
};

struct Rewritten {
    Replacement change;
    std::uint64_t files_left_out = 0, bytes_left_out = 0;
};

/// Those of `chosen` that change. `known`: all snapshots. Needs the exclusive lock with `forget`, else the shared one.
Result<std::vector<Rewritten>> rewrite(Repository& repository, const RepositoryLock& lock,
                                       const std::vector<SnapshotEntry>& known,
                                       const std::vector<SnapshotEntry>& chosen, const RewriteOptions& options);

}    // namespace holdfast::vault
