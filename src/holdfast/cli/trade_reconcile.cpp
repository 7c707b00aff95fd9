// `holdfast trade reconcile`: do the journal, the stores and the broker say the same?

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/trade_desk.hpp"

namespace holdfast::cli {
namespace {

constexpr Duration k_patience = std::chrono::minutes(30);
constexpr std::size_t k_shown_max = 20;

class TradeReconcileCommand final : public Command {
    std::string_view name() const override { return "trade reconcile"; }
    std::string_view help() const override { return "compare journal, stores and broker, and repair forward"; }
    std::string_view examples() const override {
        return R"(The running engine compares what its journal says with Redis, DuckDB and ClickHouse, as far as each of them claims to be level,
and asks the broker for every open order. What a store lacks, or has otherwise, is written again out of the journal; nothing
is ever taken back. What the broker says differently goes the usual way: into the journal, and from there into the stores.
Exit status 0: all equal, or made equal; 1: a difference stays.

Examples
  holdfast trade reconcile --dry-run
  holdfast trade reconcile
)";
    }
    void declare(Options& options) override {
        options.value("--account", account_, "NAME", "which account, when several are configured");
        options.flag("-n,--dry-run", dry_run_, "say the differences and change nothing");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        HF_TRY(const Account account, find_account(loaded.config, account_));
        HF_TRY(const json::Value answer,
               EngineDoor(account).post("/v1/reconcile", json::Value::object({{"repair", !dry_run_}}), k_patience));
        const bool equal = answer["equal"].boolean();
        if (session.global.json) {
            print_json(answer);
            return equal ? 0 : 1;
        }
        Table table({"STORE", "ORDERS", "EXECUTIONS", "DIFFERENCES", "REPAIRED", "TROUBLE"},
                    {false, true, true, true, true, false});
        for (const json::Value& store : answer["stores"].items())
            table.row({store["store"].text(), std::to_string(store["orders"].natural()),
                       std::to_string(store["executions"].natural()),
                       std::to_string(store["differences"].items().size()), std::to_string(store["repaired"].natural()),
                       printable(store["error"].text())});
        if (!answer["stores"].items().empty()) print(table.text(1));
        for (const json::Value& store : answer["stores"].items()) {
            std::size_t shown = 0;
            for (const json::Value& one : store["differences"].items()) {
                if (shown++ == k_shown_max) {
                    print(fmt::format("{}: … and {} more (--json lists all)\n", store["store"].text(),
                                      store["differences"].items().size() - k_shown_max));
                    break;
                }
                const bool is_order = !one["order"].text().empty();
                print(fmt::format("{}: {} {} {}\n", store["store"].text(), is_order ? "order" : "execution",
                                  printable(one[is_order ? "order" : "execution"].text()),
                                  printable(one["what"].text())));
            }
        }
        if (session.global.quiet) return equal ? 0 : 1;
        print(answer["broker"].text() == "up"
                  ? fmt::format("broker: asked for {} open orders; what it says goes into the journal\n",
                                answer["asked"].natural())
                  : "broker: its link is down; the open orders are asked for when it is back\n");
        print(equal      ? "journal and stores agree\n"
              : dry_run_ ? "there are differences: without --dry-run they are repaired\n"
                         : "differences stay\n");
        return equal ? 0 : 1;
    }
    std::string account_;
    bool dry_run_ = false;
};

}    // namespace

std::unique_ptr<Command> trade_reconcile_command() { return std::make_unique<TradeReconcileCommand>(); }

}    // namespace holdfast::cli
