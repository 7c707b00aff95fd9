#include "holdfast/testing/trade_stack.hpp"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <map>

#include "holdfast/broker/paper.hpp"
#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/db/redis.hpp"
#include "holdfast/http/line.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/trade/clickhouse_sink.hpp"
#include "holdfast/trade/duckdb_sink.hpp"
#include "holdfast/trade/rows.hpp"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;
using trade::RowReader;

constexpr std::string_view k_account = "desk-1";
constexpr Duration k_up_max = 60s, k_settled_max = 120s;

std::string program(std::string_view name) {
    const std::string own = os::own_program();
    return own.substr(0, own.rfind('/') + 1) + std::string(name);
}

/// By the broker's execution ID: the order, and "quantity at price".
using Executions = std::map<std::string, std::pair<ledger::Uuid, std::string>>;

std::string terms_of(const ledger::Execution& execution) {
    return execution.quantity.text() + " at " + execution.price.text();
}

template <class Field>
Status add(Executions& to, const std::vector<Field>& values) {
    static const auto names = trade::column_names<ledger::Execution>();
    HF_TRY(const auto row, trade::read_row<ledger::Execution>(
                               [&](std::string_view name) -> std::optional<std::string_view> {
                                   const auto at =
                                       static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
                                   if (at >= values.size()) return std::nullopt;
                                   if constexpr (std::is_same_v<Field, std::string>)
                                       return values[at];
                                   else
                                       return values[at] ? std::optional<std::string_view>(*values[at]) : std::nullopt;
                               },
                               "an execution"));
    to[row.id] = {row.order, terms_of(row)};
    return {};
}

TradeStack::Compared compared(std::string store, const Executions& book, const Executions& held) {
    TradeStack::Compared result{std::move(store), held.size()};
    for (const auto& [id, execution] : book) {
        const auto at = held.find(id);
        if (at == held.end())
            ++result.missing;
        else if (at->second != execution)
            ++result.different;
    }
    for (const auto& [id, execution] : held) result.unknown += !book.contains(id);
    return result;
}

}    // namespace

TradeStack::TradeStack(os::TempFolder folder, PostgresServer postgres, ClickHouseServer clickhouse)
    : folder_(std::move(folder)), postgres_(std::move(postgres)), clickhouse_(std::move(clickhouse)) {}

TradeStack::~TradeStack() = default;

std::string_view TradeStack::name_of(Part part) {
    switch (part) {
        case Part::engine:
            return "engine (owner of DuckDB)";
        case Part::redis:
            return "Redis master";
        case Part::clickhouse:
            return "ClickHouse";
        case Part::postgres:
            return "PostgreSQL (the lease)";
        case Part::broker:
            return "broker";
        case Part::line:
            return "the broker's line";
    }
    return "?";
}

Result<std::unique_ptr<TradeStack>> TradeStack::start(const Options& options) {
    HF_TRY(os::TempFolder folder, os::TempFolder::create("hf-trade"));
    HF_TRY(PostgresServer postgres, PostgresServer::start());
    HF_TRY(ClickHouseServer clickhouse, ClickHouseServer::start());
    std::unique_ptr<TradeStack> stack(new TradeStack(std::move(folder), std::move(postgres), std::move(clickhouse)));
    for (int i = 0; i < 3; ++i) {
        // Every write on the disk before it is answered, as a desk runs it.
        std::vector<std::string> config = {"appendonly yes", "appendfsync everysec"};
        if (i > 0) config.push_back(fmt::format("replicaof 127.0.0.1 {}", stack->redis_[0].port()));
        HF_TRY(RedisServer server, RedisServer::start(std::move(config)));
        stack->redis_.push_back(std::move(server));
    }
    HF_TRY(RedisSentinels sentinels, RedisSentinels::start(stack->redis_[0].port()));
    stack->sentinels_.emplace(std::move(sentinels));
    HF_DO(stack->sentinels_->wait_until_complete(2));
    stack->broker_words_ = options.broker;
    HF_DO(stack->start_broker());
    for (unsigned host = 0; host < options.hosts; ++host) {
        HF_DO(os::make_folders(stack->place(host)));
        HF_DO(stack->write_config(options, host));
        stack->engines_.emplace_back();
    }
    return stack;
}

