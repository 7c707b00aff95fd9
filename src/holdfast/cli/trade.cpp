// `holdfast trade run|status|orders|order|submit|cancel|pause|resume|resume-sync`.

#include <fmt/core.h>

#include <algorithm>
#include <functional>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/trade_desk.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/fact_json.hpp"
#include "holdfast/trade/journal_reader.hpp"
#include "holdfast/trade/signal_json.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

void declare_account(Options& options, std::string& account) {
    options.value("--account", account, "NAME", "which account, when several are configured");
}

Result<Account> account_of(const Session& session, const std::string& name) {
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    return find_account(loaded.config, name);
}

Result<ledger::Uuid> parse_order(const std::string& text) {
    const auto id = ledger::Uuid::parse(text);
    if (!id)
        return fail(ErrorCode::usage, fmt::format("\"{}\" is no UUID", printable(text)),
                    "write it as 0190b5a8-7c11-7abc-8def-0123456789ab; `holdfast trade orders` lists the open ones");
    return *id;
}

/// RFC 9562: time first, so that IDs sort by when they were made.
ledger::Uuid new_uuid(Clock& clock) {
    ledger::Uuid id;
    os::random_bytes(id.bytes);
    const auto ms = static_cast<std::uint64_t>(clock.now().nanoseconds / 1'000'000);
    for (int i = 0; i < 6; ++i) id.bytes[static_cast<std::size_t>(i)] = static_cast<std::byte>(ms >> (40 - 8 * i));
    id.bytes[6] = (id.bytes[6] & std::byte{0x0f}) | std::byte{0x70};
    id.bytes[8] = (id.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    return id;
}

// ---- run

class TradeRunCommand final : public Command {
    std::string_view name() const override { return "trade run"; }
    std::string_view help() const override {
        return "trade: signals in, orders to the broker, results into the stores";
    }
    std::string_view examples() const override {
        return R"(Runs the engine of every account in the configuration ([[trade]]), or of the one that --account names, until it is told
to stop (SIGINT, SIGTERM). Ending it in any way, kill -9 included, loses nothing: the next start goes on.

TRADING_ENABLED=false in the environment starts it paused. What it has to say goes to the log on stderr.

Examples
  holdfast trade run
  holdfast trade run --account desk-1 --json 2>>/var/log/holdfast/trade.log
)";
    }
    void declare(Options& options) override {
        options.value("--account", account_, "NAME", "only this account (default: all)");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        HF_TRY(std::vector<Account> accounts, all_accounts(loaded.config));
        if (!account_.empty()) {
            HF_TRY(Account one, find_account(loaded.config, account_));
            accounts = {std::move(one)};
        }
        LogOptions log;
        log.level = session.global.verbose >= 2 ? LogLevel::debug
                    : session.global.quiet      ? LogLevel::warning
                                                : LogLevel::info;
        log.json = session.global.json;
        log.timestamp = [&clock = session.clock] { return to_rfc3339(clock.now()); };
        set_log(std::move(log));
        std::vector<std::unique_ptr<trade::Desk>> desks;
        for (const Account& account : accounts) {
            HF_TRY(trade::DeskOptions options, desk_options(loaded.config, account, session.clock));
            auto desk = trade::Desk::start(std::move(options), session.clock);
            if (!desk) return fail(std::move(desk).error().within("account " + account.trade.account));
            if (trading_is_off()) {
                (*desk)->service().turn(false, "TRADING_ENABLED");
                log_warning("trading is paused by TRADING_ENABLED; `holdfast trade resume` goes on",
                            {{"account", account.trade.account}});
            }
            log_info("the engine runs", {{"account", account.trade.account},
                                         {"journal", account.journal},
                                         {"socket", account.socket},
                                         {"url", (*desk)->http().url()}});
            desks.push_back(std::move(*desk));
        }
        const auto failed = [&]() -> std::optional<Error> {
            for (const auto& desk : desks)
                if (auto failure = desk->failure()) return failure->within("account " + desk->account());
            return std::nullopt;
        };
        std::optional<Error> failure;
        while (!os::stop_requested() && !(failure = failed())) session.clock.sleep(50ms);
        log_info("stopping: what was taken becomes durable, the lease is given back");
        Status ended;
        for (const auto& desk : desks)
            if (auto done = desk->stop(); !done && ended) ended = std::move(done);
        if (failure) return fail(*std::move(failure));
        HF_DO(ended);
        return 0;
    }

    static bool trading_is_off() {
        std::string value = os::environment("TRADING_ENABLED").value_or("true");
        std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::tolower(c); });
        return value == "false" || value == "0" || value == "no" || value == "off";
    }
    std::string account_;
};

