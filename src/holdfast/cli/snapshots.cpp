#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {
namespace {

struct SnapshotsArguments {
    FilterArguments filter;
    std::int64_t latest = 0;    // 0: all
};

bool fits(const format::Snapshot& snapshot, const FilterArguments& filter) {
    const auto has_all = [](const std::vector<std::string>& all, const std::vector<std::string>& wanted) {
        return std::ranges::all_of(wanted,
                                   [&](const std::string& w) { return std::ranges::find(all, w) != all.end(); });
    };
    if (!filter.host.empty() && snapshot.hostname != filter.host) return false;
    return has_all(snapshot.tags, filter.tags) && has_all(snapshot.paths, filter.paths);
}

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + printable(word);
    return all;
}

std::string table(const std::vector<vault::SnapshotEntry>& entries) {
    Table table({"ID", "Time", "Host", "Tags", "Size", "Paths"}, {false, false, false, false, true, false});
    for (const auto& [id, snapshot] : entries)
        table.row({id.brief(), local_time(snapshot.time), printable(snapshot.hostname), joined(snapshot.tags),
                   snapshot.summary ? human_size(snapshot.summary->total_bytes_processed) : "",
                   joined(snapshot.paths)});
    return table.text(1);
}

Result<int> run_snapshots(const Session& session, const SnapshotsArguments& arguments) {
    HF_TRY(const auto repository, open_repository(session));
    bool damaged = false;
    HF_TRY(auto entries, repository->snapshots([&](const Id& id, const Error& error) {
        damaged = true;
        log_error("a snapshot cannot be read", {{"snapshot", id.brief()}, {"why", error.message}});
    }));
    std::erase_if(entries, [&](const vault::SnapshotEntry& entry) { return !fits(entry.snapshot, arguments.filter); });
    if (arguments.latest > 0 && std::ssize(entries) > arguments.latest)
        entries.erase(entries.begin(), entries.end() - arguments.latest);
    if (session.global.json) {
        json::Value list = json::Value::array();
        for (const auto& entry : entries) list.push(snapshot_json(entry));
        print_json(json::Value::object({{"snapshots", std::move(list)}}));
    } else if (entries.empty()) {
        if (!session.global.quiet) print_note("no snapshots\n");
    } else {
        print(table(entries));
        if (!session.global.quiet)
            print(fmt::format("{} snapshot{}\n", entries.size(), entries.size() == 1 ? "" : "s"));
    }
    return damaged ? 3 : 0;
}

class SnapshotsCommand final : public Command {
    std::string_view name() const override { return "snapshots"; }
    std::string_view help() const override { return "list snapshots"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast snapshots
  holdfast snapshots --tag before-deploy --latest 3
  holdfast snapshots --json | jq '.snapshots[-1].id'
)";
    }
    void declare(Options& options) override {
        options.filter(arguments_.filter);
        options.number("--latest", arguments_.latest, 0, "N", "only the newest N");
    }
    Result<int> run(const Session& session) override { return run_snapshots(session, arguments_); }

    SnapshotsArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> snapshots_command() { return std::make_unique<SnapshotsCommand>(); }

}    // namespace holdfast::cli
