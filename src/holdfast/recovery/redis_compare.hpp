#pragma once
// Does a running server hold what an RDB file holds? Takes the server's RDB as a replica and compares every key.
//
//   expiry   a key of the file whose time has passed by the end of the comparison may be missing in the server. Nothing
//            else may be missing, be there too, or differ
//   errors   mismatch: what differs, in numbers; the server's and the file's own
//   memory   the hashes (32 bytes) of the server's keys that expire within the hour; a data set of a million such keys
//            takes about 60 MB

#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/db/rdb.hpp"
#include "holdfast/db/redis.hpp"

namespace holdfast::recovery {

struct RedisComparison {
    db::RdbSummary server;
    std::uint64_t expired = 0;    // of the file's keys
    std::string file_digest{};    // of the whole file
};

/// Of a server that was started for it: repl-diskless-sync-delay is 0 until its RDB begins, and then what it was.
/// A server whose digest is `known_digest`, the file's, holds the same: the file is then not read.
Result<RedisComparison> compare_redis(const db::RedisLogin& login, const std::string& rdb_file, Clock& clock,
                                      std::string_view known_digest = {});

/// The numbers of keys alone, by the facts of the snapshot: what is there and what has expired or was evicted since the server
/// started is together what was saved. For a server that loads base and increments itself.
Result<RedisComparison> compare_redis_numbers(const db::RedisLogin& login, const json::Value& facts);

/// Waits until a server answers and has loaded its data; as long as it says that it is loading, for ever. `silence_max`
/// bounds the time without any answer.
Status wait_for_redis(const db::RedisLogin& login, Clock& clock, Duration silence_max);

/// Loads the file in a server of our own (a Unix socket in a private folder, no TCP, no saving) and compares. `folder` lies
/// on the file's file system and is used for a link of it.
Result<RedisComparison> prove_redis_file(const std::string& rdb_file, const std::string& folder, Clock& clock);

}    // namespace holdfast::recovery
