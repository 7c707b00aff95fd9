#pragma once
// The replication stream of a Redis server, turned into an append-only file that another server loads by itself. Pure.
//
//   shape    commands as RESP arrays of bulk strings: *<n> CR LF, then n times $<length> CR LF <bytes> CR LF. The stream
//            and an AOF are the same, but for what only the line needs (PING, REPLCONF: left out) and for the database:
//            a server that loads a file begins in database 0, so each file begins with the SELECT that holds at its start
//   errors   corrupt (with the offset in the stream): no RESP array, MULTI in MULTI, EXEC without MULTI, a SELECT of no
//            number; unsupported: the first command stands before any SELECT, and nobody told the database
//   memory   the bytes of one piece that is fed, and the few bytes before a command's name is known; whatever lengths the
//            stream claims
//   threads  one object, one thread
//   source   networking.c (processMultibulkBuffer), replication.c (replicationFeedSlaves) and aof.c of Redis 7.0

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/db/redis_touched.hpp"

namespace holdfast::db {

class RedisLogReader {
public:
    using Sink = std::function<Status(ByteView)>;

    /// `database`: the one that is selected where the stream begins; nullopt: it says so itself. That also reads a file
    /// that another one of these has written, and gives it back as it is.
    /// `touched`, if not null, is told of each command, also of those that are left out.
    explicit RedisLogReader(std::optional<std::uint64_t> database = std::nullopt, RedisTouched* touched = nullptr)
        : database_(database), touched_(touched) {}

    /// Takes a piece of any size and hands on what of it belongs into the file.
    Status feed(ByteView bytes, const Sink& sink);

    /// Between two commands and in no transaction: here a file may end.
    bool at_boundary() const { return state_ == State::array && line_.empty() && !in_transaction_; }
    std::uint64_t bytes_read() const { return read_; }
    /// What went into the file: commands (a SELECT that we put first is one), and bytes.
    std::uint64_t commands() const { return commands_; }
    std::uint64_t bytes_kept() const { return kept_; }
    /// Selected where the stream ends now; nullopt while nothing has told.
    std::optional<std::uint64_t> database() const { return database_; }
    /// A server that loads the file needs databases up to this one.
    std::uint64_t database_max() const { return database_max_; }

private:
    enum class State { array, bulk, body, body_end };

    Status take_line();
    Status begin_argument(std::uint64_t size);
    Status end_argument();
    Status decide();
    Result<std::uint64_t> count(char mark, std::uint64_t least, std::uint64_t most) const;
    std::unexpected<Error> corrupt(std::string_view what) const;
    void keep(std::string_view bytes);

    State state_ = State::array;
    std::string line_;    // of a head, as far as it has come
    std::uint64_t arguments_left_ = 0, argument_ = 0;    // of this command
    std::uint64_t body_left_ = 0;
    unsigned end_left_ = 0;    // of CR LF
    std::string name_, first_;    // of this command, upper case, and its first argument; only short ones
    std::string* collecting_ = nullptr;
    bool decided_ = false, keeps_ = false;
    std::string held_;    // of this command, until it is decided whether it is kept
    std::string out_;    // of this piece
    bool in_transaction_ = false, started_ = false;
    std::optional<std::uint64_t> database_;
    std::uint64_t database_max_ = 0;
    RedisTouched* touched_;
    std::uint64_t read_ = 0, commands_ = 0, kept_ = 0;
};

}    // namespace holdfast::db
