#include "holdfast/cli/restore.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::cli {
namespace {

// --only NAME means this component's folder of the snapshot.
Result<std::vector<std::string>> folders_of(const vault::Repository& repository, const vault::SnapshotEntry& entry,
                                            const std::vector<std::string>& only) {
    HF_TRY(const json::Value manifest, source::read_manifest(repository, entry));
    std::vector<std::string> folders;
    for (const std::string& wanted : only) {
        bool found = false;
        for (const json::Value& component : manifest["components"].items()) {
            if (component["name"].text() != wanted && component["kind"].text() != wanted) continue;
            found = true;
            for (const json::Value& path : component["artefacts"].items()) folders.push_back("/" + path.text());
        }
        if (!found)
            return fail(ErrorCode::not_found,
                        fmt::format("snapshot {} holds no component '{}'", entry.id.brief(), wanted),
                        "`holdfast ls` lists what it holds");
    }
    return folders;
}

Result<int> restore_files(const Session& session, const RestoreArguments& arguments,
                          const vault::Repository& repository, const vault::SnapshotEntry& entry) {
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    vault::RestoreOptions options;
    options.target = os::absolute_path(arguments.target);
    options.include = arguments.include;
    if (!arguments.only.empty()) {
        HF_TRY(std::vector<std::string> folders, folders_of(repository, entry, arguments.only));
        std::ranges::move(folders, std::back_inserter(options.include));
        // A component that failed has no folder: nothing to restore must not become everything.
        if (options.include.empty())
            return fail(ErrorCode::not_found,
                        fmt::format("snapshot {} holds nothing of what --only names", entry.id.brief()),
                        "`holdfast ls` lists what it holds");
    }
    options.overwrite = arguments.overwrite;
    options.dry_run = arguments.dry_run;
    options.progress = [&](const vault::RestoreProgress& now) {
        progress.show(
            {now.bytes_done, now.bytes_total, "", fmt::format("{} of {} files", now.files_done, now.files_total)});
    };
    const Instant started = session.clock.instant();
    auto restored = vault::restore(repository, entry, options);
    progress.clear();
    if (!restored && restored.error().code == ErrorCode::exists)
        return fail(ErrorCode::exists, restored.error().message,
                    "name an empty folder, or add --overwrite to replace what is in the way");
    HF_TRY(const vault::RestoreSummary summary, std::move(restored));
    const double took = seconds(session.clock.instant() - started);
    if (session.global.json) {
        json::Value warnings = json::Value::array();
        for (const auto& [path, error] : summary.warnings)
            warnings.push(json::Value::object({{"path", path}, {"message", error.message}}));
        print_json(json::Value::object({{"snapshot", entry.id.hex()},
                                        {"target", options.target},
                                        {"dry_run", arguments.dry_run},
                                        {"files", summary.files},
                                        {"folders", summary.folders},
                                        {"others", summary.others},
                                        {"bytes", summary.bytes},
                                        {"warnings", std::move(warnings)},
                                        {"seconds", took}}));
        return 0;
    }
    for (const auto& [path, error] : summary.warnings)
        print_note(
            fmt::format("{} {}: {}\n", painted(2, Colour::yellow, "not as it was:"), printable(path), error.message));
    if (!session.global.quiet)
        print(fmt::format("{} {} files and {} folders ({}) of snapshot {} to {}{}\n",
                          arguments.dry_run ? "would restore" : "restored", summary.files, summary.folders,
                          human_size(summary.bytes), entry.id.brief(), printable(options.target),
                          arguments.dry_run ? "" : " in " + human_duration(took)));
    return 0;
}

Result<int> run_restore(const Session& session, const RestoreArguments& arguments) {
    if (arguments.target.empty() && (arguments.overwrite || !arguments.include.empty()))
        return fail(ErrorCode::usage, "--include and --overwrite go with --target",
                    "add --target FOLDER to lay out plain files, or use --only and --replace for the stores");
    if (!arguments.target.empty()) {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, repository->lock(vault::LockMode::shared));
        HF_TRY(const auto entry, repository->find_snapshot(arguments.snapshot, snapshot_filter(arguments.filter)));
        HF_DO(repository->load_index());
        return restore_files(session, arguments, *repository, entry);
    }
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    HF_TRY(const auto repository, open_repository(session, &loaded.config));
    HF_TRY(const auto lock, repository->lock(vault::LockMode::shared));
    vault::SnapshotFilter filter = snapshot_filter(arguments.filter);
    // Snapshots of plain paths may be newer; "latest" without a filter is this stack's latest.
    if (filter.host.empty() && filter.paths.empty() && filter.tags.empty())
        filter.paths = {source::stack_path(loaded.config)};
    HF_TRY(const auto entry,
           repository->find_snapshot(arguments.snapshot,
                                     arguments.snapshot == "latest" ? filter : vault::SnapshotFilter{}));
    HF_DO(repository->load_index());
    return restore_stores(session, arguments, loaded.config, *repository, entry);
}

class RestoreCommand final : public Command {
    std::string_view name() const override { return "restore"; }
    std::string_view help() const override { return "bring a snapshot back, into the stores or as plain files"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast restore latest --dry-run                what would be done, and what would be replaced
  holdfast restore latest                          into the stores that holdfast.toml names; asks first
  holdfast restore latest --only redis --yes       no question (needed where there is no terminal)
  holdfast restore latest --yes --replace          live stores are put aside and replaced; the old ones are kept
  holdfast restore 1a2b3c4d --target /tmp/back     as plain files: dumps, RDB, DuckDB files, configuration
  holdfast restore latest --target /tmp/back --include /etc/nginx
)";
    }
    void declare(Options& options) override {
        options.argument("SNAPSHOT", arguments_.snapshot, Options::Need::required, "ID or latest");
        options.list("--only", arguments_.only, "COMPONENT", "only this component, by name or kind");
        options.value("-t,--target", arguments_.target, "FOLDER",
                      "lay plain files out below this folder; touch no store");
        options.list("-i,--include", arguments_.include, "PATH", "with --target: only this path");
        options.flag("-n,--dry-run", arguments_.dry_run, "say what would be done, and stop");
        options.flag("-y,--yes", arguments_.yes, "do not ask");
        options.flag("--replace", arguments_.replace, "put live stores and files aside and take their place");
        options.flag("--overwrite", arguments_.overwrite, "with --target: replace files that are in the way");
        options.filter(arguments_.filter);
    }
    Result<int> run(const Session& session) override { return run_restore(session, arguments_); }

    RestoreArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> restore_command() { return std::make_unique<RestoreCommand>(); }

}    // namespace holdfast::cli
