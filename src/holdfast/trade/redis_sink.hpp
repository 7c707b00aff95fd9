#pragma once
// Redis as the current state: open orders, results until ClickHouse has them, instances. All keys of an account carry one hash
// tag, so that they lie in one slot of a cluster; a batch is one function call, so that it is there as a whole or not at all.
//
//   order     what an order's hash tells is replaced only by something newer (ledger::version_of), whichever instance writes it
//   fencing   every batch carries the token of the lease. A token older than the highest one seen is refused (denied) and
//             nothing of the batch is written
//   limits    tokens and sequences below 2^53: Lua counts in doubles
//   source    docs/formats/trade-stores.md

#include <map>
#include <optional>
#include <string>

#include "holdfast/trade/redis_link.hpp"
#include "holdfast/trade/sink.hpp"

namespace holdfast::trade {

struct RedisSinkOptions {
    std::string account;    // letters, digits, '_', '-', '.'
    std::string journal;    // whose watermark it is: Journal::identity()
    std::uint64_t token = 0;    // of the session that writes
    Duration closed_kept = std::chrono::hours(24 * 30);    // closed orders, counted from when they closed
    /// Results of earlier sessions, other instances' too, stay in the stream until ClickHouse has this journal's facts up to here.
    ledger::Sequence trim_after = 0;
};

/// "hf:{acct}:" and what follows: "mark:<journal>", "fence", "rtrs", "rts:<order>", "ris:<instance>", "prefs".
std::string redis_key(std::string_view account, std::string_view rest);

class RedisSink final : public Sink {
public:
    RedisSink(RedisLink link, RedisSinkOptions options) : link_(std::move(link)), options_(std::move(options)) {}

    std::string_view name() const override { return "redis"; }
    std::size_t batch_max() const override { return 1000; }
    Result<ledger::Sequence> watermark() override;
    Status apply(ledger::Sequence after, std::span<const ledger::Change> changes) override;

    /// From here on older tokens are refused. Before the first batch of a session.
    Status claim();
    /// Tells that this instance lives, and what it does; gone `kept` after the last beat.
    Status beat(std::string_view instance, const std::map<std::string, std::string>& facts, Duration kept);
    /// The user's settings of this account; kept for 30 days after the last change.
    Result<std::map<std::string, std::string>> preferences();
    Status set_preference(std::string_view name, std::string_view value);

    RedisLink& link() { return link_; }
    const std::string& account() const { return options_.account; }

private:
    Result<db::RedisReply> call(std::span<const std::string> keys, std::span<const std::string> arguments);
    Status outcome(const db::RedisReply& reply) const;
    Status set_fields(const std::string& name, const std::map<std::string, std::string>& fields, Duration kept);
    std::string key(std::string_view rest) const { return redis_key(options_.account, rest); }
    std::string mark_key() const { return key("mark:" + options_.journal); }

    RedisLink link_;
    RedisSinkOptions options_;
    bool functions_ = true;    // false: a server before 7, which has EVAL only
    std::optional<ledger::Sequence> earlier_;    // what this journal had written before this session
};

}    // namespace holdfast::trade
