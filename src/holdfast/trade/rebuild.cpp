#include "holdfast/trade/rebuild.hpp"

#include <fmt/core.h>

#include <algorithm>

#include <charconv>
#include <unordered_set>

#include "holdfast/trade/rows.hpp"

namespace holdfast::trade {
namespace {

// What one store told.
struct Told {
    struct Row {
        ledger::Order order;
        std::uint64_t version = 0;
    };
    std::vector<Row> orders;
    std::vector<ledger::Execution> executions;
};

template <class Row>
Result<std::pair<Row, std::uint64_t>> read_fields(const RowReader::Lookup& lookup, std::string_view what) {
    HF_TRY(Row row, read_row<Row>(lookup, what));
    std::uint64_t version = 0;
    if (const auto text = lookup("version")) std::from_chars(text->data(), text->data() + text->size(), version);
    return std::pair{std::move(row), version};
}

// Fields in the order of the columns, then the version.
template <class Row, class Field>
Result<std::pair<Row, std::uint64_t>> read_values(const std::vector<Field>& values, std::string_view what) {
    static const std::vector<std::string_view> names = [] {
        auto all = column_names<Row>();
        all.push_back("version");
        return all;
    }();
    return read_fields<Row>(
        [&](std::string_view name) -> std::optional<std::string_view> {
            const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
            if (at >= values.size()) return std::nullopt;
            if constexpr (std::is_same_v<Field, std::string>) {
                return values[at];
            } else {
                return values[at] ? std::optional<std::string_view>(*values[at]) : std::nullopt;
            }
        },
        what);
}

using Fields = std::map<std::string, std::string, std::less<>>;
RowReader::Lookup lookup_in(const Fields& fields) {
    return [&](std::string_view name) -> std::optional<std::string_view> {
        const auto at = fields.find(name);
        return at == fields.end() ? std::nullopt : std::optional<std::string_view>(at->second);
    };
}
Fields fields_of(const db::RedisReply& reply) {
    Fields fields;
    for (std::size_t i = 0; i + 1 < reply.items().size(); i += 2)
        fields[reply.items()[i].text()] = reply.items()[i + 1].text();
    return fields;
}

Result<Told> ask_redis(RedisSink& sink, const std::string& account, Timestamp since) {
    Told told;
    RedisLink& link = sink.link();
    std::string cursor = "0";
    do {
        HF_TRY(const auto page, link.command({"SCAN", cursor, "MATCH", redis_key(account, "rts:*"), "COUNT", "1000"}));
        if (page.items().size() != 2)
            return fail(ErrorCode::corrupt, link.peer() + " answers SCAN with something else");
        cursor = page.items()[0].text();
        for (const db::RedisReply& key : page.items()[1].items()) {
            HF_TRY(const auto hash, link.command({"HGETALL", key.text()}));
            if (hash.items().empty()) continue;    // expired meanwhile
            const Fields fields = fields_of(hash);
            HF_TRY(auto row, read_fields<ledger::Order>(lookup_in(fields), key.text() + " on " + link.peer()));
            if (!is_closed(row.first.state) || row.first.changed_at >= since)
                told.orders.push_back({std::move(row.first), row.second});
        }
    } while (cursor != "0");
    const std::string results = redis_key(account, "rtrs");
    for (std::string from = "-";;) {
        HF_TRY(const auto page, link.command({"XRANGE", results, from, "+", "COUNT", "1000"}));
        if (page.items().empty()) break;
        for (const db::RedisReply& entry : page.items()) {
            if (entry.items().size() != 2) continue;
            const Fields fields = fields_of(entry.items()[1]);
            if (!fields.contains("execution_id")) continue;
            HF_TRY(auto row, read_fields<ledger::Execution>(lookup_in(fields), results + " on " + link.peer()));
            told.executions.push_back(std::move(row.first));
        }
        from = "(" + page.items().back().items()[0].text();
    }
    return told;
}

// The oldest execution that may belong to what was read.
std::int64_t executions_since(const Told& told, Timestamp since) {
    std::int64_t oldest = since.nanoseconds;
    for (const auto& row : told.orders) oldest = std::min(oldest, row.order.accepted_at.nanoseconds);
    // The broker's clock is not ours.
    constexpr std::int64_t k_hour = 3'600'000'000'000;
    return oldest > std::numeric_limits<std::int64_t>::min() + k_hour ? oldest - k_hour : oldest;
}

constexpr std::string_view k_closed = "state IN ('filled', 'rejected', 'cancelled', 'expired', 'failed')";

Result<Told> ask_duckdb(DuckDbSink& sink, Timestamp since) {
    Told told;
    HF_TRY(const auto orders,
           sink.query(duckdb_select_orders(
               fmt::format("WHERE NOT {} OR changed_at >= make_timestamp_ns({})", k_closed, since.nanoseconds))));
    for (const auto& values : orders.rows) {
        HF_TRY(auto row, read_values<ledger::Order>(values, "an order in DuckDB"));
        told.orders.push_back({std::move(row.first), row.second});
    }
    HF_TRY(const auto executions, sink.query(duckdb_select_executions(fmt::format(
                                      "WHERE executed_at >= make_timestamp_ns({})", executions_since(told, since)))));
    for (const auto& values : executions.rows) {
        HF_TRY(auto row, read_values<ledger::Execution>(values, "an execution in DuckDB"));
        told.executions.push_back(std::move(row.first));
    }
    return told;
}

Result<Told> ask_clickhouse(ClickHouseSink& sink, Timestamp since) {
    Told told;
    const auto& [server, database, account, journal, days] = sink.options();
    HF_TRY(const auto orders,
           sink.rows(clickhouse_select_orders(
               database, account, fmt::format("AND (NOT {} OR changed_at >= {})", k_closed, since.nanoseconds))));
    for (const auto& values : orders) {
        HF_TRY(auto row, read_values<ledger::Order>(values, "an order in ClickHouse"));
        told.orders.push_back({std::move(row.first), row.second});
    }
    HF_TRY(const auto executions,
           sink.rows(clickhouse_select_executions(
               database, account, fmt::format("AND executed_at >= {}", executions_since(told, since)))));
    for (const auto& values : executions) {
        HF_TRY(auto row, read_values<ledger::Execution>(values, "an execution in ClickHouse"));
        told.executions.push_back(std::move(row.first));
    }
    return told;
}

class Merge {
public:
    explicit Merge(std::string_view history) : history_(history) {}