// ---- status

std::string status_text(const json::Value& status) {
    std::string text;
    const bool open = status["gate"].text() == "open";
    std::string waits;
    for (const json::Value& one : status["waits_for"].items()) waits += (waits.empty() ? "" : ", ") + one.text();
    text += fmt::format("{} on {}: gate {}{}\n", status["account"].text(), status["instance"].text(),
                        painted(1, open ? Colour::green : Colour::yellow, status["gate"].text()),
                        waits.empty() ? "" : "; waits for " + waits);
    const auto line = [&](std::string_view name, const std::string& what) {
        text += fmt::format("  {:<8} {}\n", name, what);
    };
    const json::Value& orders = status["orders"];
    line("trading", status["trading"].boolean() ? "on" : painted(1, Colour::yellow, "paused"));
    line("lease", status["lease"]["state"].text());
    line("broker", fmt::format("{}: {}{}", printable(status["broker"]["name"].text()),
                               painted(1, status["broker"]["link"].text() == "up" ? Colour::green : Colour::red,
                                       status["broker"]["link"].text()),
                               status["broker"]["disabled"].boolean() ? ", given up for now" : ""));
    line("orders",
         fmt::format("{} open, {} in doubt, {} waiting, {} remembered", orders["open"].natural(),
                     orders["in_doubt"].natural(), orders["waiting"].natural(), orders["remembered"].natural()));
    const json::Value& http = status["http_signals"];
    std::string signals =
        fmt::format("HTTP {} taken, {} refused", http["accepted"].natural() + http["duplicate"].natural(),
                    http["refused"].natural() + http["conflict"].natural() + http["denied"].natural());
    if (const json::Value& redis = status["redis_signals"]; redis.is_object()) {
        signals += fmt::format("; Redis {}: {} taken, {} bad", redis["link"].text(), redis["taken"].natural(),
                               redis["bad"].natural());
        if (const std::string trouble = redis["trouble"].text(); !trouble.empty())
            signals += " (" + printable(trouble) + ")";
    }
    line("signals", signals);
    const json::Value& journal = status["journal"];
    line("journal", fmt::format("{}: {} facts{}", printable(journal["folder"].text()), journal["durable"].natural(),
                                journal["trouble"].text().empty()
                                    ? ""
                                    : painted(1, Colour::red, "; " + printable(journal["trouble"].text()))));
    Table table({"STORE", "STATE", "BACKLOG", "HAS", "WRITTEN", "TROUBLE"}, {false, false, true, true, true, false});
    for (const json::Value& store : status["stores"].items())
        table.row({store["store"].text(), store["state"].text(), std::to_string(store["backlog"].natural()),
                   std::to_string(store["watermark"].natural()), std::to_string(store["written"].natural()),
                   printable(store["error"].text())});
    if (!status["stores"].items().empty()) text += "\n" + table.text(1);
    const auto& messages = status["messages"].items();
    if (!messages.empty()) text += "\n";
    for (std::size_t i = messages.size() > 5 ? messages.size() - 5 : 0; i < messages.size(); ++i)
        text += fmt::format("{}  {}\n", messages[i]["at"].text().substr(11, 8), printable(messages[i]["text"].text()));
    return text;
}

class TradeStatusCommand final : public Command {
    std::string_view name() const override { return "trade status"; }
    std::string_view help() const override { return "gate, lease, links, backlog of each store, orders in doubt"; }
    std::string_view examples() const override {
        return R"(The gate is open when new orders may leave; else it says what it waits for. Exit status 0: the gate is open; 1: it is not.

Examples
  holdfast trade status
  holdfast trade status --watch
  holdfast trade status --account desk-1 --json
)";
    }
    void declare(Options& options) override {
        declare_account(options, account_);
        options.flag("--watch", watch_, "show it anew each second until interrupted");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const Account account, account_of(session, account_));
        EngineDoor door(account);
        for (;;) {
            auto status = door.get("/v1/status");
            if (!status && !watch_) return fail(std::move(status).error());
            if (session.global.json) {
                print_json(status ? *status : error_json(status.error()));
            } else {
                if (watch_ && is_terminal(1)) print("\x1b[H\x1b[2J");
                print(status ? status_text(*status) : status.error().message + "\n");
            }
            std::fflush(stdout);
            if (!watch_) return (*status)["gate"].text() == "open" ? 0 : 1;
            for (int i = 0; i < 20 && !os::stop_requested(); ++i) session.clock.sleep(50ms);
            if (os::stop_requested()) return 0;
        }
    }
    std::string account_;
    bool watch_ = false;
};

