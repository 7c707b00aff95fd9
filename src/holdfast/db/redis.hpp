#pragma once
// A connection to one Redis server: commands out, replies in, and the raw bytes for the replication protocol.
//
//   errors   unreachable: refused, timed out, closed, or the server is loading (all retryable); denied: wrong password or
//            missing rights; store: the command failed. Arguments never appear in messages: they may be secrets
//   threads  one connection, one thread
//   stop     waiting ends with `cancelled` soon after os::stop_requested()

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/db/redis_reply.hpp"
#include "holdfast/db/tls_stream.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::db {

struct RedisLogin {
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    std::string socket;    // instead of host and port
    std::string user;
    Secret password;    // empty: no AUTH
    Duration timeout = std::chrono::seconds(10);    // of the connect, and of each reply
    std::optional<TlsFiles> tls = std::nullopt;    // over TCP only

    /// "redis at 127.0.0.1:6379", "redis at /run/redis.sock".
    std::string text() const;
    RedisLogin clone() const { return {host, port, socket, user, password.clone(), timeout, tls}; }
};

class RedisClient {
public:
    /// Connects and, with a password, logs in.
    static Result<RedisClient> connect(const RedisLogin& login);

    /// A refusal of the server ("-ERR …") becomes an Error.
    Result<RedisReply> command(std::initializer_list<std::string_view> arguments);
    /// A refusal is handed out as a reply, for callers that look at its code.
    Result<RedisReply> ask(std::initializer_list<std::string_view> arguments);
    Result<RedisReply> ask(std::span<const std::string_view> arguments);
    Status send(std::initializer_list<std::string_view> arguments);
    Status send(std::span<const std::string_view> arguments);
    Result<RedisReply> receive(Duration timeout);

    /// For what is not RESP (PSYNC): a line without its CR LF, at most `size_max` bytes; what comes next, 0 at the end.
    Result<std::string> receive_line(Duration timeout, std::size_t size_max = 4096);
    Result<std::size_t> receive_some(ByteSpan to, Duration timeout);

    const std::string& peer() const { return peer_; }

private:
    RedisClient(std::string peer, Duration timeout);
    Status write(ByteView bytes);
    Result<std::size_t> read(ByteSpan to, Duration timeout);
    /// At least one byte into the buffer; 0 at the end of the stream.
    Result<std::size_t> fill(Duration timeout);
    ByteView pending() const { return ByteView(buffer_).subspan(from_, to_ - from_); }

    os::Socket socket_;    // or
    std::optional<TlsStream> tls_;
    std::string peer_;
    Duration timeout_;
    Bytes buffer_;
    std::size_t from_ = 0, to_ = 0;
    RedisReplyReader reader_;
};

/// What a refusal means for us; `what` is "PSYNC on redis at 127.0.0.1:6379".
Error refusal_error(const RedisRefusal& refusal, std::string_view what);

/// A field of INFO's answer ("redis_version"); empty when absent.
std::string info_field(std::string_view info, std::string_view name);

}    // namespace holdfast::db
