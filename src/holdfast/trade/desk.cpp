#include "holdfast/trade/desk.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <future>
#include <map>
#include <unordered_map>

#include "holdfast/base/log.hpp"
#include "holdfast/broker/paper.hpp"
#include "holdfast/trade/journal_changes.hpp"
#include "holdfast/trade/rebuild.hpp"
#include "holdfast/trade/reconcile.hpp"
#include "holdfast/trade/signal_json.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ledger::Sequence;
using ledger::Severity;
using watch::LinkPolicy;

constexpr Duration k_tend_every = 100ms, k_import_again = 5s;
constexpr std::size_t k_told_max = 20, k_changes_max = 1024, k_request_max = 4096;
constexpr std::string_view k_json = "application/json";

struct BarName {
    ledger::Bar bar;
    std::string_view waits_for;
};
constexpr BarName k_bars[] = {
    {ledger::Bar::lease, "the lease"},
    {ledger::Bar::link, "the broker's link"},
    {ledger::Bar::in_doubt, "the broker's answers about orders in doubt"},
    {ledger::Bar::stores, "the stores to be level with the journal"},
    {ledger::Bar::paused, "trade resume"},
};

std::string_view word_of(Severity severity) {
    switch (severity) {
        case Severity::info:
            return "info";
        case Severity::warning:
            return "warning";
        case Severity::error:
            return "error";
    }
    return "?";
}

RedisPlace clone(const RedisPlace& place) {
    RedisPlace copy;
    copy.login = place.login.clone();
    copy.sentinels = place.sentinels;
    copy.master_name = place.master_name;
    copy.sentinel_password = place.sentinel_password.clone();
    copy.sentinel_timeout = place.sentinel_timeout;
    return copy;
}

ClickHouseSinkOptions clone(const ClickHouseSinkOptions& options) {
    const db::clickhouse::Server& server = options.server;
    return {{server.url, server.user, server.password.clone(), server.connect_max, server.idle_max},
            options.database,
            options.account,
            options.journal,
            options.orders_kept_days};
}

std::size_t index_of(ledger::Sink sink) { return static_cast<std::size_t>(sink) - 1; }

}    // namespace

// ---- start and stop

