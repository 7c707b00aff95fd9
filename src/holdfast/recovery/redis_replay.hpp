#pragma once
// One RDB of what a snapshot holds of a Redis: of a whole copy the copy itself, of increments what a server makes of them.
//
//   splice   a server of our own replays the increments over those keys only that they name (db/redis_touched.hpp); what it then
//            holds takes their place in the base, whose other keys go from the vault into the file as they are
//   replay   of all keys: when times are set anew, or a command may touch keys that it does not name, or most keys are named
//   proof    of base and increments as in recovery/redis_saved.hpp. Keys and keys with an expiry of each database are then as many
//            as the server said that was backed up, at that offset
//   errors   corrupt, mismatch: nothing was replaced by then; not_found: there is no redis-server to replay in

#include "holdfast/db/redis.hpp"
#include "holdfast/recovery/redis_saved.hpp"
#include "holdfast/recovery/redis_stream.hpp"

namespace holdfast::recovery {

/// Puts base, increments and what sets the times anew into `folder`, proven, so that a server of our own loads all of it at once, in which
/// no key goes because its time has passed. Returns the lines of its configuration.
Result<std::string> lay_out_replay(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                                   RedisProof proof = RedisProof::checksum);
/// Such a server holds what the server said that was backed up. Returns the number of keys; mismatch.
Result<std::uint64_t> prove_replayed(const RestoreContext& context, const db::RedisLogin& login);

/// Makes `rdb` (in `staging`, a folder for this alone) out of it, proven and synced, with the times of context.expiry. `stream` (may be
/// null) follows it where it is written once, from its start on: no times are set anew, and not all keys are replayed.
Status make_redis_rdb(const RestoreContext& context, const RedisSaved& saved, const std::string& staging,
                      const std::string& rdb, RedisProof proof = RedisProof::content, RedisStream* stream = nullptr);

}    // namespace holdfast::recovery
