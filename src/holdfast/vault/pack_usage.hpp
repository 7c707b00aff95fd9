#pragma once
// The facts of plan_prune: which entry of the index is needed, and what each pack holds of that.
//
//   copies   of a blob that is needed and stored several times one entry counts as used: one whose pack is there and
//            whole, and of those one in a pack that is needed anyway
//   memory   one bit an entry, about 100 bytes a pack

#include <unordered_map>
#include <vector>

#include "holdfast/vault/prune_plan.hpp"
#include "holdfast/vault/reachable.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

class BlobIndex;

struct PackUsage {
    std::vector<PackStatistics> packs;    // by the numbers of the index
    std::vector<bool> file_there;    // a file of the right size lies in the storage
    std::vector<bool> used;    // by entry: this copy is needed
    PruneStatistics totals;    // used, duplicate, unused, unindexed
    std::vector<std::pair<Id, std::uint64_t>> unindexed;    // packs that no index names, and their sizes
};

/// Lists the packs of the storage. corrupt when a pack with needed blobs is missing or has another size than the index
/// says; the message names some.
Result<PackUsage> pack_usage(const Repository& repository, const Reachable& needed);

}    // namespace holdfast::vault
