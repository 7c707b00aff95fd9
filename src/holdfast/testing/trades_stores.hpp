#pragma once
// Trades in real stores: fill them, change one per cent, and count and digest what they hold. The digests are made by the
// stores' own query languages and share nothing with holdfast's own proofs: they are the second opinion of the demo.
//
//   shape    PostgreSQL  database trading: accounts, orders, executions
//            Redis       db 0: orders (strings), positions (hashes), signals (stream), open orders (sorted set);
//                        db 1: idempotency keys that expire in a day
//            ClickHouse  database trading: ticks, partitioned by day
//            files       config/ with a link and a key that only its owner reads, logs/ of JSON lines
//   errors   store: what the server or its tool said

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/testing/postgres_server.hpp"

namespace holdfast::testing {

struct TradeAmounts {
    std::uint64_t seed = 42;
    std::uint64_t orders = 80'000;    // PostgreSQL; as many executions
    std::uint64_t order_states = 30'000;    // Redis; plus positions, signals and idempotency keys
    std::uint64_t ticks = 200'000;    // ClickHouse
    std::uint64_t log_lines = 20'000;
};

/// What one table (or the like) holds.
struct Counted {
    std::string what;
    std::uint64_t rows = 0;
    std::string digest;
    bool operator==(const Counted&) const = default;
};
using Counts = std::vector<Counted>;

Status fill_postgres(const PostgresServer& server, const TradeAmounts& amounts);
/// New orders and executions, young orders updated, old ones deleted: one per cent in all. The same below.
Status change_postgres(const PostgresServer& server, const TradeAmounts& amounts);
Result<Counts> count_postgres(const PostgresServer& server);

Status fill_redis(std::uint16_t port, const TradeAmounts& amounts);
Status change_redis(std::uint16_t port, const TradeAmounts& amounts);
Result<Counts> count_redis(std::uint16_t port);

Status fill_clickhouse(std::uint16_t http_port, const TradeAmounts& amounts);
Status change_clickhouse(std::uint16_t http_port, const TradeAmounts& amounts);
Result<Counts> count_clickhouse(std::uint16_t http_port);

Status fill_files(const std::string& config, const std::string& logs, const TradeAmounts& amounts);
Status change_files(const std::string& config, const std::string& logs, const TradeAmounts& amounts);
/// Content, names, kinds, modes and link targets.
Result<Counted> count_files(const std::string& what, const std::string& folder);

}    // namespace holdfast::testing
