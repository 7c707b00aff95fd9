#pragma once
// What a snapshot holds of a Redis: an RDB, or an RDB and the commands since, as source/redis_increment.hpp lays them out.
//
//   proof    the RDB has the keys and the digest of the manifest; each increment its bytes, commands and SHA-256, and ends
//            between two commands. They are replayed in a server of our own in which nothing expires: it must then hold, in
//            each database, as many keys and as many with an expiry as the server said that was backed up, at that offset
//   errors   corrupt, mismatch: nothing was replaced by then; not_found: there is no redis-server to replay in

#include "holdfast/recovery/restore_store.hpp"

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
Result<RedisParts> write_redis_parts(const RestoreContext& context, const RedisSaved& saved, const std::string& folder,
                                     RedisProof proof);

/// Makes `rdb` (in `staging`, a folder for this alone) out of it, proven and synced, with the times of context.expiry.
Status make_redis_rdb(const RestoreContext& context, const RedisSaved& saved, const std::string& staging,
                      const std::string& rdb, RedisProof proof = RedisProof::content);

}    // namespace holdfast::recovery
