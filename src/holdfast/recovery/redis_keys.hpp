#pragma once
// Some keys of a snapshot back into a Redis that goes on running, in the databases in which they were.
//
//   how       the snapshot's data is loaded in a server of our own, in `scratch`; each key that fits goes over as DUMP and
//             RESTORE, with its time to live. Keys whose time has passed since are not there any more
//   conflict  what happens to keys that the live server has: refuse (exists; nothing is written then), keep, replace
//   proof     the snapshot's, before anything is written (recovery/redis_saved.hpp); the live server checks each key's CRC
//   errors    a failure on the way says how many keys were written: RESTORE of many keys is not one act
//   rights    of the user on the live server: +select +exists +restore, and the keys

#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

enum class KeyConflict { refuse, keep, replace };

struct RedisKeys {
    std::string pattern;    // as SCAN's MATCH: "session:*"
    KeyConflict conflict = KeyConflict::refuse;
    bool dry_run = false;    // look, write nothing
};

/// `found`, `written`, `replaced`, `kept`; with dry_run what they would be.
Result<json::Value> restore_redis_keys(const policy::RedisConfig& config, const RestoreContext& context,
                                       const RedisKeys& keys);

}    // namespace holdfast::recovery
