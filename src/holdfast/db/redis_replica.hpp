#pragma once
// A Redis server's RDB over the replication protocol: we attach as a replica, take the RDB of the full resync, and leave.
// Needs no disk of ours and no SAVE of the server's; it forks once, as for any replica.
//
//   shape    $<length> CR LF and that many bytes (repl-diskless-sync no), or $EOF:<40 bytes> CR LF, bytes, and the same 40
//            bytes again. Bare LF may come before either line: the server says with them that it is still at work
//   errors   denied with the ACL line that is missing; unreachable: also a server that goes away in the middle, and a
//            replica that has no data of its own yet; store: its background save failed
//   source   replication.c of Redis 7.0 (syncCommand, readSyncBulkPayload)

#include <optional>

#include "holdfast/db/redis.hpp"

namespace holdfast::db {

/// The two lines before the RDB: "+FULLRESYNC <replication ID> <offset>", then its framing. nullopt for anything else. Pure.
struct FullResync {
    std::string replication_id;
    std::uint64_t offset = 0;
};
std::optional<FullResync> parse_full_resync(std::string_view line);
struct RdbFraming {
    std::uint64_t size = 0;    // or
    std::string mark;    // the 40 bytes that end it
};
std::optional<RdbFraming> parse_rdb_framing(std::string_view line);

class RedisReplica {
public:
    /// `client` has logged in. Waits (up to 60 s of silence) until the RDB begins.
    static Result<RedisReplica> attach(RedisClient client, std::string_view user);

    /// What comes next of the RDB, at least one byte; 0 once it has come whole, as far as the framing tells.
    Result<std::size_t> read(ByteSpan to);
    /// Acknowledges and hangs up: call it when the RDB is safe, since it counts for WAIT and min-replicas-to-write.
    Status leave();

    const std::string& replication_id() const { return replication_id_; }
    std::uint64_t offset() const { return offset_; }
    bool diskless() const { return !mark_.empty(); }
    std::uint64_t bytes() const { return bytes_; }

private:
    explicit RedisReplica(RedisClient client) : client_(std::move(client)) {}
    Status receive_head();
    Result<std::size_t> receive(ByteSpan to);

    RedisClient client_;
    std::string replication_id_;
    std::uint64_t offset_ = 0, bytes_ = 0;
    std::uint64_t left_ = 0;    // with a length
    std::string mark_;    // without
    Bytes held_;    // its last 40 bytes may be the mark: they wait for what follows
    std::size_t held_size_ = 0;
};

}    // namespace holdfast::db