Desk::Desk(DeskOptions options, Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      account_(options_.service.account),
      instance_(options_.service.instance),
      folder_(options_.service.folder),
      horizon_(options_.service.horizon),
      started_at_(clock.now()),
      watch_(options_.link) {}

Result<std::unique_ptr<Desk>> Desk::start(DeskOptions options, Clock& clock) {
    std::unique_ptr<Desk> desk(new Desk(std::move(options), clock));
    HF_DO(desk->open());
    return desk;
}

Status Desk::open() {
    auto& service = options_.service;
    service.sinks.clear();
    if (options_.redis) service.sinks.push_back(ledger::Sink::redis);
    if (options_.duckdb) service.sinks.push_back(ledger::Sink::duckdb);
    if (options_.clickhouse) service.sinks.push_back(ledger::Sink::clickhouse);
    service.notify = [this](const ledger::Notify& notify) {
        told(notify.severity,
             notify.order.is_nil() ? notify.text : fmt::format("order {}: {}", notify.order.text(), notify.text));
    };
    HF_TRY(service_, Service::start(std::move(service), watch_.watched(std::move(options_.broker)),
                                    std::move(options_.lease), clock_));
    const std::string journal = service_->journal().identity().uuid;
    const Sequence begin = service_->journal().recovery().last;
    results_ = std::make_shared<ResultFeed>(begin);
    changes_ = journal_changes(service_->journal(), horizon_);
    if (options_.duckdb) {
        options_.duckdb->account = account_;
        options_.duckdb->journal = journal;
        auto sink = std::make_unique<DuckDbSink>(*options_.duckdb, clock_);
        duckdb_ = sink.get();
        projections_[index_of(ledger::Sink::duckdb)] =
            project(ledger::Sink::duckdb, std::move(sink), SinkProfile::duckdb());
    }
    if (options_.clickhouse) {
        options_.clickhouse->account = account_;
        options_.clickhouse->journal = journal;
        projections_[index_of(ledger::Sink::clickhouse)] =
            project(ledger::Sink::clickhouse, std::make_unique<ClickHouseSink>(clone(*options_.clickhouse), clock_),
                    options_.clickhouse_profile);
    }
    if (options_.redis) {
        // A heartbeat that waits is worth nothing.
        RedisPlace place = clone(*options_.redis);
        place.login.timeout = std::min<Duration>(place.login.timeout, 2s);
        RedisSinkOptions options;
        options.account = account_;
        pulse_ = std::make_unique<RedisSink>(RedisLink(std::move(place)), std::move(options));
        RedisIntakeOptions intake;
        intake.account = account_;
        intake.consumer = instance_;
        intake.link = options_.link;
        redis_intake_ = std::make_unique<RedisIntake>(
            RedisLink(clone(*options_.redis)), intake, [this](Submission s) { service_->submit(std::move(s)); }, clock_,
            [this](const LinkPolicy::Action& action) { told_by_link("redis", action); });
    }
    HttpIntakeHooks hooks;
    hooks.submit = [this](Submission s) { service_->submit(std::move(s)); };
    hooks.find = [this](const ledger::Uuid& id) -> Result<std::optional<ledger::Order>> { return service_->order(id); };
    hooks.results = results_;
    if (!options_.ticks_to.empty())
        hooks.ticks = [this](std::span<const ProducerTick> ticks) { return take_ticks(ticks); };
    hooks.more = [this](http::Exchange& exchange) { return serve(exchange); };
    HF_TRY(http_, HttpIntake::start(std::move(options_.http), std::move(hooks), clock_));
    follower_ = std::thread([this, begin] { follow(begin); });
    tender_ = std::thread([this] { tend(); });
    return {};
}

Status Desk::stop() {
    if (std::exchange(stopped_, true)) return {};
    http_->stop();
    if (redis_intake_) redis_intake_->stop();
    end_threads();    // before the engine's: they ask it
    const Status done = service_->stop();
    const Sequence last = service_->journal().durable();
    const Instant until = clock_.instant() + options_.drain;
    for (const auto& one : projections_)
        if (one && one->status().attempts == 0)
            one->wait_for(last, std::max(Duration::zero(), until - clock_.instant()));
    return done;
}

void Desk::end_threads() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
        news_.notify_all();
    }
    if (changes_) changes_->wake();
    if (tender_.joinable()) tender_.join();
    if (follower_.joinable()) follower_.join();
}

Desk::~Desk() {
    if (http_) http_->stop();
    end_threads();
    http_.reset();
    redis_intake_.reset();
    for (const ledger::Sink sink : {ledger::Sink::redis, ledger::Sink::clickhouse, ledger::Sink::duckdb})
        projections_[index_of(sink)].reset();
    changes_.reset();
    service_.reset();
}

std::unique_ptr<Projection> Desk::project(ledger::Sink sink, std::unique_ptr<Sink> store, const SinkProfile& profile) {
    ProjectionOptions options;
    options.profile = profile;
    options.notify = [this](const Error& error) {
        told(Severity::error, error.hint.empty() ? error.message : fmt::format("{} ({})", error.message, error.hint));
    };
    options.confirmed = [this, sink](Sequence sequence) { service_->tell(ledger::SinkAdvanced{sink, sequence}); };
    options.failed_syncs = sink == ledger::Sink::duckdb ? nullptr : duckdb_;
    return std::make_unique<Projection>(std::move(store), journal_changes(service_->journal(), horizon_), clock_,
                                        std::move(options));
}

// ---- what the journal says

// Durable changes for producers that wait for results; and sessions, as they begin.
void Desk::follow(Sequence after) {
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            if (ending_) return;
        }
        auto changes = changes_->read(after, k_changes_max);
        if (!changes) {
            told(Severity::error, "the journal cannot be followed: " + changes.error().message);
            clock_.sleep(1s);
            continue;
        }
        for (ledger::Change& change : *changes) {
            after = change.sequence;
            if (const auto* started = std::get_if<ledger::SessionStarted>(&change.fact.data)) {
                const std::lock_guard lock(mutex_);
                new_session_ = Session{started->token, change.sequence};
                news_.notify_all();
            }
            if (change.order) results_->publish(change.sequence, *std::move(change.order));
        }
        if (changes->empty()) changes_->wait(after, 1s);
    }
}

