#pragma once
// Decides what travels to a mirror and what may go there. Pure: two listings, the memory of earlier runs and the time
// come in, a plan comes out.
//
//   grace      what is gone at the source goes at the mirror only after it was seen to be gone for the whole grace period.
//              Only time between two looks counts, and at most half the period for each: no wrong clock and no lost
//              memory can shorten it
//   never      in an append-only mirror; a pack that the source's index still names (it is lost there, not deleted);
//              after the source looks emptied (more than half of it gone at once) unless the caller insists
//   source     docs/operations/mirrors.md

#include <map>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/vault/file_copy.hpp"

namespace holdfast::vault {

/// What one run remembers for the next one. Losing it delays deletions and does no other harm.
struct MirrorMemory {
    std::map<storage::FileName, Duration> gone;    // at the source: for how long we know that
    Timestamp looked_at;    // when the listings were last compared; 0: never
    Timestamp complete_at;    // when everything had arrived; 0: never
    Timestamp verified_at;    // when all of it was last read back; 0: never
};

struct MirrorRules {
    Duration grace = std::chrono::hours(24 * 14);
    bool append_only = false;
    bool accept_mass_deletion = false;    // and a mirror that has to be made anew
};

struct MirrorFile {
    storage::FileName name;
    std::uint64_t size = 0;
};

struct MirrorPlan {
    std::vector<MirrorFile> send;    // keys, config, packs, index files, snapshots: in this order
    std::vector<MirrorFile> resend;    // there with another size than here
    std::vector<storage::FileName> remove;    // snapshots, index files, packs, keys: in this order
    std::size_t waiting = 0;    // gone at the source, kept at the mirror for now
    std::size_t lost_at_source = 0;    // packs that the mirror has, the source's index names, and the source has not
    std::string suspicion;    // not empty: the source looks emptied or damaged, so nothing counts as deleted
    MirrorMemory memory;    // to be kept when the plan was carried out
};

/// `is_named`: whether the source's index names this pack.
MirrorPlan plan_mirror(const Listing& source, const Listing& mirror, const MirrorMemory& memory,
                       const MirrorRules& rules, const std::function<bool(const Id& pack)>& is_named, Timestamp now);

/// Of the memory, for its file. decode: corrupt; unknown fields are ignored.
std::string encode(const MirrorMemory& memory);
Result<MirrorMemory> decode_mirror_memory(std::string_view json, std::string_view what);

}    // namespace holdfast::vault
