#pragma once
// The state as the stores tell it, for an engine whose journal is lost: Redis, then DuckDB, then ClickHouse. What the broker says
// comes after it and counts more.
//
//   promises   an order that several stores know is taken once, as the store tells it that has the newest fact about it (by
//              version, whichever instance noted it); closed stays closed; an execution counts once, by its ID, also where the
//              order's own row does not count it yet
//   limits     a store that does not answer is said and left out: the result is then not complete
//   threads    one

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "holdfast/trade/clickhouse_sink.hpp"
#include "holdfast/trade/duckdb_sink.hpp"
#include "holdfast/trade/redis_sink.hpp"

namespace holdfast::trade {

/// Not owned; null: this stack has none.
struct Stores {
    RedisSink* redis = nullptr;
    DuckDbSink* duckdb = nullptr;
    ClickHouseSink* clickhouse = nullptr;
};

struct FoundOrder {
    ledger::Order order;
    std::vector<std::string> executions;    // IDs that are counted in `order.filled`
    std::string where;    // whose row it is: "redis", "duckdb", "clickhouse"
};

struct RebuildStep {
    std::string store;
    std::size_t orders = 0, fresh_orders = 0;    // read; of these unknown to the stores before, or newer
    std::size_t executions = 0, fresh_executions = 0;
    std::optional<Error> error;    // nothing of this store was used
};

struct Rebuilt {
    std::vector<FoundOrder> open, closed;    // by the time at which they were accepted
    /// All that were found, also of orders that no store knows.
    std::vector<ledger::Execution> executions;
    /// Those of them that the history (ClickHouse; DuckDB in a stack without it) did not tell of.
    std::vector<ledger::Execution> lacking;
    std::vector<RebuildStep> steps;
    bool complete = true;    // every store answered
};

/// Orders that changed at or after `since`, all open ones, and the executions of both. `said` is told each step as it ends.
Rebuilt rebuild_from_stores(const Stores& stores, Timestamp since,
                            const std::function<void(const RebuildStep&)>& said = {});

}    // namespace holdfast::trade
