#include "holdfast/vault/tag.hpp"

#include <fmt/core.h>

#include "holdfast/cli/choose.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {
namespace {

struct Arguments {
    std::vector<std::string> ids;
    FilterArguments filter;
    std::vector<std::string> set, add, remove;
};

// "--add a,b" and "--add a --add b" are the same, as in restic.
std::vector<std::string> flattened(const std::vector<std::string>& lists) {
    std::vector<std::string> tags;
    for (const std::string& list : lists)
        for (std::size_t at = 0; at <= list.size();) {
            const std::size_t end = std::min(list.find(',', at), list.size());
            if (end > at) tags.push_back(list.substr(at, end - at));
            at = end + 1;
        }
    return tags;
}

class TagCommand final : public Command {
    std::string_view name() const override { return "tag"; }
    std::string_view help() const override { return "change the tags of snapshots"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast tag --add before-deploy latest
  holdfast tag --remove test --add audit,2026 7a1b2c3d 91e0aa35
  holdfast tag --set '' --host old-desk            no tags at all on any snapshot of that host

A snapshot with other tags is a new file with a new ID; the old one goes. `holdfast snapshots` shows the new IDs.
)";
    }
    void declare(Options& options) override {
        options.arguments("SNAPSHOT", arguments_.ids, Options::Need::optional, "only these (all that fit the filter)");
        options.list("--set", arguments_.set, "TAG[,TAG]", "these tags instead of all that are there");
        options.list("--add", arguments_.add, "TAG[,TAG]", "these tags, too");
        options.list("--remove", arguments_.remove, "TAG[,TAG]", "not these tags");
        options.filter(arguments_.filter);
    }
    Result<int> run(const Session& session) override {
        vault::TagChange change;
        if (!arguments_.set.empty()) change.set = flattened(arguments_.set);
        change.add = flattened(arguments_.add);
        change.remove = flattened(arguments_.remove);
        if (!change.set && change.add.empty() && change.remove.empty())
            return fail(ErrorCode::usage, "nothing says how the tags change", "give --set, --add or --remove");
        if (change.set && !(change.add.empty() && change.remove.empty()))
            return fail(ErrorCode::usage, "--set leaves nothing for --add and --remove", "give one or the others");
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, repository->lock(vault::LockMode::exclusive));
        HF_TRY(const auto all, repository->snapshots());
        HF_TRY(const auto chosen, choose_snapshots(all, arguments_.ids, arguments_.filter));
        HF_TRY(const auto changed, vault::tag(*repository, *lock, all, chosen, change));
        if (session.global.json) {
            json::Value list = json::Value::array();
            for (const vault::Replacement& one : changed)
                list.push(
                    json::Value::object({{"old", one.old.id.hex()}, {"snapshot", snapshot_json({one.id, one.fresh})}}));
            print_json(json::Value::object({{"changed", std::move(list)}}));
        } else if (!session.global.quiet) {
            for (const vault::Replacement& one : changed)
                print(fmt::format("{} is now {}: {}\n", one.old.id.brief(), one.id.brief(),
                                  one.fresh.tags.empty() ? "no tags" : joined(one.fresh.tags)));
            print(fmt::format("{} of {} snapshots changed\n", changed.size(), chosen.size()));
        }
        return 0;
    }

    Arguments arguments_;
};

}    // namespace

std::unique_ptr<Command> tag_command() { return std::make_unique<TagCommand>(); }

}    // namespace holdfast::cli
