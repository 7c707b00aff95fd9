#pragma once
// A Redis server's data over the replication protocol: we attach as a replica, take the RDB of a full resync, or only the
// commands since a position that we hold, and leave.
// Needs no disk of ours and no SAVE of the server's; it forks once, as for any replica.
//
//   shape    $<length> CR LF and that many bytes (repl-diskless-sync no), or $EOF:<40 bytes> CR LF, bytes, and the same 40
//            bytes again. Bare LF may come before either line: the server says with them that it is still at work.
//            Resumed: +CONTINUE, and behind it the commands without end
//   errors   denied with the ACL line that is missing; unreachable: also a server that goes away in the middle, and a
//            replica that has no data of its own yet; store: its background save failed
//   source   replication.c of Redis 7.0 (syncCommand, masterTryPartialResynchronization, readSyncBulkPayload)

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
/// "+CONTINUE", or "+CONTINUE <replication ID>": the ID that holds from now on, empty when it is the one that was asked for.
std::optional<std::string> parse_continue(std::string_view line);

/// A place in a server's history of commands.
struct ReplicationPosition {
    std::string replication_id;
    std::uint64_t offset = 0;    // of the last byte that is held
};

class RedisReplica {
public:
    /// `client` has logged in. Waits (up to 60 s of silence) until the RDB begins. With `held` the server is asked to go
    /// on from there; it does so (resumed()) while it still has what came since, else its RDB begins all the same.
    static Result<RedisReplica> attach(RedisClient client, std::string_view user,
                                       const std::optional<ReplicationPosition>& held = std::nullopt);

    /// What comes next of the RDB, at least one byte; 0 once it has come whole, as far as the framing tells.
    Result<std::size_t> read(ByteSpan to);
    /// When resumed: what comes next of the commands, at least one byte; waits while nothing is written.
    Result<std::size_t> read_commands(ByteSpan to);
    /// Acknowledges and hangs up: call it when the RDB is safe, since it counts for WAIT and min-replicas-to-write.
    Status leave();

    const std::string& replication_id() const { return replication_id_; }
    std::uint64_t offset() const { return offset_; }
    bool resumed() const { return resumed_; }
    bool diskless() const { return !mark_.empty(); }
    std::uint64_t bytes() const { return bytes_; }

private:
    explicit RedisReplica(RedisClient client) : client_(std::move(client)) {}
    Status receive_head(const std::optional<ReplicationPosition>& held);
    Result<std::size_t> receive(ByteSpan to);

    RedisClient client_;
    std::string replication_id_;
    std::uint64_t offset_ = 0, bytes_ = 0;
    bool resumed_ = false;
    std::uint64_t left_ = 0;    // with a length
    std::string mark_;    // without
    Bytes held_;    // its last 40 bytes may be the mark: they wait for what follows
    std::size_t held_size_ = 0;
};

}    // namespace holdfast::db
