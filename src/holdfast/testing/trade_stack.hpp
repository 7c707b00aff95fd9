#pragma once
// All around one account's engine, as real processes: PostgreSQL with the lease, a Redis master with two replicas under three
// Sentinels, ClickHouse, the paper broker, and `holdfast trade run` with its DuckDB file. Each can be killed while signals flow; at
// the end the broker's book is compared with what the stores hold.
//
//   programs  from the folder of the running program
//   threads   one; the feed has its own

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/ledger/uuid.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_sentinels.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::testing {

class TradeStack {
public:
    struct Options {
        std::vector<std::string> broker = {"walk_ms=50", "seed=7", "partial=0.05"};    // of holdfast-paper-broker
        std::string profile = "ea";
        unsigned hosts = 1;    // engines of the account, each with a journal and a DuckDB file of its own
    };
    /// The engine is not started yet.
    static Result<std::unique_ptr<TradeStack>> start(const Options& options);
    ~TradeStack();

    enum class Part { engine, redis, clickhouse, postgres, broker, line };
    static constexpr Part k_parts[] = {Part::engine,   Part::redis,  Part::clickhouse,
                                       Part::postgres, Part::broker, Part::line};
    static std::string_view name_of(Part part);
    /// kill -9, and gone when it returns. redis: the server that is master now; line: the broker's session is cut.
    Status kill(Part part);
    /// Starts it again on what it left; redis: all servers that are down.
    Status bring_back(Part part);

    Status start_engine(unsigned host = 0);
    /// SIGTERM; its exit status must be 0.
    Status stop_engine(unsigned host = 0);
    void kill_engine(unsigned host) { engines_[host].reset(); }
    void signal_engine(unsigned host, int signal) { engines_[host]->kill(signal); }
    /// Its journal is gone, as with its disk.
    Status lose_journal(unsigned host = 0);
    /// What `holdfast trade status --json` says.
    Result<json::Value> status(unsigned host = 0) const;
    /// Until the gate is open (60 s at most).
    Status wait_for_gate(unsigned host = 0) const;
    /// Until no order is open and every store has all facts (120 s at most).
    Status wait_until_settled(unsigned host = 0) const;

    const std::string& folder() const { return folder_.path(); }
    std::string place(unsigned host) const { return folder_.path() + (host == 0 ? "/a" : "/b"); }
    std::string config_file(unsigned host = 0) const { return place(host) + "/holdfast.toml"; }
    std::string socket(unsigned host = 0) const { return place(host) + "/journal/engine.sock"; }
    /// The end of what the engine has said.
    std::string log_tail(unsigned host = 0) const;

    /// `holdfast --config … WORDS`, on this host.
    Result<os::Finished> holdfast(const std::vector<std::string>& words, unsigned host = 0) const;
    /// A statement without rows.
    Status clickhouse(const std::string& statement) const;
    /// One command to the Redis that is master now; the reply as it stands on the wire.
    Result<std::string> redis(const std::vector<std::string>& command);

    struct Compared {
        std::string store;
        std::size_t executions = 0, missing = 0, unknown = 0, different = 0;
        bool equal() const { return missing + unknown + different == 0; }
    };
    struct Comparison {
        std::size_t orders = 0, executions = 0;    // in the broker's book
        std::size_t refused_twice = 0;    // orders that reached the broker a second time
        std::size_t overfilled = 0;    // signals of which more was executed than they asked for
        std::vector<Compared> stores;
        bool equal() const;
    };
    /// The engines must have been stopped: DuckDB's file has one owner. With several hosts DuckDB counts as all files together.
    Result<Comparison> compare();

private:
    explicit TradeStack(os::TempFolder folder, PostgresServer postgres, ClickHouseServer clickhouse);
    Status write_config(const Options& options, unsigned host);
    Status start_broker();
    Result<std::size_t> redis_master() const;

    os::TempFolder folder_;
    PostgresServer postgres_;
    ClickHouseServer clickhouse_;
    std::vector<RedisServer> redis_;
    std::optional<RedisSentinels> sentinels_;
    std::vector<std::string> broker_words_;
    std::string broker_address_;
    std::optional<os::Process> broker_;
    std::vector<std::optional<os::Process>> engines_;
};

/// Producers: signals over an engine's Unix socket, at a steady rate, each batch again, at the next socket, until it was taken.
class SignalFeed {
public:
    SignalFeed(std::vector<std::string> sockets, unsigned per_second, unsigned producers = 2);
    ~SignalFeed();
    /// No new ones; returns when every signal that was begun has its answer (60 s at most).
    Status finish();

    std::uint64_t acknowledged() const { return acknowledged_; }
    std::uint64_t refused() const { return refused_; }
    /// How many orders it asked for, each of quantity one.
    std::uint64_t begun() const { return begun_; }

private:
    void produce();
    const std::vector<std::string> sockets_;
    const unsigned per_second_, producers_;
    std::atomic<bool> finishing_ = false, giving_up_ = false;
    std::atomic<std::uint64_t> begun_ = 0, acknowledged_ = 0, refused_ = 0;
    std::atomic<unsigned> running_ = 0;
    std::vector<std::thread> threads_;
};

}    // namespace holdfast::testing
