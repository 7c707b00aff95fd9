#pragma once
// What a snapshot holds of a Redis: an RDB, or an RDB and the commands since, as source/redis_increment.hpp lays them out.
//
//   proof    the RDB has the keys and the digest of the manifest, or its checksum (RedisProof); each increment its bytes, commands and
//            SHA-256, and ends between two commands
//   errors   corrupt, mismatch: nothing was replaced by then

#include "holdfast/db/rdb.hpp"
#include "holdfast/db/redis_touched.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {

struct RedisSaved {
    struct File {
        std::string name;    // in the component's folder
        format::Node node;
    };
    File base;
    std::vector<File> increments;
    std::optional<File> manifest;    // of the append-only file; with increments
    std::uint64_t bytes = 0;

    /// Room that making one RDB of it takes at most.
    std::uint64_t space() const { return manifest ? 2 * bytes : bytes; }
};

Result<RedisSaved> find_redis_saved(const RestoreContext& context);

/// How the RDB is looked at before anything is replaced. content: every key, against the digest of the manifest. checksum: its
/// CRC-64 alone, for restores that compare every key in the running server afterwards: reading the keys takes half as long as
/// the server's load, and the vault has proven the bytes.
enum class RedisProof { content, checksum };

/// The files as they were saved, proven and synced, under names of our own.
struct RedisParts {
    std::string base;    // paths
    std::vector<std::string> increments;
    std::uint64_t databases = 1;    // that a server needs to load them
};
/// spare_one: a server loads the RDB while it is written.
Result<RedisParts> write_redis_parts(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                                     RedisProof proof, vault::Processors processors = vault::Processors::all);

/// Reads the RDB out of the vault, once; with `copy` it is written there meanwhile, and synced.
Result<db::RdbSummary> read_saved_rdb(const RestoreContext& context, const RedisSaved::File& saved,
                                      const db::RdbOptions& options, const std::string& copy = {});
/// no: a server of our own reads it now, and nobody after a power cut.
enum class Synced { no, yes };
/// One increment, proven. Returns the highest database that it selects; `touched` may be null.
Result<std::uint64_t> write_redis_increment(const RestoreContext& context, const RedisSaved& saved, std::size_t which,
                                            const std::string& path, Synced synced,
                                            db::RedisTouched* touched = nullptr);

}    // namespace holdfast::recovery