// ---- orders

class TradeOrdersCommand final : public Command {
    std::string_view name() const override { return "trade orders"; }
    std::string_view help() const override { return "list the open orders"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast trade orders
  holdfast trade orders --json
)";
    }
    void declare(Options& options) override { declare_account(options, account_); }
    Result<int> run(const Session& session) override {
        HF_TRY(const Account account, account_of(session, account_));
        HF_TRY(const json::Value answer, EngineDoor(account).get("/v1/orders"));
        if (session.global.json) {
            print_json(answer);
            return 0;
        }
        Table table({"ORDER", "STATE", "SYMBOL", "SIDE", "QUANTITY", "FILLED", "TYPE", "ATTEMPTS", "SINCE"},
                    {false, false, false, false, true, true, false, true, false});
        for (const json::Value& order : answer["orders"].items()) {
            const auto since = parse_rfc3339(order["accepted_at"].text());
            table.row({order["id"].text(), order["state"].text(), printable(order["symbol"].text()),
                       order["side"].text(), order["quantity"].text(), order["filled"].text("0"), order["type"].text(),
                       std::to_string(order["attempts"].natural()),
                       since ? local_time(*since) : order["accepted_at"].text()});
        }
        if (!answer["orders"].items().empty())
            print(table.text(1));
        else if (!session.global.quiet)
            print("no order is open\n");
        return 0;
    }
    std::string account_;
};

// A line for people: time, what happened, and the fields that say more.
std::string fact_line(const json::Value& fact) {
    std::string more;
    for (const auto& [key, value] : fact.members()) {
        if (key == "sequence" || key == "at" || key == "kind" || key == "order") continue;
        const std::string text = value.is_string() ? value.text() : json::dump(value);
        more += fmt::format("  {}={}", key, printable(text));
    }
    return fmt::format("{:>10}  {}  {:<16}{}\n", fact["sequence"].natural(), fact["at"].text(), fact["kind"].text(),
                       more);
}

class TradeOrderCommand final : public Command {
    std::string_view name() const override { return "trade order"; }
    std::string_view help() const override { return "the whole life of one order, from the journal"; }
    std::string_view examples() const override {
        return R"(Works beside a running engine and without one. A signal's UUID shows its order and all children.

Examples
  holdfast trade order 0197b8e4-7b6a-7c3e-9d3f-000000000001
)";
    }
    void declare(Options& options) override {
        declare_account(options, account_);
        options.argument("ORDER", order_, Options::Need::required, "its UUID, or its signal's");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const ledger::Uuid id, parse_order(order_));
        HF_TRY(const Account account, account_of(session, account_));
        HF_TRY(const auto folder, trade::JournalFolder::look(account.journal));
        HF_TRY(auto reader, trade::JournalReader::open(*folder, 0));
        auto facts = json::Value::array();
        std::string text;
        std::optional<ledger::Order> last;
        ledger::Book book;
        for (;;) {
            HF_TRY(const auto record, reader.next());
            if (!record) break;
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading the journal");
            HF_TRY(const ledger::Fact fact, ledger::parse_fact(record->payload));
            if (!trade::concerns(fact, id)) continue;
            if (const ledger::Order* order = book.apply(fact)) last = *order;
            json::Value value = trade::fact_json(record->sequence, fact);
            text += fact_line(value);
            facts.push(std::move(value));
        }
        if (facts.items().empty())
            return fail(
                ErrorCode::not_found, fmt::format("the journal in {} has nothing about {}", account.journal, id.text()),
                "what every store has confirmed leaves the journal after a while: DuckDB and ClickHouse have it");
        if (session.global.json) {
            json::Value result = json::Value::object({{"order", id.text()}, {"facts", std::move(facts)}});
            if (last) {
                HF_TRY(json::Value now, json::parse(trade::order_json(*last), "the order"));
                result.set("now", std::move(now));
            }
            print_json(result);
            return 0;
        }
        if (last)
            text += fmt::format("\n{} {} {} of {}: {}, filled {}{}\n", name_of(last->side), last->quantity.text(),
                                printable(last->symbol), last->id.text(), name_of(last->state), last->filled.text(),
                                last->reason.empty() ? "" : " (" + printable(last->reason) + ")");
        print(text);
        return 0;
    }
    std::string account_, order_;
};

