#pragma once
// What the commands of `holdfast trade` share: the account that is meant, its engine as the configuration describes it, and the
// door of the one that runs.

#include <string>
#include <vector>

#include "holdfast/cli/session.hpp"
#include "holdfast/http/line.hpp"
#include "holdfast/trade/desk.hpp"

namespace holdfast::cli {

/// One [[trade]] of the configuration, with the journal's folder and the engine's socket worked out.
struct Account {
    policy::TradeConfig trade;
    std::string journal, socket;
};

/// `name` empty: the only one there is. usage: none, several, or another one.
Result<Account> find_account(const policy::Config& config, const std::string& name);
Result<std::vector<Account>> all_accounts(const policy::Config& config);

/// Reads the secrets where the configuration says they lie.
Result<trade::DeskOptions> desk_options(const policy::Config& config, const Account& account, Clock& clock);
/// The stores of an account, for commands that look into them themselves.
Result<std::optional<trade::RedisPlace>> redis_place(const policy::Config& config, const policy::TradeConfig& trade);
Result<std::optional<trade::ClickHouseSinkOptions>> clickhouse_options(const policy::Config& config,
                                                                       const policy::TradeConfig& trade);
std::optional<std::string> duckdb_path(const policy::Config& config, const policy::TradeConfig& trade);

/// Asks the engine that runs. unreachable, with the remedy, when none does; else what it says: 404 not_found, 400 usage, 503
/// unreachable, 409 exists.
class EngineDoor {
public:
    explicit EngineDoor(const Account& account) : account_(account.trade.account), line_({account.socket, {}, 0}, {}) {}
    Result<json::Value> get(const std::string& path) { return ask("GET", path, {}, k_patience); }
    Result<json::Value> post(const std::string& path, const json::Value& body, Duration patience = k_patience);
    /// Whatever the status: for signals, where each means something.
    Result<http::Answer> answer(std::string_view method, const std::string& path, const std::string& body,
                                Duration patience = k_patience);

private:
    static constexpr Duration k_patience = std::chrono::seconds(10);
    Result<json::Value> ask(std::string_view method, const std::string& path, const std::string& body,
                            Duration patience);
    const std::string account_;
    http::Line line_;
};

}    // namespace holdfast::cli
