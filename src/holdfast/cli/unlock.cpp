#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/vault/lock.hpp"

namespace holdfast::cli {
namespace {

class UnlockCommand final : public Command {
    std::string_view name() const override { return "unlock"; }
    std::string_view help() const override { return "remove locks that nobody holds any more"; }
    std::string_view examples() const override {
        return R"(A lock is stale when its process (of this host) is gone, or when it is older than 30 minutes: a live holder refreshes
its lock every 5. --remove-all takes every lock away; whoever still works then stops at its next step.

Examples
  holdfast unlock
  holdfast unlock --remove-all                     only when it is certain that nothing runs
)";
    }
    void declare(Options& options) override {
        options.flag("--remove-all", remove_all_, "also locks that are not stale");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const vault::UnlockReport report, vault::unlock(*repository, remove_all_));
        if (session.global.json) {
            print_json(
                json::Value::object({{"removed", strings_json(report.removed)}, {"left", strings_json(report.left)}}));
        } else if (!session.global.quiet) {
            for (const std::string& lock : report.removed) print(fmt::format("removed: {}\n", printable(lock)));
            for (const std::string& lock : report.left) print(fmt::format("still held: {}\n", printable(lock)));
            if (report.removed.empty() && report.left.empty()) print("there are no locks\n");
        }
        return 0;
    }
    bool remove_all_ = false;
};

}    // namespace

std::unique_ptr<Command> unlock_command() { return std::make_unique<UnlockCommand>(); }

}    // namespace holdfast::cli
