#pragma once
// The demo's stack: four real stores, configuration and logs of a made-up trading desk, all below one folder or in the
// servers' own temporary ones; everything dies with this object.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/testing/trades_stores.hpp"
#include "holdfast/testing/trades_writer.hpp"

namespace holdfast::demo {

/// Everything but DuckDB's executions, which are compared commit by commit.
using Counted = testing::Counted;
using Counts = testing::Counts;
using Batches = std::vector<testing::BatchProof>;

class Stack {
public:
    static Result<std::unique_ptr<Stack>> start(const std::string& folder);

    Status fill();
    Status change();
    Result<Counts> count() const;
    /// The file must be nobody's: after crash(), or after a restore.
    Result<Batches> prove_duckdb() const { return testing::prove_trades_file(duckdb_path()); }
    /// The last batch whose commit DuckDB has acknowledged to the writer.
    std::uint64_t acknowledged() const { return writer_->acknowledged(); }

    /// kill -9 to all four.
    void crash();
    /// The disks are gone: every data folder, the configuration, the logs. Then empty servers, as after an installation;
    /// Redis stays down, for its dump must lie there before it starts.
    Status wipe();
    /// Whether holdfast has asked for Redis (its start_command); starts it once.
    Status start_redis_if_asked();

    /// holdfast.toml for all of it.
    std::string configuration(const std::string& repository, const std::string& password_file) const;

private:
    Stack(std::string folder, testing::RedisServer redis, testing::PostgresServer postgres,
          testing::ClickHouseServer clickhouse);
    std::string config_folder() const { return folder_ + "/config"; }
    std::string logs_folder() const { return folder_ + "/logs"; }
    std::string duckdb_path() const { return folder_ + "/duckdb/executions.duckdb"; }
    std::string ask_for_redis_path() const { return folder_ + "/start-redis"; }
    std::uint16_t clickhouse_port() const;

    std::string folder_;
    testing::TradeAmounts amounts_;
    testing::RedisServer redis_;
    testing::PostgresServer postgres_;
    testing::ClickHouseServer clickhouse_;
    std::unique_ptr<testing::TradesWriter> writer_;
};

}    // namespace holdfast::demo