// ---- submit and cancel

class TradeSubmitCommand final : public Command {
    std::string_view name() const override { return "trade submit"; }
    std::string_view help() const override { return "hand a signal to the engine"; }
    std::string_view examples() const override {
        return R"(The answer comes when the journal has the signal. The same --id again is the same signal: it is answered with what became of
the first one, so a submit whose answer was lost can be repeated safely with the ID that it printed.

Examples
  holdfast trade submit --symbol EURUSD --side buy --quantity 0.1
  holdfast trade submit --symbol EURUSD --side sell --quantity 1 --type limit --price 1.1 --wait 30
)";
    }
    void declare(Options& options) override {
        declare_account(options, account_);
        options.value("--id", id_, "UUID", "the signal's name (default: a new one)");
        options.value("--symbol", symbol_, "SYMBOL", "what to trade");
        options.choice("--side", side_, {"buy", "sell"}, "buy or sell");
        options.choice("--type", type_, {"market", "limit", "stop"}, "market (default), limit or stop");
        options.value("--quantity", quantity_, "NUMBER", "how much");
        options.value("--price", price_, "NUMBER", "of a limit or stop order");
        options.value("--stop-loss", stop_loss_, "NUMBER", "close at a loss there");
        options.value("--take-profit", take_profit_, "NUMBER", "close with profit there");
        options.value("--strategy", strategy_, "NAME", "for reports");
        options.number("--wait", wait_, 0, "SECONDS", "until the order is closed, at most so long");
    }
    Result<int> run(const Session& session) override {
        if (symbol_.empty() || side_.empty() || quantity_.empty())
            return fail(ErrorCode::usage, "a signal needs --symbol, --side and --quantity",
                        "`holdfast trade submit --help` shows one");
        ledger::Uuid id = new_uuid(session.clock);
        if (!id_.empty()) {
            HF_TRY(id, parse_order(id_));
        }
        auto signal =
            json::Value::object({{"id", id.text()}, {"symbol", symbol_}, {"side", side_}, {"quantity", quantity_}});
        const auto add = [&](const char* key, const std::string& text) {
            if (!text.empty()) signal.set(key, text);
        };
        add("type", type_);
        add("price", price_);
        add("stop_loss", stop_loss_);
        add("take_profit", take_profit_);
        add("strategy", strategy_);
        signal.set("created_at", to_rfc3339(session.clock.now()));
        HF_TRY(const Account account, account_of(session, account_));
        EngineDoor door(account);
        auto answer = door.answer("POST", "/v1/signals", json::dump(signal));
        if (!answer) {
            Error error = std::move(answer).error();
            error.hint += fmt::format("; whether it was taken is not known: the same again with --id {}", id.text());
            return fail(std::move(error));
        }
        HF_TRY(json::Value outcome, json::parse(answer->body, "the engine's answer"));
        if (answer->status != 200 && answer->status != 202)
            return fail(answer->status == 503   ? ErrorCode::unreachable
                        : answer->status == 409 ? ErrorCode::exists
                                                : ErrorCode::usage,
                        outcome["text"].text(outcome["error"].text("the engine refuses the signal")),
                        answer->status == 503 ? fmt::format("the same again with --id {}", id.text()) : "");
        const std::string verdict = outcome["verdict"].text();
        json::Value order = outcome["order"];
        const auto closed = [&] {
            const auto state = ledger::order_state_of(order["state"].text());
            return state && ledger::is_closed(*state);
        };
        for (Duration waited{}; wait_ > 0 && !closed() && waited < std::chrono::seconds(wait_) && !os::stop_requested();
             waited += 50ms) {
            session.clock.sleep(50ms);
            HF_TRY(order, door.get("/v1/orders/" + id.text()));
        }
        if (session.global.json) {
            print_json(json::Value::object({{"id", id.text()}, {"verdict", verdict}, {"order", order}}));
        } else if (!session.global.quiet) {
            print(fmt::format("{}: {}, {}, filled {}{}\n", id.text(), verdict, order["state"].text("accepted"),
                              order["filled"].text("0"),
                              order["reason"].text().empty() ? "" : " (" + printable(order["reason"].text()) + ")"));
        }
        return wait_ > 0 && order["state"].text() != "filled" ? 1 : 0;
    }
    std::string account_, id_, symbol_, side_, type_, quantity_, price_, stop_loss_, take_profit_, strategy_;
    std::int64_t wait_ = 0;
};

