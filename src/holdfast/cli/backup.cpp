#include "holdfast/vault/backup.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/guide_environment.hpp"
#include "holdfast/cli/mirrors.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/cli/trade_desk.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::cli {
namespace {

struct BackupArguments {
    std::vector<std::string> paths;    // not empty: plain paths, no configuration
    std::vector<std::string> only, without, tags, exclude;
    std::string host, parent;
    bool one_file_system = false, force = false, full = false, no_mirror = false;
};

using namespace std::chrono_literals;

ProgressState progress_state(const vault::BackupProgress& now) {
    std::string extra = fmt::format("{} files", now.files_done);
    if (now.errors) extra += fmt::format(", {} errors", now.errors);
    return {now.bytes_done, now.bytes_found, "", std::move(extra)};
}

std::string saved_line(const Id& snapshot, const format::SnapshotSummary& summary, double took) {
    return fmt::format("snapshot {} saved: {} in {}, {} new, {} stored\n", painted(1, Colour::bold, snapshot.brief()),
                       human_size(summary.total_bytes_processed), human_duration(took), human_size(summary.data_added),
                       human_size(summary.data_added_packed));
}

void print_stack_report(const source::StackReport& report, double took) {
    Table table({"Component", "Kind", "Result", "Size", "New", "Time"}, {false, false, false, true, true, true});
    for (const auto& component : report.components)
        table.row({component.name, component.kind, std::string(component.status()), human_size(component.bytes),
                   human_size(component.bytes_added), human_duration(component.seconds)});
    print(table.text(1));
    for (const auto& component : report.components) {
        if (!component.error) continue;
        print_note(fmt::format("{} {}: {}\n", painted(2, Colour::red, "not whole:"), component.name,
                               component.error->message));
        if (!component.error->hint.empty()) print_note(fmt::format("           {}\n", component.error->hint));
    }
    print(saved_line(report.snapshot, report.summary, took));
}

json::Value stack_json(const source::StackReport& report) {
    json::Value components = json::Value::array();
    for (const auto& component : report.components) {
        json::Value one = json::Value::object({{"name", component.name},
                                               {"kind", component.kind},
                                               {"complete", component.complete},
                                               {"status", std::string(component.status())},
                                               {"seconds", component.seconds},
                                               {"bytes", component.bytes},
                                               {"bytes_added", component.bytes_added},
                                               {"facts", component.facts}});
        if (component.error) one.set("error", error_json(*component.error));
        components.push(std::move(one));
    }
    return json::Value::object({{"snapshot", report.snapshot.hex()},
                                {"complete", report.complete},
                                {"components", std::move(components)},
                                {"summary", summary_json(report.summary)}});
}

// A trade journal lets go of what every store and the vault have: its engine is told how far the vault reaches. One that does
// not run learns it after the next backup.
void tell_engines(const policy::Config& config, const source::StackReport& report) {
    if (config.trade.empty()) return;
    const auto accounts = all_accounts(config);
    if (!accounts) return;
    for (const Account& account : *accounts)
        for (const auto& component : report.components) {
            if (component.name != account.trade.journal || !component.complete) continue;
            const auto told =
                EngineDoor(account).post("/v1/confirmed", json::Value::object({{"sequence", component.facts["last"]}}));
            if (!told && told.error().code != ErrorCode::not_found && told.error().code != ErrorCode::unreachable)
                log_warning("an engine was not told that its journal is in the vault",
                            {{"account", account.trade.account}, {"error", told.error().message}});
        }
}

Result<int> backup_configured(const Session& session, const BackupArguments& arguments) {
    if (!arguments.exclude.empty() || !arguments.host.empty() || !arguments.parent.empty() ||
        arguments.one_file_system || arguments.force)
        return fail(ErrorCode::usage, "--exclude, --host, --parent, --one-file-system and --force go with PATHs",
                    "name the paths to back up, or set exclude = in [[files]] of holdfast.toml");
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    // NS-18
    HF_TRY(auto left_out, left_out_by_guide("BACKUP", components_of(loaded.config), arguments.only));
    left_out.insert(left_out.end(), arguments.without.begin(), arguments.without.end());
    const std::size_t made_room = make_room(session, loaded.config);
    HF_TRY(const auto repository, open_repository(session, &loaded.config));
    const Instant started = session.clock.instant();
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    source::StackOptions options;
    options.only = arguments.only;
    options.without = std::move(left_out);
    options.tags = arguments.tags;
    options.program_version = program_version();
    options.full = arguments.full;
    options.progress = [&](const vault::BackupProgress& now) { progress.show(progress_state(now)); };
    options.say = [&](std::string_view component, std::string_view event) {
        if (session.people()) progress.above(fmt::format("{}: {}", component, event));
    };
    const auto report = source::backup_stack(loaded.config, *repository, options);
    progress.clear();
    if (!report) return fail(report.error());
    tell_engines(loaded.config, *report);
    const Onward onward = send_onward(session, &loaded.config, *repository, arguments.no_mirror);
    json::Value document = stack_json(*report);
    if (made_room > 0) document.set("restores_without_undo", made_room);    // removed, for the disk was short
    onward.add_to(document);
    if (session.global.json)
        print_json(document);
    else if (!session.global.quiet || !report->complete)
        print_stack_report(*report, seconds(session.clock.instant() - started));
    if (!session.global.json) onward.print(session);
    return onward.exit(report->complete ? 0 : facts(ErrorCode::incomplete).exit_status);
}

// The repository inside what is backed up would grow with every run.
std::optional<std::string> repository_inside(const std::vector<std::string>& paths, std::string location) {
    if (location.starts_with("local:")) location.erase(0, 6);
    location = os::absolute_path(location);
    for (const std::string& path : paths)
        if (path == "/" || location == path || location.starts_with(path + "/")) return location;
    return std::nullopt;
}

// Draws while the calling thread works; ends with its scope.
class Watcher {
public:
    Watcher(Clock& clock, ProgressLine& line, const vault::Backup& backup)
        : thread_([&clock, &line, &backup](const std::stop_token& stop) {
              while (!stop.stop_requested()) {
                  line.show(progress_state(backup.progress()));
                  clock.sleep(50ms);
              }
          }) {}

private:
    std::jthread thread_;
};

Result<std::vector<std::string>> existing_paths(const std::vector<std::string>& given) {
    std::vector<std::string> paths;
    for (const std::string& path : given) {
        std::string absolute = os::absolute_path(path);
        if (const auto status = os::status_of(absolute, false); !status)
            return fail(status.error().code,
                        fmt::format("cannot back up {}: {}", printable(path), status.error().message),
                        "nothing was backed up; check the path");
        if (std::ranges::find(paths, absolute) == paths.end()) paths.push_back(std::move(absolute));
    }
    return paths;
}

struct PathsReport {
    vault::Backup::Outcome outcome;
    std::vector<std::pair<std::string, Error>> unreadable;
};

int print_paths_report(const Session& session, const PathsReport& report, const Onward& onward, double took) {
    const int exit = report.unreadable.empty() ? 0 : facts(ErrorCode::incomplete).exit_status;
    if (session.global.json) {
        json::Value unreadable = json::Value::array();
        for (const auto& [path, error] : report.unreadable)
            unreadable.push(
                json::Value::object({{"path", path}, {"code", facts(error.code).name}, {"message", error.message}}));
        json::Value document = json::Value::object({{"snapshot", report.outcome.snapshot.hex()},
                                                    {"complete", exit == 0},
                                                    {"unreadable", std::move(unreadable)},
                                                    {"summary", summary_json(report.outcome.summary)}});
        onward.add_to(document);
        print_json(document);
        return onward.exit(exit);
    }
    for (const auto& [path, error] : report.unreadable)
        print_note(fmt::format("{} {}\n", painted(2, Colour::red, "not read:"),
                               fmt::format("{}: {}", printable(path), error.message)));
    const auto& summary = report.outcome.summary;
    if (!session.global.quiet) {
        print(fmt::format("{} files: {} new, {} changed, {} unmodified\n", summary.total_files_processed,
                          summary.files_new, summary.files_changed, summary.files_unmodified));
        print(saved_line(report.outcome.snapshot, summary, took));
    }
    if (exit != 0)
        print_note(
            fmt::format("holdfast: {} could not be read; the rest is saved in snapshot {}, tagged \"incomplete\"\n",
                        report.unreadable.size() == 1 ? "one path" : fmt::format("{} paths", report.unreadable.size()),
                        report.outcome.snapshot.brief()));
    onward.print(session);
    return onward.exit(exit);
}

Result<int> backup_paths(const Session& session, const BackupArguments& arguments) {
    if (arguments.full)
        return fail(ErrorCode::usage, "--full is about the stores of holdfast.toml, not PATHs",
                    "--force reads every file anew");
    if (!arguments.only.empty() || !arguments.without.empty())
        return fail(ErrorCode::usage, "--only and --without choose components of holdfast.toml, not PATHs",
                    "leave out the paths, or use --exclude");
    HF_TRY(const std::vector<std::string> paths, existing_paths(arguments.paths));
    HF_TRY(const auto loaded, load_config_if_needed(session.global));
    const policy::Config* config = loaded ? &loaded->config : nullptr;
    HF_TRY(const auto repository, open_repository(session, config));

    vault::BackupOptions options;
    options.hostname = arguments.host.empty() ? os::host_name() : arguments.host;
    options.paths = paths;
    options.tags = arguments.tags;
    options.program_version = program_version();
    if (config) {
        options.memory_max = std::size_t(config->repository.memory_max_mib) << 20;
        options.pack_size_target = config->repository.pack_size_mib << 20;
        options.compression_level = config->repository.compression_level;
    }
    if (!arguments.parent.empty()) {
        HF_TRY(options.parent, repository->find_snapshot(arguments.parent));
    } else if (!arguments.force) {
        auto newest = repository->find_snapshot("latest", {options.hostname, paths, {}});
        if (newest)
            options.parent = *std::move(newest);
        else if (newest.error().code != ErrorCode::not_found)
            return fail(newest.error());
    }
    vault::PathOptions path_options{arguments.exclude, arguments.one_file_system, "", std::nullopt};
    if (const auto inside = repository_inside(paths, repository->backend().location())) {
        path_options.excludes.push_back(*inside);
        if (session.people()) print_note(fmt::format("leaving out the repository itself: {}\n", *inside));
    }

    const Instant started = session.clock.instant();
    HF_TRY(const auto backup, vault::Backup::start(*repository, std::move(options)));
    PathsReport report;
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    {
        const Watcher watcher(session.clock, progress, *backup);
        for (const std::string& path : paths) {
            HF_TRY(vault::PathSummary summary, backup->add_path(path, path_options));
            std::ranges::move(summary.unreadable, std::back_inserter(report.unreadable));
        }
        const std::vector<std::string> marks =
            report.unreadable.empty() ? std::vector<std::string>{} : std::vector<std::string>{"incomplete"};
        HF_TRY(report.outcome, backup->commit(marks));
    }
    progress.clear();
    const double took = seconds(session.clock.instant() - started);
    return print_paths_report(session, report, send_onward(session, config, *repository, arguments.no_mirror), took);
}

Result<int> run_backup(const Session& session, BackupArguments& arguments) {
    HF_TRY(auto tag, guide_tag());
    if (tag && std::ranges::find(arguments.tags, *tag) == arguments.tags.end())
        arguments.tags.push_back(*std::move(tag));
    return arguments.paths.empty() ? backup_configured(session, arguments) : backup_paths(session, arguments);
}

class BackupCommand final : public Command {
    std::string_view name() const override { return "backup"; }
    std::string_view help() const override { return "save the stack (or plain paths) as one snapshot"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast backup                                  everything in holdfast.toml
  holdfast backup --only redis --tag before-deploy
  holdfast backup --full                           no increments: every store is copied whole
  holdfast backup --without clickhouse --without logs
  holdfast backup /etc /home --exclude '*.tmp'     plain paths, as restic does

Exit code 3: a component failed or a file could not be read. What succeeded is saved; the snapshot is tagged
"incomplete", and its manifest.json says which part failed and why. Or a mirror failed: it refused, damaged files were
not sent, or it is further behind than its lag_max_hours. A mirror that merely does not answer is a warning until then.
)";
    }
    void declare(Options& options) override {
        options.arguments("PATH", arguments_.paths, Options::Need::optional,
                          "plain files and folders instead of the configured stack");
        options.list("--only", arguments_.only, "COMPONENT", "only this component, by name or kind");
        options.list("--without", arguments_.without, "COMPONENT", "all but this component");
        options.list("--tag", arguments_.tags, "TAG", "mark the snapshot");
        options.list("-e,--exclude", arguments_.exclude, "PATTERN", "leave out what fits this pattern");
        options.flag("-x,--one-file-system", arguments_.one_file_system, "do not enter other file systems");
        options.value("-H,--host", arguments_.host, "HOST", "host name to write into the snapshot");
        options.value("--parent", arguments_.parent, "SNAPSHOT",
                      "snapshot to compare with (default: the newest of these paths)");
        options.flag("-f,--force", arguments_.force, "read every file, also unchanged ones");
        options.flag("--full", arguments_.full, "copy every store whole, also where only what changed would do");
        options.flag("--no-mirror", arguments_.no_mirror, "send nothing to the mirrors now");
    }
    Result<int> run(const Session& session) override { return run_backup(session, arguments_); }

    BackupArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> backup_command() { return std::make_unique<BackupCommand>(); }

}    // namespace holdfast::cli
