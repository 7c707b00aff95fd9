#include "holdfast/cli/trade_desk.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "holdfast/broker/fix.hpp"
#include "holdfast/broker/paper.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/redis_login.hpp"

namespace holdfast::cli {
namespace {

template <class Component>
const Component* named(const std::vector<Component>& all, const std::string& name) {
    const auto at = std::ranges::find(all, name, &Component::name);
    return at == all.end() ? nullptr : &*at;
}

Account account_of(const policy::Config& config, const policy::TradeConfig& trade) {
    Account account{trade, named(config.journals, trade.journal)->path, trade.socket};
    if (account.socket.empty()) account.socket = account.journal + "/engine.sock";
    if (account.trade.instance.empty()) account.trade.instance = os::host_name();
    return account;
}

Result<std::unique_ptr<broker::Broker>> make_broker(const Account& account, Clock& clock) {
    const policy::TradeBrokerConfig& config = account.trade.broker;
    if (config.kind == "paper") return broker::PaperBroker::create(config.address);
    broker::FixOptions options;
    options.host = config.host;
    options.port = config.port;
    options.sender = config.sender;
    options.target = config.target;
    options.folder = config.folder.empty() ? account.journal + "/fix" : config.folder;
    options.account = config.account;
    options.username = config.username;
    HF_TRY(options.password, read_password(config.password));
    options.heartbeat_seconds = static_cast<int>(config.heartbeat_seconds);
    options.mass_status = config.mass_status;
    options.session_start = config.session_start;
    options.session_end = config.session_end;
    return broker::FixBroker::create(std::move(options), clock);
}

Result<std::unique_ptr<trade::LeaseStore>> make_lease(const policy::Config& config, const policy::TradeConfig& trade,
                                                      Clock& clock) {
    if (trade.lease.empty()) return trade::no_lease(clock);
    const policy::PostgresConfig& postgres = *named(config.postgres, trade.lease);
    const std::string database = trade.lease_database.empty() ? postgres.maintenance_database : trade.lease_database;
    db::PostgresAccess access{{postgres.host, postgres.port, postgres.user, database}, {}};
    HF_TRY(access.password, read_password(postgres.password));
    return trade::open_postgres_lease(std::move(access),
                                      {trade.account, fmt::format("{} (process {})", trade.instance, ::getpid()),
                                       std::chrono::seconds(trade.lease_seconds)});
}

}    // namespace

Result<std::vector<Account>> all_accounts(const policy::Config& config) {
    if (config.trade.empty())
        return fail(ErrorCode::usage, "the configuration has no account to trade",
                    "add [[trade]] with account, journal and [trade.broker]; docs/operations/trade.md shows one");
    std::vector<Account> accounts;
    for (const policy::TradeConfig& trade : config.trade) accounts.push_back(account_of(config, trade));
    return accounts;
}

Result<Account> find_account(const policy::Config& config, const std::string& name) {
    HF_TRY(std::vector<Account> accounts, all_accounts(config));
    std::string all;
    for (Account& account : accounts) {
        if (account.trade.account == name || (name.empty() && accounts.size() == 1)) return std::move(account);
        all += (all.empty() ? "" : ", ") + account.trade.account;
    }
    return fail(
        ErrorCode::usage,
        name.empty() ? "several accounts are configured" : fmt::format("no account is named '{}'", printable(name)),
        fmt::format("use --account with one of: {}", all));
}

Result<std::optional<trade::RedisPlace>> redis_place(const policy::Config& config, const policy::TradeConfig& trade) {
    if (trade.redis.empty()) return std::optional<trade::RedisPlace>();
    trade::RedisPlace place;
    HF_TRY(place.login, source::redis_login(*named(config.redis, trade.redis)));
    place.master_name = trade.redis_master;
    for (const std::string& text : trade.redis_sentinels) {
        const std::size_t colon = text.rfind(':');
        trade::RedisPlace::Address address{text.substr(0, colon)};
        if (colon != std::string::npos) {
            const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), address.port);
            if (error != std::errc() || end != text.data() + text.size() || address.port == 0)
                return fail(ErrorCode::config, fmt::format("redis_sentinels holds '{}'", text),
                            "write each as \"host:port\"");
        }
        place.sentinels.push_back(std::move(address));
    }
    return std::optional(std::move(place));
}