Status TradeStack::write_config(const Options& options, unsigned host) {
    std::string sentinels;
    for (const std::uint16_t port : sentinels_->ports())
        sentinels += fmt::format("{}\"127.0.0.1:{}\"", sentinels.empty() ? "" : ", ", port);
    return os::write_file(config_file(host),
                          as_bytes(fmt::format(R"([[postgres]]
host = "{}"
port = {}

[[redis]]
port = {}

[[duckdb]]
path = "{}/trades.duckdb"

[[clickhouse]]
url = "{}"

[[journal]]
path = "{}/journal"

[[trade]]
account = "{}"
instance = "host-{}"
profile = "{}"
redis = "redis"
redis_sentinels = [{}]
duckdb = "trades"
clickhouse = "clickhouse"
lease = "postgres"
lease_seconds = 5
[trade.broker]
kind = "paper"
address = "{}"
)",
                                               postgres_.socket_folder(), postgres_.port(), redis_[0].port(),
                                               place(host), clickhouse_.url(), place(host), k_account,
                                               host == 0 ? "a" : "b", options.profile, sentinels, broker_address_)));
}

Status TradeStack::start_broker() {
    // A port that it had before is asked for again: the engine knows no other.
    if (broker_address_.empty()) {
        HF_TRY(const std::uint16_t port, os::free_port());
        broker_address_ = fmt::format("127.0.0.1:{}", port);
    }
    os::Command command;
    command.arguments = {program("holdfast-paper-broker"), "--listen", broker_address_, "--book", folder() + "/book"};
    command.arguments.insert(command.arguments.end(), broker_words_.begin(), broker_words_.end());
    command.output_file = folder() + "/broker.log";
    command.errors = os::Stream::null;
    HF_TRY(broker_, os::Process::start(command));
    os::SystemClock clock;
    for (Duration waited{}; waited < k_up_max; waited += 20ms) {
        if (broker::PaperControl::connect(broker_address_)) return {};
        clock.sleep(20ms);
    }
    return fail(ErrorCode::store, "the paper broker does not answer", "");
}

Status TradeStack::start_engine(unsigned host) {
    os::Command command;
    command.arguments = {program("holdfast"), "--config", config_file(host), "trade", "run"};
    command.output_file = place(host) + "/engine.log";
    command.errors = os::Stream::null;
    HF_TRY(engines_[host], os::Process::start(command));
    return {};
}

std::string TradeStack::log_tail(unsigned host) const {
    const auto log = os::read_text(place(host) + "/engine.log");
    if (!log) return log.error().message;
    return "the end of the engine's log:\n" + log->substr(log->size() - std::min<std::size_t>(log->size(), 4096));
}

Status TradeStack::lose_journal(unsigned host) { return os::remove_tree(place(host) + "/journal"); }

Status TradeStack::stop_engine(unsigned host) {
    engines_[host]->kill(SIGTERM);
    HF_TRY(const os::ExitStatus status, engines_[host]->wait(60s));
    engines_[host].reset();
    if (status.ok()) return {};
    return fail(ErrorCode::store, "the engine ended with " + status.text(), log_tail(host));
}

Result<std::size_t> TradeStack::redis_master() const {
    for (const std::uint16_t port : sentinels_->ports()) {
        db::RedisLogin login;
        login.port = port;
        login.timeout = 2s;
        auto client = db::RedisClient::connect(login);
        if (!client) continue;
        const auto reply = client->command({"SENTINEL", "get-master-addr-by-name", "mymaster"});
        if (!reply || reply->items().size() != 2) continue;
        for (std::size_t i = 0; i < redis_.size(); ++i)
            if (std::to_string(redis_[i].port()) == reply->items()[1].text()) return i;
    }
    return fail(ErrorCode::store, "no Sentinel knows the master", "");
}

Result<os::Finished> TradeStack::holdfast(const std::vector<std::string>& words, unsigned host) const {
    os::Command command;
    command.arguments = {program("holdfast"), "--config", config_file(host)};
    command.arguments.insert(command.arguments.end(), words.begin(), words.end());
    return os::run(std::move(command), {}, 120s);
}

