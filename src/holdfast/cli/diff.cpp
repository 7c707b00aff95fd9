#include "holdfast/vault/diff.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"

namespace holdfast::cli {
namespace {

json::Value counts_json(const vault::DiffCounts& counts) {
    return json::Value::object({{"files", counts.files},
                                {"dirs", counts.dirs},
                                {"others", counts.others},
                                {"data_blobs", counts.data_blobs},
                                {"tree_blobs", counts.tree_blobs},
                                {"bytes", counts.bytes}});
}

class DiffCommand final : public Command {
    std::string_view name() const override { return "diff"; }
    std::string_view help() const override { return "what changed between two snapshots"; }
    std::string_view examples() const override {
        return R"(+ added, - removed, M content changed, U metadata changed (with --metadata), T another type. Below stand counts, and how much
only one of the two needs. With --json each change is a line of its own, the counts are the last one.

Examples
  holdfast diff 1a2b3c4d latest
  holdfast diff --metadata 1a2b3c4d 5e6f7a8b
)";
    }
    void declare(Options& options) override {
        options.no_lock(no_lock_);
        options.argument("SNAPSHOT", before_, Options::Need::required, "the earlier one: ID or latest");
        options.argument("SNAPSHOT2", after_, Options::Need::required, "the later one");
        options.flag("--metadata", metadata_, "also changes of mode, owner, times and the like");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, lock_for_reading(*repository, no_lock_));
        HF_TRY(const auto before, repository->find_snapshot(before_));
        HF_TRY(const auto after, repository->find_snapshot(after_));
        HF_DO(repository->load_index());
        const bool as_json = session.global.json;
        vault::DiffOptions options;
        options.metadata = metadata_;
        options.changed = [&](const vault::Change& change) -> Status {
            print(as_json ? json::dump(json::Value::object(
                                {{"message_type", "change"}, {"path", change.path}, {"modifier", change.modifier}})) +
                                "\n"
                          : fmt::format("{:5}{}\n", change.modifier, printable(change.path)));
            return {};
        };
        HF_TRY(const vault::DiffReport report,
               vault::diff(*repository, before.snapshot.tree, after.snapshot.tree, options));
        if (as_json) {
            print(json::dump(json::Value::object({{"message_type", "statistics"},
                                                  {"source_snapshot", before.id.hex()},
                                                  {"target_snapshot", after.id.hex()},
                                                  {"changed_files", report.changed_files},
                                                  {"added", counts_json(report.added)},
                                                  {"removed", counts_json(report.removed)}})) +
                  "\n");
            return 0;
        }
        if (session.global.quiet) return 0;
        const auto& [added, removed] = std::pair(report.added, report.removed);
        print(
            fmt::format("\nFiles:       {:5} new, {:5} removed, {:5} changed\n"
                        "Dirs:        {:5} new, {:5} removed\n"
                        "Others:      {:5} new, {:5} removed\n"
                        "Data blobs:  {:5} new, {:5} removed\n"
                        "Tree blobs:  {:5} new, {:5} removed\n"
                        "Added:   {}\nRemoved: {}\n",
                        added.files, removed.files, report.changed_files, added.dirs, removed.dirs, added.others,
                        removed.others, added.data_blobs, removed.data_blobs, added.tree_blobs, removed.tree_blobs,
                        human_size(added.bytes), human_size(removed.bytes)));
        return 0;
    }
    std::string before_, after_;
    bool metadata_ = false, no_lock_ = false;
};

}    // namespace

std::unique_ptr<Command> diff_command() { return std::make_unique<DiffCommand>(); }

}    // namespace holdfast::cli
