#pragma once
// ClickHouse as the permanent history: every execution for ever, the state of orders for 30 days.
//
//   promises   a batch counts when its rows were seen in the tables; only then the watermark is written. A batch whose answer was
//              lost is looked for before it is sent again, and sent again with the same bytes; what is there twice all the same
//              is one row to whoever reads with FINAL
//   servers    18.16 to 26: codecs, TTL, deduplication by token and fsync where the server knows them; without TTL old
//              partitions of `orders` are dropped once a day
//   threads    one at a time
//   source     docs/formats/trade-stores.md

#include <optional>
#include <string>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/trade/sink.hpp"

namespace holdfast::trade {

struct ClickHouseSinkOptions {
    db::clickhouse::Server server;    // idle_max is the patience with one answer
    std::string database = "holdfast";
    std::string account;
    std::string journal;    // whose watermark it is: Journal::identity()
    std::uint32_t orders_kept_days = 30;
};

class ClickHouseSink final : public Sink {
public:
    ClickHouseSink(ClickHouseSinkOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}

    std::string_view name() const override { return "clickhouse"; }
    std::size_t batch_max() const override { return 65'000; }
    Result<ledger::Sequence> watermark() override;
    Status apply(ledger::Sequence after, std::span<const ledger::Change> changes) override;

    /// For reports, reconciliation and recovery.
    Result<db::clickhouse::Rows> rows(const std::string& query);
    const ClickHouseSinkOptions& options() const { return options_; }

private:
    struct Batch;    // rows of one table
    Status connect();
    Status make_tables();
    Result<ledger::Sequence> read_mark();
    Status insert(const Batch& batch);
    /// `look_first`: it may be there already.
    Status write(const Batch& batch, bool look_first);
    Result<bool> is_there(const Batch& batch);
    Status drop_old(Timestamp now);
    template <class Work>
    auto with_client(const Work& work) -> decltype(work());
    std::string table(std::string_view name) const;

    ClickHouseSinkOptions options_;
    const Clock& clock_;
    std::optional<db::clickhouse::Client> client_;
    bool modern_ = false;    // knows codecs, TTL and tokens
    db::clickhouse::Settings insert_settings_;
    bool in_doubt_ = false;    // the last batch may be there
    unsigned token_ = 0;    // counts tokens that the server took for rows that are not there
    std::int64_t swept_day_ = 0;
};

/// SELECT of all orders (executions) of an account, newest version each, with values as trade/rows.hpp reads them, then the
/// version. `where` begins with AND.
std::string clickhouse_select_orders(std::string_view database, std::string_view account, std::string_view where);
std::string clickhouse_select_executions(std::string_view database, std::string_view account, std::string_view where);

}    // namespace holdfast::trade