Status TradeStack::clickhouse(const std::string& statement) const {
    db::clickhouse::Server server;
    server.url = clickhouse_.url();
    HF_TRY(auto client, db::clickhouse::Client::connect(std::move(server)));
    return client.execute(statement);
}

Result<std::string> TradeStack::redis(const std::vector<std::string>& command) {
    HF_TRY(const std::size_t master, redis_master());
    return redis_[master].talk({command});
}

Status TradeStack::kill(Part part) {
    switch (part) {
        case Part::engine:
            kill_engine(0);
            return {};
        case Part::redis: {
            HF_TRY(const std::size_t master, redis_master());
            redis_[master].kill();
            return {};
        }
        case Part::clickhouse:
            clickhouse_.kill();
            return {};
        case Part::postgres:
            postgres_.kill();
            return {};
        case Part::broker:
            broker_.reset();
            return {};
        case Part::line: {
            HF_TRY(auto control, broker::PaperControl::connect(broker_address_));
            return control.tell(json::Value::object({{"do", "drop"}}));
        }
    }
    return {};
}

Status TradeStack::bring_back(Part part) {
    switch (part) {
        case Part::engine:
            return start_engine();
        case Part::redis:
            for (RedisServer& server : redis_)
                if (server.pid() == 0) HF_DO(server.restart());
            return sentinels_->wait_until_complete(2);
        case Part::clickhouse:
            return clickhouse_.restart();
        case Part::postgres:
            return postgres_.restart();
        case Part::broker:
            return start_broker();
        case Part::line:
            return {};
    }
    return {};
}

Result<json::Value> TradeStack::status(unsigned host) const {
    http::Line line({socket(host), {}, 0}, {});
    HF_TRY(const http::Answer answer, line.ask("GET", "/v1/status", {}, 10s));
    return json::parse(answer.body, "the engine's status");
}

Status TradeStack::wait_for_gate(unsigned host) const {
    os::SystemClock clock;
    std::string last = "no status";
    for (Duration waited{}; waited < k_up_max; waited += 50ms) {
        const auto now = status(host);
        if (now && (*now)["gate"].text() == "open") return {};
        last = now ? json::dump(*now) : now.error().message;
        clock.sleep(50ms);
    }
    return fail(ErrorCode::store, "the gate stays closed: " + last, log_tail(host));
}

Status TradeStack::wait_until_settled(unsigned host) const {
    os::SystemClock clock;
    std::string last = "no status";
    // Of the journal, when no order was open any more. Confirmations are facts themselves: it goes on, but without trades.
    std::uint64_t end = UINT64_MAX;
    for (Duration waited{}; waited < k_settled_max; waited += 100ms) {
        if (const auto now = status(host)) {
            if ((*now)["orders"]["open"].natural() != 0)
                end = UINT64_MAX;
            else if (end == UINT64_MAX)
                end = (*now)["journal"]["last"].natural();
            bool settled = (*now)["stores"].items().size() == 3;
            for (const json::Value& store : (*now)["stores"].items())
                settled = settled && store["level"].natural() >= end && store["error"].text().empty();
            if (settled) return {};
            last = json::dump(*now);
        }
        clock.sleep(100ms);
    }
    return fail(ErrorCode::store, "the account does not settle: " + last, log_tail(host));
}

bool TradeStack::Comparison::equal() const {
    return refused_twice == 0 && overfilled == 0 && std::ranges::all_of(stores, &Compared::equal);
}