    RebuildStep add(std::string_view store, Told told) {
        RebuildStep step{std::string(store), told.orders.size(), 0, told.executions.size(), 0, {}};
        for (auto& [order, version] : told.orders) {
            const auto [at, is_new] = orders_.try_emplace(order.id);
            Known& known = at->second;
            // Closed is final; else the newest fact counts.
            const bool better =
                is_new || (is_closed(order.state) != is_closed(known.order.state) ? is_closed(order.state)
                                                                                  : version > known.version);
            if (!better) continue;
            known = {std::move(order), version, std::string(store)};
            ++step.fresh_orders;
        }
        for (auto& execution : told.executions) {
            std::string id = execution.id;
            if (store == history_) in_history_.insert(id);
            step.fresh_executions += executions_.try_emplace(std::move(id), std::move(execution)).second;
        }
        return step;
    }

    void finish(Rebuilt& result) {
        std::unordered_map<ledger::Uuid, std::vector<const ledger::Execution*>> of_order;
        for (const auto& [id, execution] : executions_) {
            of_order[execution.order].push_back(&execution);
            result.executions.push_back(execution);
            if (!in_history_.contains(id)) result.lacking.push_back(execution);
        }
        for (auto& [id, known] : orders_) {
            FoundOrder found{std::move(known.order), {}, std::move(known.where)};
            count(found, of_order[id]);
            (is_closed(found.order.state) ? result.closed : result.open).push_back(std::move(found));
        }
        const auto by_time = [](const FoundOrder& a, const FoundOrder& b) {
            return std::tie(a.order.accepted_at, a.order.id) < std::tie(b.order.accepted_at, b.order.id);
        };
        std::sort(result.open.begin(), result.open.end(), by_time);
        std::sort(result.closed.begin(), result.closed.end(), by_time);
        std::sort(result.executions.begin(), result.executions.end(), [](const auto& a, const auto& b) {
            return std::tie(a.executed_at, a.id) < std::tie(b.executed_at, b.id);
        });
    }

private:
    struct Known {
        ledger::Order order;
        std::uint64_t version = 0;
        std::string where;
    };

    // A store may hold an execution whose effect on the order it, or another one, has not been told yet: counted again by the same
    // rules as the engine's own. Fewer executions than the order counts are no reason to count less.
    static void count(FoundOrder& found, const std::vector<const ledger::Execution*>& executions) {
        ledger::Decimal sum;
        for (const ledger::Execution* execution : executions) {
            sum += execution->quantity;
            found.executions.push_back(execution->id);
        }
        std::sort(found.executions.begin(), found.executions.end());
        ledger::Order& order = found.order;
        if (sum <= order.filled) return;
        ledger::Book book;
        ledger::Order empty = order;
        empty.filled = empty.filled_value = {};
        if (is_closed(empty.state)) empty.state = ledger::OrderState::acked;
        book.apply({order.changed_at, ledger::OrderFound{empty, {}, found.where}});
        ledger::Order counted = empty;
        for (const ledger::Execution* execution : executions) {
            // More than was asked for closes the order early; what comes after it is counted by hand no more.
            const ledger::Order* after = book.apply({order.changed_at, ledger::OrderExecuted{*execution}});
            if (after != nullptr) counted = *after;
        }
        if (is_closed(order.state) && order.state != ledger::OrderState::filled) counted.state = order.state;
        order = std::move(counted);
    }

    std::unordered_map<ledger::Uuid, Known> orders_;
    const std::string_view history_;
    std::unordered_set<std::string> in_history_;
    std::map<std::string, ledger::Execution> executions_;
};

}    // namespace

Rebuilt rebuild_from_stores(const Stores& stores, Timestamp since,
                            const std::function<void(const RebuildStep&)>& said) {
    Rebuilt result;
    Merge merge(stores.clickhouse != nullptr ? "clickhouse" : "duckdb");
    const auto step = [&](std::string_view store, Result<Told> told) {
        RebuildStep done;
        if (told) {
            done = merge.add(store, *std::move(told));
        } else {
            done.store = store;
            done.error = std::move(told).error();
            result.complete = false;
        }
        if (said) said(done);
        result.steps.push_back(std::move(done));
    };
    if (stores.redis != nullptr) step("redis", ask_redis(*stores.redis, stores.redis->account(), since));
    if (stores.duckdb != nullptr) step("duckdb", ask_duckdb(*stores.duckdb, since));
    if (stores.clickhouse != nullptr) step("clickhouse", ask_clickhouse(*stores.clickhouse, since));
    merge.finish(result);
    return result;
}

}    // namespace holdfast::trade
