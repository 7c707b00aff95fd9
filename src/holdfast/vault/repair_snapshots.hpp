#pragma once
// Snapshots that lost something, without what is lost: each file with a missing blob and each folder whose tree cannot be
// read is left out and told by its path.
//
//   order    trees durable → index → new snapshots (tag "repaired", `original` kept) → with `forget` the old ones go
//   memory   32 bytes a tree that is whole; damaged ones are walked again for each snapshot, so that all paths are told
//   locks    exclusive

#include <string>
#include <vector>

#include "holdfast/vault/backup.hpp"

namespace holdfast::vault {

struct RepairSnapshotsOptions {
    bool forget = false;    // the damaged snapshots go once the repaired ones are safe
    bool dry_run = false;
    BackupOptions storing{};
};

struct RepairedSnapshot {
    SnapshotEntry source;
    std::optional<Id> target;    // nullopt: nothing could be saved, or dry_run
    struct Lost {
        std::string path;
        std::string why;
    };
    std::vector<Lost> lost;    // files and folders
};

struct RepairSnapshotsReport {
    std::uint64_t whole = 0;
    std::vector<RepairedSnapshot> repaired;    // the damaged ones
};

Result<RepairSnapshotsReport> repair_snapshots(Repository& repository, const std::vector<SnapshotEntry>& snapshots,
                                               const RepairSnapshotsOptions& options = {});

}    // namespace holdfast::vault