Result<TradeStack::Comparison> TradeStack::compare() {
    Comparison result;
    HF_TRY(auto control, broker::PaperControl::connect(broker_address_));
    HF_TRY(const auto listing, control.list());
    result.orders = listing.orders.size();
    result.refused_twice = listing.duplicates;
    Executions book, duckdb_rows, clickhouse_rows;
    for (const ledger::Execution& execution : listing.executions)
        book[execution.id] = {execution.order, terms_of(execution)};
    result.executions = book.size();

    for (unsigned host = 0; host < engines_.size(); ++host) {
        HF_TRY(auto database, db::DuckDb::open(place(host) + "/trades.duckdb", db::DuckDb::Mode::read_only));
        HF_TRY(const auto rows, database.query(trade::duckdb_select_executions("")));
        for (const auto& row : rows.rows) HF_DO(add(duckdb_rows, row));
    }

    db::clickhouse::Server server;
    server.url = clickhouse_.url();
    HF_TRY(auto client, db::clickhouse::Client::connect(std::move(server)));
    HF_TRY(const auto history, client.rows(trade::clickhouse_select_executions("holdfast", k_account, "")));
    for (const auto& row : history) HF_DO(add(clickhouse_rows, row));

    result.stores = {compared("DuckDB", book, duckdb_rows), compared("ClickHouse", book, clickhouse_rows)};

    // Children count for the signal that they come from; every signal of the feed asks for one.
    HF_TRY(const auto sums,
           client.rows("SELECT count() FROM (SELECT signal_id FROM holdfast.executions FINAL GROUP BY signal_id "
                       "HAVING sum(quantity) > 1)"));
    result.overfilled = static_cast<std::size_t>(std::stoul(sums.at(0).at(0)));
    return result;
}

// ---- signals

SignalFeed::SignalFeed(std::vector<std::string> sockets, unsigned per_second, unsigned producers)
    : sockets_(std::move(sockets)), per_second_(per_second), producers_(producers) {
    for (unsigned i = 0; i < producers; ++i) threads_.emplace_back([this] { produce(); });
}

SignalFeed::~SignalFeed() {
    finishing_ = giving_up_ = true;
    for (std::thread& thread : threads_) thread.join();
}

Status SignalFeed::finish() {
    finishing_ = true;
    os::SystemClock clock;
    for (Duration waited{}; running_ != 0; waited += 10ms) {
        if (waited >= k_up_max) return fail(ErrorCode::store, "the engine does not answer the producers", "");
        clock.sleep(10ms);
    }
    return {};
}

void SignalFeed::produce() {
    ++running_;
    os::SystemClock clock;
    std::vector<std::unique_ptr<http::Line>> lines;
    for (const std::string& socket : sockets_)
        lines.push_back(std::make_unique<http::Line>(http::Place{socket, {}, 0}, std::string()));
    std::size_t at = 0;
    // A batch every 10 ms.
    const unsigned size = std::max(1u, per_second_ / producers_ / 100);
    ledger::Uuid id;
    os::random_bytes(id.bytes);
    std::uint64_t number = 0;
    Instant next = clock.instant();
    while (!finishing_) {
        std::vector<std::string> signals;
        for (unsigned i = 0; i < size; ++i) {
            store_le(id.bytes.data(), ++number);
            signals.push_back(fmt::format(R"({{"id":"{}","symbol":"EURUSD","side":"{}","quantity":"1"}})", id.text(),
                                          number % 2 == 0 ? "buy" : "sell"));
        }
        begun_ += size;
        while (!signals.empty() && !giving_up_) {
            std::string body;
            for (const std::string& signal : signals) body += (body.empty() ? "[" : ",") + signal;
            const auto answer = lines[at]->ask("POST", "/v1/signals", body + "]", 10s);
            const auto outcomes = answer ? json::parse(answer->body, "the answer") : Result<json::Value>(json::Value());
            if (!answer || !outcomes || outcomes->items().size() != signals.size()) {
                at = (at + 1) % lines.size();
                clock.sleep(50ms);
                continue;
            }
            std::vector<std::string> again;
            for (std::size_t i = 0; i < signals.size(); ++i) {
                const std::string verdict = outcomes->items()[i]["verdict"].text();
                if (verdict == "accepted" || verdict == "duplicate")
                    ++acknowledged_;
                else if (verdict == "unavailable")
                    again.push_back(std::move(signals[i]));
                else
                    ++refused_;
            }
            signals = std::move(again);
            if (signals.empty()) break;
            at = (at + 1) % lines.size();
            clock.sleep(50ms);
        }
        next = next + 10ms;
        if (next + 100ms < clock.instant()) next = clock.instant();    // what an outage took is not made up for
        if (next > clock.instant()) clock.sleep(next - clock.instant());
    }
    --running_;
}

}    // namespace holdfast::testing
