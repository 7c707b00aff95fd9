#pragma once
// Removes what no snapshot needs: whole packs, and out of packs that are partly needed by copying the rest.
//
//   order     packs that no index names go → new packs safe → new index files safe → old index files gone → old packs
//             gone; before each step the lock is checked. Killed anywhere, nothing that is needed is lost, and the next
//             prune takes up what is left
//   no room   with limits.max_repack 0 nothing is copied, and what can go without anything being written goes first: packs
//            that no index names, then index files none of whose packs stays, with those packs
//   refuses   (corrupt) when a snapshot, a tree or the index cannot be read, when a needed blob is in no index, or a
//             pack with needed blobs is missing or has another size: then nothing is removed at all
//   memory    the index, 2 bits for each of its entries, some 100 bytes a pack, and 16 bytes for each blob to be copied
//   errors    and those of the backend. `denied` from an append-only storage comes before anything old is touched
//   source    docs/formats/vault.md sections 14 and 15, docs/operations/prune.md

#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include "holdfast/vault/prune_plan.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct PruneOptions {
    PruneLimits limits;
    bool dry_run = false;    // plan, and leave everything as it is
    std::set<Id> without;    // snapshots that count as gone already: a forget that is only tried
    int compression_level = 1;    // for what limits.uncompressed compresses
    /// Each old index file goes before the new one is written, which then has its room. Killed in between, what that file
    /// named is found again only by repair_index. For a disk without any room; together with limits.max_repack 0.
    bool index_goes_first = false;
    /// What is being done, how much of it, and of how much (0: not known). From one thread at a time.
    std::function<void(std::string_view step, std::uint64_t done, std::uint64_t total)> progress;
};

struct PruneReport {
    PruneStatistics statistics;
    std::uint64_t snapshots = 0;
    std::uint64_t new_packs = 0, new_bytes = 0;    // written by repacking
    std::uint64_t index_files_removed = 0, index_files_written = 0;
};

/// `lock` is the exclusive lock on `repository`. Loads the index itself.
Result<PruneReport> prune(Repository& repository, const RepositoryLock& lock, const PruneOptions& options = {});

/// As a dry run, without a lock: for a disk that has no room for one.
Result<PruneReport> plan_prune(Repository& repository, PruneOptions options);

/// What prune() with limits.max_repack 0 removes before it writes anything: that may go also without a lock as long as
/// nobody has one. For lock_making_room().
Result<std::vector<storage::FileName>> needless_files(Repository& repository);

}    // namespace holdfast::vault