// ---- what has to be looked after

void Desk::tend() {
    for (;;) {
        std::optional<Session> begun;
        {
            std::unique_lock lock(mutex_);
            news_.wait_for(lock, k_tend_every, [this] { return ending_ || new_session_; });
            if (ending_) return;
            begun = std::exchange(new_session_, std::nullopt);
        }
        if (begun) begin(*begun);
        if (session_ && !imported_ && clock_.instant() >= import_at_) {
            take_over(*session_);
            if (imported_) project_redis(*session_);
        }
        agree_if_level();
        watch_broker();
        beat();
    }
}

void Desk::begin(const Session& session) {
    {
        const std::lock_guard lock(mutex_);
        session_ = session;
        agreed_ = false;
    }
    // Before anything is written: what others left in Redis alone must not be trimmed away.
    imported_ = !service_->status().stores_due;
    if (!imported_) take_over(session);
    project_redis(session);
}

void Desk::take_over(const Session& session) {
    imported_ = import_from_stores(session);
    if (imported_) service_->tell(ledger::StoresTold{session.token});
    import_at_ = clock_.instant() + k_import_again;
}

void Desk::project_redis(const Session& session) {
    if (!options_.redis) return;
    std::unique_ptr<Projection> old;
    {
        const std::lock_guard lock(mutex_);
        old = std::move(projections_[index_of(ledger::Sink::redis)]);
    }
    old.reset();
    auto sink = redis_sink(session, service_->journal().identity().uuid,
                           imported_ ? service_->status().appended : ~Sequence{0});
    auto redis = project(ledger::Sink::redis, std::move(sink), SinkProfile::redis());
    const std::lock_guard lock(mutex_);
    projections_[index_of(ledger::Sink::redis)] = std::move(redis);
}

std::unique_ptr<RedisSink> Desk::redis_sink(const Session& session, std::string journal, Sequence trim_after) const {
    RedisSinkOptions options;
    options.account = account_;
    options.token = session.token;
    options.journal = std::move(journal);
    options.trim_after = trim_after;
    return std::make_unique<RedisSink>(RedisLink(clone(*options_.redis)), std::move(options));
}

// What others did, or what a lost journal knew, as the stores tell it. True: every store answered.
bool Desk::import_from_stores(const Session& session) {
    std::unique_ptr<RedisSink> redis;
    if (options_.redis) redis = redis_sink(session, service_->journal().identity().uuid, 0);
    std::optional<ClickHouseSink> clickhouse;
    if (options_.clickhouse) clickhouse.emplace(clone(*options_.clickhouse), clock_);
    const Timestamp since = clock_.now() - std::chrono::hours(24) * horizon_.orders_days;
    Rebuilt rebuilt = rebuild_from_stores(
        {redis.get(), duckdb_, clickhouse ? &*clickhouse : nullptr}, since, [&](const RebuildStep& step) {
            if (step.error)
                log_warning("a store does not tell what others traded; it is asked again",
                            {{"store", step.store}, {"error", step.error->message}});
            else
                log_info("a store told what it knows", {{"store", step.store},
                                                        {"orders", std::to_string(step.orders)},
                                                        {"new", std::to_string(step.fresh_orders)},
                                                        {"executions", std::to_string(step.executions)}});
        });
    // The history must get what it lacks: those executions are noted as if the broker had told them now. For open orders before
    // the order, whose count then leaves them out; for closed ones after it, where they change nothing.
    std::unordered_map<std::string_view, const ledger::Execution*> lacking;
    for (const ledger::Execution& execution : rebuilt.lacking) lacking.emplace(execution.id, &execution);
    const auto note = [&](const ledger::Execution& execution) {
        ledger::Report report;
        report.kind = ledger::ReportKind::executed;
        report.order = execution.order;
        report.execution = execution;
        service_->tell(ledger::BrokerSaid{std::move(report)});
    };
    std::size_t orders = 0;
    for (auto* list : {&rebuilt.open, &rebuilt.closed})
        for (FoundOrder& found : *list) {
            const bool closed = list == &rebuilt.closed;
            std::vector<const ledger::Execution*> missing;
            for (const std::string& id : found.executions)
                if (const auto at = lacking.find(id); at != lacking.end()) missing.push_back(at->second);
            std::erase_if(found.executions, [&](const std::string& id) { return lacking.contains(id); });
            if (!closed)
                for (const ledger::Execution* execution : missing) {
                    note(*execution);
                    found.order.filled -= execution->quantity;
                    found.order.filled_value -= product(execution->quantity, execution->price);
                }
            service_->tell(ledger::FoundInStore{std::move(found.order), std::move(found.executions), found.where});
            if (closed)
                for (const ledger::Execution* execution : missing) note(*execution);
            ++orders;
        }
    if (orders != 0)
        told(Severity::info,
             fmt::format("took over what the stores know of {} orders ({} open)", orders, rebuilt.open.size()));
    return rebuilt.complete;
}

