#pragma once
// One reply of a Redis server, and the reader that makes it from bytes as they arrive. Pure: no socket.
//
//   shape    RESP2 and RESP3 (protocol 2 is what we ask for; 3 is understood): + - : $ * _ , # ( ! = % ~ > |
//   errors   corrupt: not RESP, nested deeper than k_reply_depth_max, or larger than the limit. Lengths that a peer only
//            claims allocate nothing: memory grows with the bytes that have come
//   threads  values only
//   source   https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::db {

inline constexpr std::size_t k_reply_depth_max = 32;

/// What follows the '-': "WRONGPASS invalid username-password pair or user is disabled."
struct RedisRefusal {
    std::string text;
    /// Its first word: "WRONGPASS".
    std::string_view code() const { return std::string_view(text).substr(0, text.find(' ')); }
};

/// Simple and bulk strings are both text; maps, sets and pushes are arrays (maps alternate key and value).
class RedisReply {
public:
    using Array = std::vector<RedisReply>;
    using Data = std::variant<std::monostate, std::string, std::int64_t, double, bool, RedisRefusal, Array>;

    RedisReply() = default;
    RedisReply(Data data) : data_(std::move(data)) {}

    bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
    const RedisRefusal* refusal() const { return std::get_if<RedisRefusal>(&data_); }
    /// Empty when it is of another kind.
    const std::string& text() const;
    const Array& items() const;
    std::int64_t integer(std::int64_t fallback = 0) const;
    const Data& data() const { return data_; }

private:
    Data data_;
};

/// Fed in pieces of any size; stops at the end of each reply.
class RedisReplyReader {
public:
    explicit RedisReplyReader(std::size_t size_max = std::size_t(256) << 20) : size_max_(size_max) {}

    /// Takes bytes up to the end of one reply and returns how many. Call it only while !complete().
    Result<std::size_t> feed(ByteView bytes);
    bool complete() const { return complete_; }
    /// The complete reply; the reader then waits for the next one.
    RedisReply take();

private:
    struct Frame {
        RedisReply::Array items;
        std::uint64_t left;
        bool attribute;    // RESP3's '|': read and dropped, the value follows it
    };
    Status take_line();
    Status open(std::uint64_t items, bool attribute);
    Status charge(std::uint64_t bytes);
    void deliver(RedisReply reply);

    std::size_t size_max_, size_ = 0;
    std::string line_, bulk_;
    std::uint64_t bulk_left_ = 0;    // with its CR LF
    bool in_bulk_ = false, bulk_is_refusal_ = false, bulk_is_verbatim_ = false;
    std::vector<Frame> frames_;
    RedisReply reply_;
    bool complete_ = false;
};

}    // namespace holdfast::db
