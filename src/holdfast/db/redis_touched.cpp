#include "holdfast/db/redis_touched.hpp"

#include <algorithm>
#include <array>

namespace holdfast::db {
namespace {

constexpr std::size_t k_names_max = 1'000'000;

// Commands that write, as a server of version 7 sends them to replicas, each of which names all keys that it reads or writes.
// Not among them: FLUSHALL, FLUSHDB, SWAPDB (whole databases), SORT (BY and GET make names of patterns), EVAL and FCALL.
// FUNCTION: all libraries are taken along anyway. Sorted.
constexpr std::array k_known = std::to_array<std::string_view>({
    "APPEND",
    "BITFIELD",
    "BITOP",
    "BLMOVE",
    "BLMPOP",
    "BLPOP",
    "BRPOP",
    "BRPOPLPUSH",
    "BZMPOP",
    "BZPOPMAX",
    "BZPOPMIN",
    "COPY",
    "DECR",
    "DECRBY",
    "DEL",
    "EXEC",
    "EXPIRE",
    "EXPIREAT",
    "FUNCTION",
    "GEOADD",
    "GEORADIUS",
    "GEORADIUSBYMEMBER",
    "GEOSEARCHSTORE",
    "GETDEL",
    "GETEX",
    "GETSET",
    "HDEL",
    "HINCRBY",
    "HINCRBYFLOAT",
    "HMSET",
    "HSET",
    "HSETNX",
    "INCR",
    "INCRBY",
    "INCRBYFLOAT",
    "LINSERT",
    "LMOVE",
    "LMPOP",
    "LPOP",
    "LPUSH",
    "LPUSHX",
    "LREM",
    "LSET",
    "LTRIM",
    "MOVE",
    "MSET",
    "MSETNX",
    "MULTI",
    "PERSIST",
    "PEXPIRE",
    "PEXPIREAT",
    "PFADD",
    "PFCOUNT",
    "PFMERGE",
    "PSETEX",
    "PUBLISH",
    "RENAME",
    "RENAMENX",
    "RESTORE",
    "RPOP",
    "RPOPLPUSH",
    "RPUSH",
    "RPUSHX",
    "SADD",
    "SDIFFSTORE",
    "SELECT",
    "SET",
    "SETBIT",
    "SETEX",
    "SETNX",
    "SETRANGE",
    "SINTERSTORE",
    "SMOVE",
    "SPOP",
    "SPUBLISH",
    "SREM",
    "SUNIONSTORE",
    "UNLINK",
    "XACK",
    "XADD",
    "XAUTOCLAIM",
    "XCLAIM",
    "XDEL",
    "XGROUP",
    "XREADGROUP",
    "XSETID",
    "XTRIM",
    "ZADD",
    "ZDIFFSTORE",
    "ZINCRBY",
    "ZINTERSTORE",
    "ZMPOP",
    "ZPOPMAX",
    "ZPOPMIN",
    "ZRANGESTORE",
    "ZREM",
    "ZREMRANGEBYLEX",
    "ZREMRANGEBYRANK",
    "ZREMRANGEBYSCORE",
    "ZUNIONSTORE",
});
static_assert(std::ranges::is_sorted(k_known));

}    // namespace

void RedisTouched::command(std::string_view name) {
    names_all_ = names_all_ && std::ranges::binary_search(k_known, name);
    hash_ = k_start;
}

void RedisTouched::end_argument() {
    if (names_.size() < k_names_max)
        names_.insert(hash_);
    else
        names_all_ = false;
    hash_ = k_start;
}

}    // namespace holdfast::db