// A store that is down never blocks trading: it counts once its first attempt has failed.
void Desk::agree_if_level() {
    if (!session_ || agreed_) return;
    for (const auto& one : projections_) {
        if (!one) continue;
        const ProjectionStatus status = one->status();
        if (status.attempts == 0 && status.state != SinkState::suspended && status.level < session_->sequence) return;
    }
    agreed_ = true;
    service_->tell(ledger::StoresAgreed{});
}

void Desk::watch_broker() {
    while (const auto action = watch_.next(clock_.instant())) {
        told_by_link("the broker", *action);
        if (std::holds_alternative<LinkPolicy::Disable>(*action))
            service_->tell(ledger::DropPending{"the broker has been away for too long"});
    }
}

void Desk::beat() {
    if (!pulse_ || clock_.instant() < beat_at_) return;
    beat_at_ = clock_.instant() + options_.beat_every;
    const ServiceStatus now = service_->status();
    const bool trades = (now.bars & static_cast<unsigned>(ledger::Bar::lease)) == 0;
    const auto beaten = pulse_->beat(instance_,
                                     {{"state", trades ? "trading" : "standby"},
                                      {"gate", now.bars == 0 ? "open" : "closed"},
                                      {"token", std::to_string(now.token)},
                                      {"since", to_rfc3339(started_at_)},
                                      {"at", to_rfc3339(clock_.now())},
                                      {"open_orders", std::to_string(now.open)},
                                      {"broker", watch_.is_up() ? "up" : "down"}},
                                     options_.beat_every * 3);
    pulse_trouble_ = beaten ? "" : beaten.error().message;
}

// ---- people

void Desk::told(Severity severity, const std::string& text) {
    const LogLevel level = severity == Severity::error     ? LogLevel::error
                           : severity == Severity::warning ? LogLevel::warning
                                                           : LogLevel::info;
    log(level, text, {{"account", account_}});
    const std::lock_guard lock(told_mutex_);
    told_.push_back({clock_.now(), severity, text});
    if (told_.size() > k_told_max) told_.pop_front();
}

void Desk::told_by_link(std::string_view link, const LinkPolicy::Action& action) {
    const auto seconds = [](Duration d) { return std::chrono::duration_cast<std::chrono::seconds>(d).count(); };
    if (const auto* notify = std::get_if<LinkPolicy::Notify>(&action))
        told(Severity::error,
             fmt::format("{} is away: {} attempts in {} s failed", link, notify->failures, seconds(notify->down)));
    else if (const auto* restored = std::get_if<LinkPolicy::Restored>(&action))
        told(Severity::info, fmt::format("{} is back after {} s", link, seconds(restored->down)));
    else if (const auto* restart = std::get_if<LinkPolicy::Restart>(&action))
        told(Severity::error, fmt::format("{} has been away for {} s", link, seconds(restart->down)));
    else if (const auto* disable = std::get_if<LinkPolicy::Disable>(&action))
        told(Severity::error, fmt::format("{} is given up for now after {} attempts; it is tried every minute", link,
                                          disable->failures));
}