/// A command that asks the door for one thing and says what was answered.
class DoorCommand : public Command {
public:
    void declare(Options& options) override { declare_account(options, account_); }

protected:
    Result<int> ask(const Session& session, const std::string& path, const json::Value& body,
                    const std::function<std::string(const json::Value&)>& text) {
        HF_TRY(const Account account, account_of(session, account_));
        HF_TRY(const json::Value answer, EngineDoor(account).post(path, body));
        if (session.global.json)
            print_json(answer);
        else if (!session.global.quiet)
            print(account.trade.account + ": " + text(answer) + "\n");
        return 0;
    }
    std::string account_;
};

class TradeCancelCommand final : public DoorCommand {
    std::string_view name() const override { return "trade cancel"; }
    std::string_view help() const override { return "take an open order back"; }
    std::string_view examples() const override {
        return R"(The broker decides: what was filled by then stays filled.

Examples
  holdfast trade cancel 0197b8e4-7b6a-7c3e-9d3f-000000000001
)";
    }
    void declare(Options& options) override {
        DoorCommand::declare(options);
        options.argument("ORDER", order_, Options::Need::required, "its UUID");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const ledger::Uuid id, parse_order(order_));
        return ask(session, "/v1/cancel", json::Value::object({{"order", id.text()}}),
                   [&](const json::Value&) { return "the cancellation of " + id.text() + " is under way"; });
    }
    std::string order_;
};

class TradeSwitchCommand final : public DoorCommand {
public:
    explicit TradeSwitchCommand(bool on) : on_(on) {}

private:
    std::string_view name() const override { return on_ ? "trade resume" : "trade pause"; }
    std::string_view help() const override {
        return on_ ? "let new orders leave again" : "let no new order leave; executions still flow";
    }
    std::string_view examples() const override {
        return on_ ? R"(Examples
  holdfast trade resume
)"
                   : R"(Stays over restarts, until `holdfast trade resume`. Signals are still taken; those that are not begun within their time
expire.

Examples
  holdfast trade pause
)";
    }
    Result<int> run(const Session& session) override {
        return ask(session, "/v1/trading",
                   json::Value::object({{"on", on_}, {"who", os::user_name() + "@" + os::host_name()}}),
                   [&](const json::Value&) { return on_ ? "trading goes on" : "trading is paused"; });
    }
    const bool on_;
};

class TradeResumeSyncCommand final : public DoorCommand {
    std::string_view name() const override { return "trade resume-sync"; }
    std::string_view help() const override { return "try a suspended store again, at once"; }
    std::string_view examples() const override {
        return R"(With the profile mt5, ClickHouse is suspended after five failed attempts, and waits for this.

Examples
  holdfast trade resume-sync
  holdfast trade resume-sync clickhouse
)";
    }
    void declare(Options& options) override {
        DoorCommand::declare(options);
        options.argument("STORE", store_, Options::Need::optional, "redis, duckdb or clickhouse (default: all)");
    }
    Result<int> run(const Session& session) override {
        return ask(session, "/v1/resume-sync",
                   store_.empty() ? json::Value::object() : json::Value::object({{"store", store_}}),
                   [](const json::Value& answer) {
                       std::string stores;
                       for (const json::Value& store : answer["resumed"].items())
                           stores += (stores.empty() ? "" : ", ") + store.text();
                       return "tried again now: " + stores;
                   });
    }
    std::string store_;
};

}    // namespace

std::vector<std::unique_ptr<Command>> trade_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(std::make_unique<TradeRunCommand>());
    all.push_back(std::make_unique<TradeStatusCommand>());
    all.push_back(std::make_unique<TradeOrdersCommand>());
    all.push_back(std::make_unique<TradeOrderCommand>());
    all.push_back(std::make_unique<TradeSubmitCommand>());
    all.push_back(std::make_unique<TradeCancelCommand>());
    all.push_back(std::make_unique<TradeSwitchCommand>(false));
    all.push_back(std::make_unique<TradeSwitchCommand>(true));
    all.push_back(std::make_unique<TradeResumeSyncCommand>());
    return all;
}

}    // namespace holdfast::cli