Result<std::optional<trade::ClickHouseSinkOptions>> clickhouse_options(const policy::Config& config,
                                                                       const policy::TradeConfig& trade) {
    if (trade.clickhouse.empty()) return std::optional<trade::ClickHouseSinkOptions>();
    const policy::ClickHouseConfig& clickhouse = *named(config.clickhouse, trade.clickhouse);
    trade::ClickHouseSinkOptions options;
    options.server.url = clickhouse.url;
    options.server.user = clickhouse.user;
    HF_TRY(options.server.password, read_password(clickhouse.password));
    // An insert of a batch is answered soon or not at all.
    options.server.connect_max = std::chrono::seconds(5);
    options.server.idle_max = std::chrono::seconds(30);
    options.database = trade.clickhouse_database;
    options.account = trade.account;
    return std::optional(std::move(options));
}

std::optional<std::string> duckdb_path(const policy::Config& config, const policy::TradeConfig& trade) {
    if (trade.duckdb.empty()) return std::nullopt;
    return named(config.duckdb, trade.duckdb)->path;
}

Result<trade::DeskOptions> desk_options(const policy::Config& config, const Account& account, Clock& clock) {
    const policy::TradeConfig& trade = account.trade;
    trade::DeskOptions options;
    trade::ServiceOptions& service = options.service;
    service.account = trade.account;
    service.instance = trade.instance;
    service.folder = account.journal;
    service.rules.signal_ttl = std::chrono::seconds(trade.signal_ttl_seconds);
    service.rules.retry_max = std::chrono::seconds(trade.retry_max_seconds);
    service.rules.resume_remainder = trade.resume_remainder;
    service.realtime_priority = trade.realtime_priority;
    service.horizon.orders_days = trade.duplicates_days;
    const Duration lease = std::chrono::seconds(trade.lease_seconds);
    service.margins = {lease * 6 / 10, lease * 2 / 10, lease / 10};
    HF_TRY(options.broker, make_broker(account, clock));
    HF_TRY(options.lease, make_lease(config, trade, clock));
    HF_TRY(options.redis, redis_place(config, trade));
    HF_TRY(options.clickhouse, clickhouse_options(config, trade));
    if (const auto path = duckdb_path(config, trade)) {
        options.duckdb.emplace();
        options.duckdb->path = *path;
    }
    const bool mt5 = trade.profile == "mt5";
    options.clickhouse_profile = mt5 ? trade::SinkProfile::mt5() : trade::SinkProfile::ea();
    options.link = mt5 ? watch::mt5_link() : watch::ea_link();
    options.http.listen = trade.http.listen;
    options.http.unix_socket = account.socket;
    if (!trade.http.listen.empty()) {
        HF_TRY(options.http.token, read_password(trade.http.token));
        if (!trade.http.tls_certificate.empty()) {
            HF_TRY(options.http.tls, http::TlsIdentity::load(trade.http.tls_certificate, trade.http.tls_key));
        }
    }
    if (trade.broker.kind == "paper") options.ticks_to = trade.broker.address;
    return options;
}

Result<http::Answer> EngineDoor::answer(std::string_view method, const std::string& path, const std::string& body,
                                        Duration patience) {
    auto answer = line_.ask(method, path, body, patience);
    if (!answer)
        return fail(
            answer.error().code, fmt::format("the engine of {} does not answer: {}", account_, answer.error().message),
            answer.error().code == ErrorCode::denied ? "run this as the user that the engine runs as"
                                                     : "`holdfast trade run` starts it; its log says why it ended");
    return answer;
}

Result<json::Value> EngineDoor::ask(std::string_view method, const std::string& path, const std::string& body,
                                    Duration patience) {
    HF_TRY(const http::Answer answer, this->answer(method, path, body, patience));
    HF_TRY(json::Value value, json::parse(answer.body, "the engine's answer"));
    if (answer.status == 200) return value;
    const ErrorCode code = answer.status == 404   ? ErrorCode::not_found
                           : answer.status == 400 ? ErrorCode::usage
                           : answer.status == 403 ? ErrorCode::denied
                           : answer.status == 409 ? ErrorCode::exists
                                                  : ErrorCode::unreachable;
    return fail(code, value["error"].text(fmt::format("the engine answers {}", answer.status)), "");
}

Result<json::Value> EngineDoor::post(const std::string& path, const json::Value& body, Duration patience) {
    return ask("POST", path, json::dump(body), patience);
}

}    // namespace holdfast::cli