json::Value Desk::status() {
    const ServiceStatus now = service_->status();
    auto value = json::Value::object({{"account", account_},
                                      {"instance", instance_},
                                      {"gate", now.bars == 0 ? "open" : "closed"},
                                      {"trading", now.trading_on},
                                      {"since", to_rfc3339(started_at_)}});
    auto waits = json::Value::array();
    for (const BarName& bar : k_bars)
        if ((now.bars & static_cast<unsigned>(bar.bar)) != 0) waits.push(std::string(bar.waits_for));
    value.set("waits_for", std::move(waits));
    value.set("lease", json::Value::object({{"state", now.lease}, {"token", now.token}}));
    value.set("broker", json::Value::object({{"name", now.broker},
                                             {"link", watch_.is_up() ? "up" : "down"},
                                             {"failures", watch_.failures()},
                                             {"disabled", watch_.is_disabled()}}));
    if (redis_intake_) {
        const RedisIntakeStatus intake = redis_intake_->status();
        value.set("redis_signals", json::Value::object({{"link", std::string(watch::name_of(intake.link))},
                                                        {"trouble", intake.trouble},
                                                        {"in_flight", intake.in_flight},
                                                        {"taken", intake.counts.acknowledged},
                                                        {"bad", intake.counts.bad}}));
    }
    const IntakeCounts counts = http_->counts();
    value.set("http_signals", json::Value::object({{"accepted", counts.accepted},
                                                   {"duplicate", counts.duplicate},
                                                   {"conflict", counts.conflict},
                                                   {"refused", counts.refused},
                                                   {"unavailable", counts.unavailable},
                                                   {"denied", counts.denied}}));
    auto stores = json::Value::array();
    {
        const std::lock_guard lock(mutex_);
        for (const auto& one : projections_) {
            if (!one) continue;
            const ProjectionStatus store = one->status();
            auto entry = json::Value::object({{"store", store.sink},
                                              {"state", std::string(name_of(store.state))},
                                              {"watermark", store.watermark},
                                              {"level", store.level},
                                              {"backlog", store.backlog},
                                              {"written", store.written},
                                              {"attempts", store.attempts},
                                              {"error", store.error}});
            if (store.hole_last != 0) entry.set("lacks", fmt::format("{}-{}", store.hole_first, store.hole_last));
            stores.push(std::move(entry));
        }
    }
    value.set("stores", std::move(stores));
    value.set("orders", json::Value::object({{"open", now.open},
                                             {"in_doubt", now.in_doubt},
                                             {"waiting", now.waiting},
                                             {"remembered", now.remembered}}));
    auto confirmed = json::Value::object();
    for (const ledger::Sink sink : ledger::k_sinks) confirmed.set(ledger::name_of(sink), now.confirmed[index_of(sink)]);
    value.set("journal", json::Value::object({{"folder", folder_},
                                              {"identity", service_->journal().identity().uuid},
                                              {"last", now.appended},
                                              {"durable", now.durable},
                                              {"confirmed", std::move(confirmed)},
                                              {"trouble", now.journal_trouble}}));
    auto messages = json::Value::array();
    const std::lock_guard lock(told_mutex_);
    for (const Told& one : told_)
        messages.push(json::Value::object(
            {{"at", to_rfc3339(one.at)}, {"severity", std::string(word_of(one.severity))}, {"text", one.text}}));
    value.set("messages", std::move(messages));
    return value;
}

// ---- reconciliation

namespace {

json::Value difference_json(const StoreComparison& store) {
    auto differences = json::Value::array();
    for (const Difference& one : store.differences)
        differences.push(json::Value::object(
            {{one.is_order ? "order" : "execution", one.id}, {"what", one.what}, {"sequence", one.sequence}}));
    auto value = json::Value::object({{"store", store.store},
                                      {"orders", store.orders},
                                      {"executions", store.executions},
                                      {"differences", std::move(differences)},
                                      {"repaired", store.repaired}});
    if (store.error) value.set("error", store.error->message);
    return value;
}

/// DuckDB's file through its owner.
class DuckDbRepair final : public Sink {
public:
    DuckDbRepair(DuckDbSink& sink, std::string journal) : sink_(sink), journal_(std::move(journal)) {}
    std::string_view name() const override { return sink_.name(); }
    std::size_t batch_max() const override { return sink_.batch_max(); }
    Result<Sequence> watermark() override { return 0; }
    Status apply(Sequence after, std::span<const ledger::Change> changes) override {
        return sink_.apply_as(journal_, after, changes);
    }

private:
    DuckDbSink& sink_;
    const std::string journal_;
};

}    // namespace

