#pragma once
// What a prune does with each pack: keep it, copy what is needed out of it, or remove it. Pure: facts in, decision out.
//
//   units    bytes are those of the stored file: envelopes, and for a pack also its table
//   rules    no needed blob: remove. All needed, one type, large enough: keep. Else a candidate for repacking; small
//            packs only when there are at least ten of them. Candidates in this order: packs with trees, small packs,
//            then the highest share of unneeded bytes; until what is left unneeded is below max_unused, or max_repack
//            is spent. Packs with trees, and blobs that must be compressed, are limited by max_repack only.
//   source   docs/formats/vault.md section 15

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "holdfast/base/id.hpp"

namespace holdfast::vault {

struct PackStatistics {
    enum class Kind : std::uint8_t { data, tree, mixed } kind = Kind::data;
    bool has_plain = false;    // a blob in it is stored without compression
    std::uint32_t used_blobs = 0, unused_blobs = 0;    // of a blob with copies, one is used
    std::uint64_t used_size = 0, unused_size = 0, table_size = 0;
    std::uint64_t size() const { return used_size + unused_size + table_size; }
};

/// How much that nobody needs may stay.
struct MaxUnused {
    enum class Kind { percent, bytes, unlimited } kind = Kind::percent;
    double percent = 5;    // of the repository after the prune; below 100
    std::uint64_t bytes = 0;
    std::uint64_t of(std::uint64_t used) const;
};

struct PruneLimits {
    MaxUnused max_unused;
    std::uint64_t max_repack = std::numeric_limits<std::uint64_t>::max();    // bytes of packs that are copied
    bool cacheable_only = false;    // data packs are never repacked, only trees
    bool small = false;    // every pack below 80 % of the target size counts as small
    bool uncompressed = false;    // data that is stored plain is compressed
    std::uint64_t pack_size_target = 16u << 20;
};

enum class PackFate : std::uint8_t { keep, repack, remove };

struct PruneStatistics {
    struct Amount {
        std::uint64_t blobs = 0, bytes = 0;
    };
    Amount used, duplicate, unused;    // before
    Amount remove;    // in packs that go as a whole
    Amount repack, repack_remove;    // in packs that are copied, and what of it is left out
    Amount unindexed;    // files that no index names; `blobs` counts packs
    std::uint64_t packs_used = 0, packs_partly_used = 0, packs_unused = 0;
    std::uint64_t packs_keep = 0, packs_repack = 0, packs_remove = 0;
    std::uint64_t packs_missing = 0;    // gone already, and not needed

    std::uint64_t total_bytes() const { return used.bytes + duplicate.bytes + unused.bytes + unindexed.bytes; }
    std::uint64_t freed_bytes() const { return remove.bytes + repack_remove.bytes + unindexed.bytes; }
    std::uint64_t unused_after() const { return duplicate.bytes + unused.bytes - remove.bytes - repack_remove.bytes; }
    bool nothing_to_do() const {
        return packs_repack == 0 && packs_remove == 0 && packs_missing == 0 && unindexed.blobs == 0;
    }
};

/// The fate of each pack, in the order given. Adds to `statistics` (whose used, duplicate and unused are filled in) what
/// will be done.
std::vector<PackFate> plan_prune(std::span<const PackStatistics> packs, const PruneLimits& limits,
                                 PruneStatistics& statistics);

}    // namespace holdfast::vault
