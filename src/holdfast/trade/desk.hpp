#pragma once
// The trade engine of one account with all that belongs to it: the engine (trade/service.hpp), the ways in, the projections into
// the stores, the watch over its links, and the door for commands.
//
//   start     the ways in are open at once and answer `unavailable` until the lease is held. With it the stores are
//             brought level and, when others may have traded, asked for what they know; then the gate opens
//   door      beside what trade/http_intake.hpp offers:
//               GET  /v1/status        what status() says
//               GET  /v1/orders        the open ones
//             and on the Unix socket only:
//               POST /v1/trading       {"on": false, "who": "…"}
//               POST /v1/resume-sync   {"store": "clickhouse"}, or {} for all
//               POST /v1/cancel        {"order": "UUID"}
//               POST /v1/reconcile     {"repair": true}: what reconcile() says
//               POST /v1/confirmed     {"sequence": N}: the vault has the journal up to there
//   stop      nothing more is taken, what was taken is durable, the lease is given back, the stores get `drain` to catch up
//   threads   all calls from any

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/trade/broker_watch.hpp"
#include "holdfast/trade/clickhouse_sink.hpp"
#include "holdfast/trade/duckdb_sink.hpp"
#include "holdfast/trade/http_intake.hpp"
#include "holdfast/trade/projection.hpp"
#include "holdfast/trade/redis_intake.hpp"
#include "holdfast/trade/redis_sink.hpp"
#include "holdfast/trade/service.hpp"

namespace holdfast::broker {
class PaperControl;
}

namespace holdfast::trade {

struct DeskOptions {
    ServiceOptions service;    // `sinks` and `notify` are filled in here
    std::unique_ptr<broker::Broker> broker;
    std::unique_ptr<LeaseStore> lease;
    /// What the account does without is left out.
    std::optional<RedisPlace> redis;
    std::optional<DuckDbSinkOptions> duckdb;
    std::optional<ClickHouseSinkOptions> clickhouse;
    SinkProfile clickhouse_profile = SinkProfile::ea();
    watch::LinkRules link = watch::ea_link();
    HttpIntakeOptions http;
    std::string ticks_to;    // where a paper broker takes prices; empty: ticks are refused
    Duration drain = std::chrono::seconds(5);
    Duration beat_every = std::chrono::seconds(5);
};

class Desk {
public:
    static Result<std::unique_ptr<Desk>> start(DeskOptions options, Clock& clock);
    /// As if killed, unless it was stopped.
    ~Desk();

    /// {"account", "instance", "gate", "waits_for", "lease", "broker", "stores", "orders", "journal", …}
    json::Value status();
    /// Compares the journal with every store, asks the broker for every open order and, with `repair`, writes again what a store
    /// lacks: {"stores": [{"store", "orders", "executions", "differences": […], "repaired", "error"?}], "asked", "equal"}.
    /// One at a time; seconds for each million facts.
    json::Value reconcile(bool repair);
    /// Why the process has to be started anew.
    std::optional<Error> failure() const { return service_->failure(); }
    Status stop();

    const std::string& account() const { return account_; }
    Service& service() { return *service_; }
    const HttpIntake& http() const { return *http_; }

private:
    /// A session of this engine under the lease.
    struct Session {
        std::uint64_t token = 0;
        ledger::Sequence sequence = 0;    // of its first fact
    };

    struct Told {
        Timestamp at;
        ledger::Severity severity;
        std::string text;
    };

    Desk(DeskOptions options, Clock& clock);
    Status open();
    void follow(ledger::Sequence after);
    void tend();
    void end_threads();
    void begin(const Session& session);
    bool import_from_stores(const Session& session);
    void take_over(const Session& session);
    void project_redis(const Session& session);
    /// `trim_after`: results of earlier sessions and other instances stay until the history has this journal up to there.
    std::unique_ptr<RedisSink> redis_sink(const Session& session, std::string journal,
                                          ledger::Sequence trim_after) const;
    void agree_if_level();
    void watch_broker();
    void beat();
    std::unique_ptr<Projection> project(ledger::Sink sink, std::unique_ptr<Sink> store, const SinkProfile& profile);
    bool serve(http::Exchange& exchange);
    Status take_ticks(std::span<const ProducerTick> ticks);
    void told(ledger::Severity severity, const std::string& text);
    void told_by_link(std::string_view link, const watch::LinkPolicy::Action& action);

    DeskOptions options_;
    Clock& clock_;
    const std::string account_, instance_, folder_;
    const ledger::Horizon horizon_;
    const Timestamp started_at_;
    BrokerWatch watch_;
    std::unique_ptr<Service> service_;
    std::shared_ptr<ResultFeed> results_;
    std::unique_ptr<ChangeSource> changes_;    // for follow()
    DuckDbSink* duckdb_ = nullptr;    // owned by its projection
    std::unique_ptr<RedisSink> pulse_;    // for heartbeats

    mutable std::mutex mutex_;    // guards what follows
    std::condition_variable news_;
    /// By ledger::Sink, from 1; of redis there is one only under the lease. DuckDB's goes last: the others note there what failed.
    std::unique_ptr<Projection> projections_[std::size(ledger::k_sinks)];
    std::optional<Session> new_session_, session_;
    bool agreed_ = false, imported_ = true;
    Instant import_at_{};
    bool ending_ = false;
    mutable std::mutex told_mutex_;    // apart: what is told may come while a projection ends
    std::deque<Told> told_;    // the newest few

    std::mutex reconcile_mutex_;
    std::mutex ticks_mutex_;
    std::unique_ptr<broker::PaperControl> ticks_;
    Instant beat_at_{};
    std::string pulse_trouble_;

    std::unique_ptr<RedisIntake> redis_intake_;
    std::unique_ptr<HttpIntake> http_;
    std::thread follower_, tender_;
    bool stopped_ = false;
};

}    // namespace holdfast::trade