json::Value Desk::reconcile(bool repair_too) {
    const std::lock_guard alone(reconcile_mutex_);
    std::optional<Session> session;
    std::map<std::string, Sequence> levels;
    {
        const std::lock_guard lock(mutex_);
        session = session_;
        for (const auto& one : projections_)
            if (one) levels[one->status().sink] = one->status().level;
    }
    const auto changes = journal_changes(service_->journal(), horizon_);
    const std::string name = fmt::format("{} repair {}", service_->journal().identity().uuid, clock_.now().nanoseconds);
    std::unique_ptr<RedisSink> redis;
    if (levels.contains("redis")) redis = redis_sink(*session, name, ~Sequence{0});
    std::optional<DuckDbRepair> duckdb;
    if (duckdb_ != nullptr) duckdb.emplace(*duckdb_, name);
    std::optional<ClickHouseSink> clickhouse;
    if (options_.clickhouse) {
        ClickHouseSinkOptions options = clone(*options_.clickhouse);
        options.journal = name;
        clickhouse.emplace(std::move(options), clock_);
    }

    // First the levels, then the stores, then the journal: what the journal has not touched since a store was level must be
    // there as the journal has it now.
    struct Asked {
        Sink* sink;
        Rebuilt told;
    };
    std::vector<Asked> asked;
    Timestamp since;
    auto oldest = changes->oldest();
    const auto first = oldest ? changes->read(oldest->sequence - 1, 1)
                              : Result<std::vector<ledger::Change>>(std::unexpected(oldest.error()));
    if (first && !first->empty()) since = first->front().fact.at;
    if (redis) asked.push_back({redis.get(), rebuild_from_stores({redis.get(), nullptr, nullptr}, since)});
    if (duckdb) asked.push_back({&*duckdb, rebuild_from_stores({nullptr, duckdb_, nullptr}, since)});
    if (clickhouse) asked.push_back({&*clickhouse, rebuild_from_stores({nullptr, nullptr, &*clickhouse}, since)});
    const auto view = JournalView::read(*changes);

    bool equal = true;
    auto stores = json::Value::array();
    for (Asked& one : asked) {
        StoreComparison result;
        result.store = one.sink->name();
        if (!view) {
            result.error = view.error();
        } else if (one.told.steps.at(0).error) {
            result.error = one.told.steps[0].error;
        } else {
            result = view->compare(one.sink->name(), one.told, levels[result.store], clock_.now());
            if (repair_too && !result.differences.empty()) {
                if (const auto done = repair(*one.sink, *changes, result.differences))
                    result.repaired = *done;
                else
                    result.error = done.error();
            }
        }
        equal = equal && !result.error && (result.differences.empty() || result.repaired != 0);
        stores.push(difference_json(result));
    }
    service_->tell(ledger::LookAgain{});
    const bool up = watch_.is_up();
    return json::Value::object({{"stores", std::move(stores)},
                                {"asked", up ? service_->open_orders().size() : 0},
                                {"broker", up ? "up" : "down"},
                                {"equal", equal}});
}

// ---- the door

namespace {

void reply(http::Exchange& exchange, const json::Value& value) {
    exchange.reply(200, json::dump(value) + "\n", k_json);
}

void refuse(http::Exchange& exchange, int status, std::string_view why, std::string_view extra = {}) {
    exchange.reply(status, json::dump(json::Value::object({{"error", std::string(why)}})) + "\n", k_json, extra);
}

std::optional<json::Value> request_of(http::Exchange& exchange) {
    const auto body = exchange.read_body(k_request_max);
    if (body)
        if (auto value = json::parse(body->empty() ? "{}" : *body, "the request"); value && value->is_object())
            return *std::move(value);
    refuse(exchange, 400, "the body is not a JSON object");
    return std::nullopt;
}

}    // namespace

