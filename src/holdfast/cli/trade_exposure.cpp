// `holdfast trade exposure`: what would be lost if this host died now?

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/trade_desk.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/fact_json.hpp"
#include "holdfast/trade/journal_reader.hpp"

namespace holdfast::cli {
namespace {

using ledger::Sequence;

constexpr std::size_t k_shown_max = 20;

/// A store or the vault, as a second place for what the journal says.
struct Copy {
    std::string name;
    bool here = true;    // it lies on this host, and would die with it
    Sequence has = 0;    // everything up to this
};

/// Facts of the journal that a copy, or all of them, lacks.
struct Lacking {
    std::set<std::string> orders, executions;
    void add(const ledger::Fact& fact, const json::Value& as_json) {
        if (const auto* executed = std::get_if<ledger::OrderExecuted>(&fact.data))
            executions.insert(executed->execution.id);
        if (const std::string order = as_json["order"].text(); !order.empty()) orders.insert(order);
    }
};

bool is_here(std::string_view host) {
    return host.empty() || host.starts_with('/') || host == "localhost" || host.starts_with("127.") || host == "::1" ||
           host == "[::1]" || host == os::host_name();
}

std::string_view host_of_url(std::string_view url) {
    if (const std::size_t scheme = url.find("://"); scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
    url = url.substr(0, url.find('/'));
    return url.substr(0, url.rfind(':'));
}

// What the account's copies are, and how far each reaches. Without an engine: as far as its journal last noted.
std::vector<Copy> copies_of(const policy::Config& config, const Account& account, const json::Value* status,
                            const std::vector<std::pair<ledger::Sink, Sequence>>& confirmed) {
    std::vector<Copy> copies;
    const auto reach = [&](ledger::Sink sink) -> Sequence {
        if (status != nullptr)
            for (const json::Value& store : (*status)["stores"].items())
                if (store["store"].text() == name_of(sink)) return store["level"].natural();
        for (const auto& [one, sequence] : confirmed)
            if (one == sink) return sequence;
        return 0;
    };
    const policy::TradeConfig& trade = account.trade;
    if (!trade.redis.empty()) {
        bool here = is_here(std::ranges::find(config.redis, trade.redis, &policy::RedisConfig::name)->host);
        // Sentinels beside each other on this host watch servers of this host.
        if (!trade.redis_sentinels.empty())
            here = std::ranges::all_of(trade.redis_sentinels, [](const std::string& sentinel) {
                return is_here(std::string_view(sentinel).substr(0, sentinel.rfind(':')));
            });
        copies.push_back({"redis", here, reach(ledger::Sink::redis)});
    }
    if (!trade.duckdb.empty()) copies.push_back({"duckdb", true, reach(ledger::Sink::duckdb)});
    if (!trade.clickhouse.empty())
        copies.push_back(
            {"clickhouse",
             is_here(host_of_url(
                 std::ranges::find(config.clickhouse, trade.clickhouse, &policy::ClickHouseConfig::name)->url)),
             reach(ledger::Sink::clickhouse)});
    if (!config.repository.location.empty())
        copies.push_back({"vault", config.repository.location.starts_with('/'), reach(ledger::Sink::vault)});
    return copies;
}

/// The farthest that any copy on another host reaches; 0: there is none.
Sequence farthest_elsewhere(const std::vector<Copy>& copies) {
    Sequence farthest = 0;
    for (const Copy& copy : copies)
        if (!copy.here) farthest = std::max(farthest, copy.has);
    return farthest;
}

class TradeExposureCommand final : public Command {
    std::string_view name() const override { return "trade exposure"; }
    std::string_view help() const override { return "what would be lost if this host died now, per store and copy"; }
    std::string_view examples() const override {
        return R"(Compares the journal with how far each store and the vault reach, and counts as lost what only this host has: a store on
localhost dies with it. Orders that are open at the broker are found there by the next instance, whatever is lost here.
Exit status 0: nothing would be lost; 1: something would.

Examples
  holdfast trade exposure
  holdfast trade exposure --json
)";
    }
    void declare(Options& options) override {
        options.value("--account", account_, "NAME", "which account, when several are configured");
    }
    Result<int> run(const Session& session) override;
    std::string account_;
};

Result<int> TradeExposureCommand::run(const Session& session) {
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    HF_TRY(const Account account, find_account(loaded.config, account_));
    const auto status = EngineDoor(account).get("/v1/status");
    HF_TRY(const auto folder, trade::JournalFolder::look(account.journal));

    // One pass: what the journal says of the stores, and every fact that they are to have.
    std::vector<std::pair<ledger::Sink, Sequence>> confirmed;
    struct Noted {
        Sequence sequence;
        ledger::Fact fact;
    };
    // What all copies have, one on another host among them, need not be read.
    Sequence last = 0, skip = 0;
    if (status) {
        last = (*status)["journal"]["durable"].natural();
        const std::vector<Copy> all = copies_of(loaded.config, account, &*status, {});
        skip = farthest_elsewhere(all);
        for (const Copy& copy : all) skip = std::min(skip, copy.has);
    }
    std::vector<Noted> facts;
    auto reader = trade::JournalReader::open(*folder, skip > 0 ? skip + 1 : 0);
    // What every copy has may have left the journal.
    if (!reader && reader.error().code == ErrorCode::not_found) reader = trade::JournalReader::open(*folder, 0);
    if (!reader) return fail(std::move(reader).error());
    for (;;) {
        HF_TRY(const auto record, reader->next());
        if (!record) break;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading the journal");
        HF_TRY(ledger::Fact fact, ledger::parse_fact(record->payload));
        last = std::max(last, record->sequence);
        if (const auto* advance = std::get_if<ledger::SinkConfirmed>(&fact.data)) {
            std::erase_if(confirmed, [&](const auto& one) { return one.first == advance->sink; });
            confirmed.emplace_back(advance->sink, advance->sequence);
        } else if (!std::holds_alternative<ledger::SessionStarted>(fact.data) &&
                   !std::holds_alternative<ledger::TradingSwitched>(fact.data) &&
                   !std::holds_alternative<ledger::StoresAsked>(fact.data)) {
            facts.push_back({record->sequence, std::move(fact)});
        }
    }
    const std::vector<Copy> copies = copies_of(loaded.config, account, status ? &*status : nullptr, confirmed);
    const Sequence elsewhere = farthest_elsewhere(copies);
    std::vector<Lacking> lacking(copies.size());
    Lacking lost;
    for (const Noted& noted : facts) {
        const json::Value as_json = trade::fact_json(noted.sequence, noted.fact);
        for (std::size_t i = 0; i < copies.size(); ++i)
            if (noted.sequence > copies[i].has) lacking[i].add(noted.fact, as_json);
        if (noted.sequence > elsewhere) lost.add(noted.fact, as_json);
    }

    const bool exposed = !lost.orders.empty() || !lost.executions.empty();
    if (session.global.json) {
        auto list = json::Value::array();
        for (std::size_t i = 0; i < copies.size(); ++i)
            list.push(json::Value::object({{"copy", copies[i].name},
                                           {"on_this_host", copies[i].here},
                                           {"has", copies[i].has},
                                           {"lacks_orders", lacking[i].orders.size()},
                                           {"lacks_executions", lacking[i].executions.size()}}));
        auto orders = json::Value::array(), executions = json::Value::array();
        for (const std::string& id : lost.orders) orders.push(id);
        for (const std::string& id : lost.executions) executions.push(id);
        print_json(json::Value::object(
            {{"account", account.trade.account},
             {"journal", json::Value::object({{"folder", account.journal}, {"last", last}})},
             {"engine", status.has_value()},
             {"copies", std::move(list)},
             {"lost", json::Value::object({{"orders", std::move(orders)}, {"executions", std::move(executions)}})}}));
        return exposed ? 1 : 0;
    }
    if (!status && !session.global.quiet) print_note("no engine runs: as far as its journal last noted\n");
    Table table({"COPY", "WHERE", "HAS UP TO", "LACKS ORDERS", "LACKS EXECUTIONS"}, {false, false, true, true, true});
    table.row({"journal", "this host", std::to_string(last), "0", "0"});
    for (std::size_t i = 0; i < copies.size(); ++i)
        table.row({copies[i].name, copies[i].here ? "this host" : "another host", std::to_string(copies[i].has),
                   std::to_string(lacking[i].orders.size()), std::to_string(lacking[i].executions.size())});
    print(table.text(1));
    if (!exposed) {
        print(painted(1, Colour::green, "\nif this host died now, nothing would be lost\n"));
        return 0;
    }
    print(painted(
        1, Colour::yellow,
        fmt::format("\nif this host died now, {} executions and what happened to {} orders would be known to no "
                    "store elsewhere{}\n",
                    lost.executions.size(), lost.orders.size(),
                    elsewhere == 0 ? " (no store lies on another host)" : "")));
    const auto list = [](std::string_view what, const std::set<std::string>& ids) {
        std::size_t shown = 0;
        for (const std::string& id : ids) {
            if (shown++ == k_shown_max)
                return print(fmt::format("  … and {} more (--json lists all)\n", ids.size() - k_shown_max));
            print(fmt::format("  {} {}\n", what, printable(id)));
        }
    };
    list("order", lost.orders);
    list("execution", lost.executions);
    return 1;
}

}    // namespace

std::unique_ptr<Command> trade_exposure_command() { return std::make_unique<TradeExposureCommand>(); }

}    // namespace holdfast::cli
