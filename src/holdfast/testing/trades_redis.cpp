// Redis by redis-cli: RESP in through --pipe, a Lua script for the digest.

#include <fmt/format.h>

#include <chrono>

#include "holdfast/os/process.hpp"
#include "holdfast/testing/trades.hpp"
#include "holdfast/testing/trades_stores.hpp"

namespace holdfast::testing {
namespace {

constexpr unsigned k_positions = 2400;

// Every key of both databases in the order of its name: kind, content, expiry, chained by SHA-1.
constexpr const char* k_digest_script = R"(
local function flat(v)
  if type(v) ~= 'table' then return tostring(v) end
  local t = {}
  for i, x in ipairs(v) do t[i] = flat(x) end
  return '(' .. table.concat(t, ',') .. ')'
end
local readers = {
  string = function(k) return redis.call('GET', k) end,
  zset = function(k) return redis.call('ZRANGE', k, 0, -1, 'WITHSCORES') end,
  stream = function(k) return redis.call('XRANGE', k, '-', '+') end,
  hash = function(k)
    local fields = redis.call('HKEYS', k)
    table.sort(fields)
    for i, f in ipairs(fields) do fields[i] = {f, redis.call('HGET', k, f)} end
    return fields
  end,
}
local total, digest = 0, ''
for db = 0, 1 do
  redis.call('SELECT', db)
  local keys = redis.call('KEYS', '*')
  table.sort(keys)
  for _, k in ipairs(keys) do
    local kind = redis.call('TYPE', k).ok
    digest = redis.sha1hex(digest .. db .. k .. kind .. flat(readers[kind](k)) .. redis.call('PEXPIRETIME', k))
    total = total + 1
  end
end
redis.call('SELECT', 0)
return total .. ' ' .. digest)";

class Pipeline {
public:
    void add(std::initializer_list<std::string_view> words) {
        fmt::format_to(std::back_inserter(text_), "*{}\r\n", words.size());
        for (const std::string_view word : words)
            fmt::format_to(std::back_inserter(text_), "${}\r\n{}\r\n", word.size(), word);
    }
    Status send(std::uint16_t port) const {
        os::Command command;
        command.arguments = {"redis-cli", "-p", fmt::to_string(port), "--pipe"};
        HF_TRY(const os::Finished done, os::run(std::move(command), text_, std::chrono::minutes(2)));
        if (!done.status.ok() || done.output.find("errors: 0,") == std::string::npos)
            return fail(ErrorCode::store, fmt::format("redis-cli --pipe: {} {}", done.output, done.errors));
        return {};
    }

private:
    std::string text_;
};

void add_order(Pipeline& to, const Order& o) {
    to.add({"SET", fmt::format("order:{}", o.id),
            fmt::format(R"({{"client_id":"{}","symbol":"{}","side":"{}","quantity":{},"price":{},"status":"{}"}})",
                        o.client_id, o.symbol, o.side, o.quantity, decimal_price(o.price), o.status)});
    if (o.id % 8 == 0) to.add({"ZADD", fmt::format("open:{}", o.symbol), decimal_price(o.price), fmt::to_string(o.id)});
}

void add_signal(Pipeline& to, const Order& o) {
    to.add({"XADD", "signals", fmt::format("{}-{}", o.created_at / 1000, o.id % 1000), "symbol", o.symbol, "side",
            o.side, "quantity", fmt::to_string(o.quantity)});
}

// Absolute, so that both sides of a restore hold the same expiry.
void add_idempotency_key(Pipeline& to, const Order& o, std::int64_t expires_ms) {
    to.add({"SET", fmt::format("seen:{}", o.client_id), "1", "PXAT", fmt::to_string(expires_ms)});
}

void add_position(Pipeline& to, const Position& p) {
    to.add({"HSET", fmt::format("position:ACC-{:05}:{}", p.account, p.symbol), "quantity", fmt::to_string(p.quantity),
            "average_price", decimal_price(p.average_price), "realized_profit", fmt::to_string(p.realized_profit)});
}

std::int64_t in_a_day_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>((system_clock::now() + hours(24)).time_since_epoch()).count();
}

}    // namespace

Status fill_redis(std::uint16_t port, const TradeAmounts& amounts) {
    const Desk desk(amounts.seed);
    const std::int64_t expires_ms = in_a_day_ms();
    Pipeline pipeline;
    for (std::uint64_t i = 0; i < amounts.order_states; ++i) {
        add_order(pipeline, desk.order(i));
        if (i % 4 == 0) add_signal(pipeline, desk.order(i));
    }
    for (unsigned i = 0; i < k_positions; ++i) add_position(pipeline, desk.position(i));
    pipeline.add({"SELECT", "1"});
    for (std::uint64_t i = 0; i < amounts.order_states / 3; ++i)
        add_idempotency_key(pipeline, desk.order(i), expires_ms + static_cast<std::int64_t>(i));
    return pipeline.send(port);
}

Status change_redis(std::uint16_t port, const TradeAmounts& amounts) {
    const Desk desk(amounts.seed);
    Pipeline pipeline;
    const std::uint64_t share = amounts.order_states / 100;
    for (std::uint64_t i = 0; i < share / 2; ++i) {
        add_order(pipeline, desk.order(i * 200 % amounts.order_states, 1));
        add_order(pipeline, desk.order(amounts.order_states + i));
        add_signal(pipeline, desk.order(amounts.order_states + i));
    }
    for (unsigned i = 0; i < k_positions / 100; ++i) add_position(pipeline, desk.position(i * 100, 1));
    for (std::uint64_t i = 1; i <= share / 10; ++i)
        pipeline.add({"DEL", fmt::format("order:{}", desk.order(i * 31).id)});
    return pipeline.send(port);
}

Result<Counts> count_redis(std::uint16_t port) {
    os::Command command;
    command.arguments = {"redis-cli", "-p", fmt::to_string(port), "EVAL", k_digest_script, "0"};
    HF_TRY(const os::Finished done, os::run(std::move(command), {}, std::chrono::minutes(2)));
    const auto space = done.output.find(' ');
    if (!done.status.ok() || space == std::string::npos || done.output.find_first_not_of("0123456789") != space)
        return fail(ErrorCode::store, fmt::format("redis-cli EVAL: {} {}", done.output, done.errors));
    return Counts{{"redis keys, both databases", std::stoull(done.output), done.output.substr(space + 1, 40)}};
}

}    // namespace holdfast::testing
