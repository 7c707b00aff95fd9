#pragma once
// A connection to the Redis server that is master now: given by its address, or asked from Sentinels. It is made when it is
// first needed and again after it broke or the server turned out to be no master any more.
//
//   errors   unreachable, also for what passes by itself: a server that loads, is a replica, is out of memory, cannot write its
//            RDB file or lacks replicas. A command whose answer was lost may have been carried out
//   threads  one at a time

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/db/redis.hpp"

namespace holdfast::trade {

struct RedisPlace {
    struct Address {
        std::string host;
        std::uint16_t port = 26379;
    };
    db::RedisLogin login;    // with Sentinels its host and port are not used, all else is
    std::vector<Address> sentinels;
    std::string master_name = "mymaster";
    Secret sentinel_password;
    Duration sentinel_timeout = std::chrono::seconds(1);
};

class RedisLink {
public:
    explicit RedisLink(RedisPlace place) : place_(std::move(place)) {}

    /// A refusal of the server becomes an error as above; other refusals are handed out as replies.
    Result<db::RedisReply> ask(std::span<const std::string_view> arguments);
    Result<db::RedisReply> ask(std::initializer_list<std::string_view> arguments) {
        return ask(std::span(arguments.begin(), arguments.size()));
    }
    /// The same, and every refusal is an error.
    Result<db::RedisReply> command(std::initializer_list<std::string_view> arguments);

    /// "redis at 127.0.0.1:6379", of the newest connection; empty before the first.
    const std::string& peer() const { return peer_; }
    /// Connections made so far.
    unsigned connections() const { return connections_; }
    /// False: the next command connects first.
    bool is_connected() const { return client_.has_value(); }
    void drop() { client_.reset(); }

private:
    Status connect();
    Result<RedisPlace::Address> master();
    Status connect_to(const db::RedisLogin& login);

    RedisPlace place_;
    std::optional<db::RedisClient> client_;
    std::string peer_;
    unsigned connections_ = 0;
};

}    // namespace holdfast::trade