bool Desk::serve(http::Exchange& exchange) {
    const std::string& method = exchange.head.method;
    const std::string_view path = exchange.head.path;
    if (path == "/v1/status" || path == "/v1/orders") {
        if (method != "GET") return refuse(exchange, 405, "this is for GET", "Allow: GET\r\n"), true;
        if (path == "/v1/status") return reply(exchange, status()), true;
        std::string text;
        for (const ledger::Order& order : service_->open_orders())
            text += (text.empty() ? "" : ",") + order_json(order);
        exchange.reply(200, fmt::format("{{\"orders\":[{}]}}\n", text), k_json);
        return true;
    }
    constexpr std::string_view k_ours[] = {"/v1/trading", "/v1/resume-sync", "/v1/cancel", "/v1/reconcile",
                                           "/v1/confirmed"};
    if (std::ranges::find(k_ours, path) == std::end(k_ours)) return false;
    if (method != "POST") return refuse(exchange, 405, "this is for POST", "Allow: POST\r\n"), true;
    if (!exchange.connection.is_local())
        return refuse(exchange, 403, "this is for the engine's Unix socket only"), true;
    const auto request = request_of(exchange);
    if (!request) return true;
    if (path == "/v1/trading") {
        const json::Value& on = (*request)["on"];
        // Each fallback comes back only when it is no boolean.
        if (on.boolean(true) != on.boolean(false)) return refuse(exchange, 400, "\"on\" must be true or false"), true;
        service_->turn(on.boolean(), (*request)["who"].text("somebody"));
        reply(exchange, json::Value::object({{"trading", on.boolean()}}));
    } else if (path == "/v1/resume-sync") {
        const std::string store = (*request)["store"].text();
        auto resumed = json::Value::array();
        {
            const std::lock_guard lock(mutex_);
            for (const auto& one : projections_)
                if (one && (store.empty() || one->status().sink == store)) {
                    one->resume();
                    resumed.push(one->status().sink);
                }
        }
        if (resumed.items().empty()) return refuse(exchange, 404, "this account has no such store"), true;
        reply(exchange, json::Value::object({{"resumed", std::move(resumed)}}));
    } else if (path == "/v1/reconcile") {
        reply(exchange, reconcile((*request)["repair"].boolean(false)));
    } else if (path == "/v1/cancel") {
        const auto id = ledger::Uuid::parse((*request)["order"].text());
        if (!id) return refuse(exchange, 400, "\"order\" must be a UUID"), true;
        auto answer = std::make_shared<std::promise<Outcome>>();
        auto heard = answer->get_future();
        service_->cancel(*id, [answer](const Outcome& outcome) { answer->set_value(outcome); });
        if (heard.wait_for(5s) != std::future_status::ready)
            return refuse(exchange, 503, "the engine did not answer in time"), true;
        const Outcome outcome = heard.get();
        const bool taken =
            outcome.verdict == Outcome::Verdict::accepted || outcome.verdict == Outcome::Verdict::duplicate;
        if (!taken)
            return refuse(exchange, outcome.verdict == Outcome::Verdict::unavailable ? 503 : 409, outcome.text), true;
        exchange.reply(200, outcome.order ? order_json(*outcome.order) + "\n" : "{}\n", k_json);
    } else {
        const auto sequence = static_cast<Sequence>((*request)["sequence"].integer(0));
        if (sequence == 0 || sequence > service_->journal().durable())
            return refuse(exchange, 400, "\"sequence\" must be one that the journal has"), true;
        service_->tell(ledger::SinkAdvanced{ledger::Sink::vault, sequence});
        reply(exchange, json::Value::object({{"confirmed", sequence}}));
    }
    return true;
}

Status Desk::take_ticks(std::span<const ProducerTick> ticks) {
    const std::lock_guard lock(ticks_mutex_);
    if (!ticks_) {
        HF_TRY(auto control, broker::PaperControl::connect(options_.ticks_to));
        ticks_ = std::make_unique<broker::PaperControl>(std::move(control));
    }
    for (const ProducerTick& tick : ticks)
        if (auto taken = ticks_->tick({tick.symbol, tick.bid, tick.ask, {}}); !taken) {
            ticks_.reset();
            return taken;
        }
    return {};
}

}    // namespace holdfast::trade
