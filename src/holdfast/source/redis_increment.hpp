#pragma once
// What a Redis was told since its last backup, instead of all that it holds: the RDB of an earlier snapshot and the
// increments since are named again (nothing of them is read or stored), and the commands that came after are put behind.
//
//   shape    <name>/appendonlydir/: appendonly.aof.1.base.rdb, appendonly.aof.<n>.incr.aof, appendonly.aof.manifest, as a
//            server with appendonly yes loads them. Without any command since the RDB it stays <name>/dump.rdb
//   promise  exactly the commands up to the offset that the server had when we asked, and the keys of each database that it
//            said it had there: one INFO tells both, so that they are of one instant
//   errors   corrupt, unsupported, changed, not_found: an increment cannot be made, a whole copy can. Anything else: neither

#include <map>

#include "holdfast/db/rdb.hpp"
#include "holdfast/db/redis_replica.hpp"
#include "holdfast/source/capture.hpp"

namespace holdfast::source {

/// Where a server is, out of one INFO.
struct RedisMoment {
    std::string version;    // "7.0.15"
    db::ReplicationPosition position;
    bool has_backlog = false;    // before the first replica there is none, and the ID will change
    std::uint64_t backlog_size = 0;
    std::map<std::uint64_t, db::RdbSummary::Database> databases;    // keys, expired ones included
};
/// nullopt when this is no INFO of a server that replicates.
std::optional<RedisMoment> parse_redis_moment(std::string_view info);

/// A base and what came after, as the facts of a snapshot tell (docs/formats/manifest.md).
struct RedisChain {
    struct Increment {
        std::string file;    // in the component's folder
        std::uint64_t commands = 0, bytes = 0;
        json::Value facts;
    };
    db::ReplicationPosition position;    // where it ends
    std::optional<std::uint64_t> database;    // that is selected there; nullopt: the stream says so itself
    std::string base_file;
    std::uint64_t base_bytes = 0;
    Timestamp base_taken;
    json::Value base;    // its facts
    std::vector<Increment> increments;

    std::uint64_t increment_bytes() const;
};
/// corrupt, with what is missing: a copy of an older program, or one that an increment cannot begin with.
Result<RedisChain> parse_redis_chain(const json::Value& facts);

/// Why a whole copy is due; empty when an increment will do. Pure.
std::string why_whole(const policy::RedisConfig& config, const RedisChain& chain, const RedisMoment& moment,
                      Timestamp now);

/// Puts the chain of `tree` and what `replica` (resumed; null when nothing has come) sends up to the moment into the
/// snapshot. Returns the facts `offset`, `bytes`, `databases`, `base`, `increments` …
Result<json::Value> capture_redis_increment(const RedisChain& chain, const Id& tree, const RedisMoment& moment,
                                            db::RedisReplica* replica, CaptureContext& context);

}    // namespace holdfast::source
