// `holdfast export`, `validate` and `import`: the plain layout, out of the vault, looked at, and into it.

#include <fmt/core.h>
#include <time.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/newest.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/plain/layout.hpp"
#include "holdfast/recovery/redis_replay.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::cli {
namespace {

// "2024-01-01 02:00:00" becomes "20240101_020000".
std::string stamp_of(Timestamp time) {
    std::string text = local_time(time).substr(0, 19);
    std::erase(text, '-');
    std::erase(text, ':');
    std::ranges::replace(text, ' ', '_');
    return text;
}

class ExportCommand final : public Command {
    std::string_view name() const override { return "export"; }
    std::string_view help() const override {
        return "lay a snapshot out as plain files for psql, redis-server, tar and gunzip";
    }
    std::string_view examples() const override {
        return R"(Makes FOLDER/20240101_020000 (the snapshot's time in this machine's zone): database/*.sql.gz, redis/*.rdb.gz, config/ and logs/*.tar.gz,
duckdb/, clickhouse/, journal/, each file with a .sha256 beside it, and metadata/. It appears under that name only when it is
whole and on the disk. What is in it is NOT encrypted: files are 0600, folders 0700. docs/formats/plain-export.md

Examples
  holdfast export latest --target /srv/backups
  holdfast export 1a2b3c4d --target /mnt/stick --only postgres --only redis
  BACKUP_ROOT=/srv/backups holdfast export latest

Exit code 3: the snapshot lacks a component, or has only a part of it; metadata/backup_summary.txt says which.
)";
    }
    void declare(Options& options) override {
        options.no_lock(no_lock_);
        options.argument("SNAPSHOT", snapshot_, Options::Need::required, "ID or latest");
        options.value("-t,--target", target_, "FOLDER", "where the folder is made (default: $BACKUP_ROOT)");
        options.list("--only", options_.only, "COMPONENT", "only this component, by name or kind");
        options.list("--without", options_.without, "COMPONENT", "all but this component");
        options.filter(filter_);
    }
    Result<int> run(const Session& session) override {
        if (target_.empty()) target_ = os::environment("BACKUP_ROOT").value_or("");
        if (target_.empty())
            return fail(ErrorCode::usage, "no folder was named", "use --target FOLDER, or set BACKUP_ROOT");
        std::optional<LoadedConfig> loaded;
        if (find_config(session.global)) {
            HF_TRY(loaded, load_config(session.global));
        }
        HF_TRY(const auto repository, open_repository(session, loaded ? &loaded->config : nullptr));
        HF_TRY(const auto lock, lock_for_reading(*repository, no_lock_));
        vault::SnapshotFilter filter = snapshot_filter(filter_);
        // Snapshots of plain paths may be newer; "latest" without a filter is this stack's latest.
        if (loaded && filter.host.empty() && filter.paths.empty() && filter.tags.empty())
            filter.paths = {source::stack_path(loaded->config)};
        HF_DO(repository->load_index());
        HF_TRY(const auto entry, snapshot_ != "latest" ? repository->find_snapshot(snapshot_)
                                 : loaded ? latest_of_stack(loaded->config, *repository, filter, options_.only)
                                          : repository->find_snapshot("latest", filter));
        options_.target = os::absolute_path(target_);
        options_.program_version = program_version();
        options_.stamp = stamp_of(entry.snapshot.time);
        options_.say = [&](std::string_view component, std::string_view event) {
            if (session.people()) print_note(fmt::format("{}: {}\n", component, event));
        };
        options_.bin_folder = [&](std::string_view component) {
            if (loaded)
                for (const auto& one : loaded->config.postgres)
                    if (one.name == component) return one.bin_folder;
            return std::string();
        };
        options_.replay_redis = [&](const std::string& component, const json::Value& facts,
                                    const std::function<Status(const std::string&)>& use) -> Status {
            const std::string where =
                loaded ? source::scratch_folder(loaded->config) : os::environment("TMPDIR").value_or("/var/tmp");
            HF_TRY(const os::ScratchFolder folder, os::ScratchFolder::create("export", where));
            const recovery::RestoreContext context{*repository,
                                                   entry,
                                                   facts,
                                                   session.clock,
                                                   component,
                                                   where,
                                                   recovery::WhenExisting::refuse,
                                                   [&](std::string_view event) { options_.say(component, event); }};
            HF_TRY(const recovery::RedisSaved saved, recovery::find_redis_saved(context));
            const std::string rdb = folder.path() + "/dump.rdb";
            HF_DO(recovery::make_redis_rdb(context, saved, folder.path(), rdb));
            return use(rdb);
        };
        const Instant started = session.clock.instant();
        HF_TRY(const auto report, plain::export_snapshot(*repository, entry, options_));
        print_report(session, entry, report, seconds(session.clock.instant() - started));
        return report.lacking() ? facts(ErrorCode::incomplete).exit_status : 0;
    }

    static void print_report(const Session& session, const vault::SnapshotEntry& entry,
                             const plain::ExportReport& report, double took) {
        std::uint64_t size = 0;
        for (const auto& file : report.files) size += file.size;
        if (session.global.json) {
            print_json(json::Value::object({{"snapshot", entry.id.hex()},
                                            {"folder", report.folder},
                                            {"complete", report.complete()},
                                            {"files", plain::files_json(report)},
                                            {"missing", plain::missing_json(report)},
                                            {"seconds", took}}));
            return;
        }
        for (const auto& one : report.missing)
            print_note(fmt::format("{} {} ({}): {}\n", painted(2, Colour::red, "not in it:"), one.component, one.kind,
                                   one.why));
        if (session.global.quiet) return;
        Table table({"File", "Size", "Unpacked"}, {false, true, true});
        for (const auto& file : report.files)
            table.row({printable(file.path), human_size(file.size), human_size(file.plain_size)});
        print(table.text(1));
        print(fmt::format("snapshot {} lies in {}: {} in {}; it is not encrypted\n", entry.id.brief(),
                          printable(report.folder), human_size(size), human_duration(took)));
    }

    std::string snapshot_, target_;
    plain::ExportOptions options_;
    FilterArguments filter_;
    bool no_lock_ = false;
};

class ValidateCommand final : public Command {
    std::string_view name() const override { return "validate"; }
    std::string_view help() const override { return "is an exported folder (or one of backup.sh) whole and readable?"; }
    std::string_view examples() const override {
        return R"(Each part is there, each SHA-256 is the one that was written down, each file unpacks, each RDB is read to its last byte and
checksum, each SQL dump ends as pg_dump ends, each archive as tar ends. Nothing is changed. Exit status 1 when something is wrong.
With several FOLDERs all are looked at. (`holdfast check` is for the vault.)

Examples
  holdfast validate /srv/backups/20240101_020000
  holdfast validate /srv/backups/*/
)";
    }
    void declare(Options& options) override {
        options.arguments("FOLDER", folders_, Options::Need::required, "such as 20240101_020000");
    }
    Result<int> run(const Session& session) override {
        bool good = true;
        json::Value list = json::Value::array();
        for (const std::string& given : folders_) {
            const std::string folder = os::absolute_path(given);
            plain::ValidationOptions options;
            options.say = [&](std::string_view path) {
                if (session.people() && session.global.verbose > 0)
                    print_note(fmt::format("reading {}\n", printable(path)));
            };
            HF_TRY(const auto report, plain::validate_folder(folder, options));
            good &= report.good();
            if (session.global.json)
                list.push(report_json(folder, report));
            else
                print_report(session, folder, report);
        }
        if (session.global.json) print_json(json::Value::object({{"good", good}, {"folders", std::move(list)}}));
        return good ? 0 : 1;
    }

    static json::Value report_json(const std::string& folder, const plain::ValidationReport& report) {
        json::Value files = json::Value::array(), problems = json::Value::array(), notes = json::Value::array();
        for (const auto& file : report.files) {
            json::Value one = json::Value::object({{"path", file.path},
                                                   {"kind", file.kind},
                                                   {"size", file.size},
                                                   {"good", file.good()},
                                                   {"content", file.facts}});
            if (!file.good()) one.set("problem", file.problem).set("hint", file.hint);
            files.push(std::move(one));
        }
        for (const auto& problem : report.problems) problems.push(problem);
        for (const auto& note : report.notes) notes.push(note);
        return json::Value::object({{"folder", folder},
                                    {"good", report.good()},
                                    {"files", std::move(files)},
                                    {"problems", std::move(problems)},
                                    {"notes", std::move(notes)}});
    }

    static void print_report(const Session& session, const std::string& folder, const plain::ValidationReport& report) {
        if (!session.global.quiet) {
            Table table({"File", "Size", "State", "Content"}, {false, true, false, false});
            for (const auto& file : report.files)
                table.row({printable(file.path), human_size(file.size), file.good() ? "good" : "BAD", file.facts});
            print(table.text(1));
            for (const auto& note : report.notes) print(fmt::format("note: {}\n", printable(note)));
        }
        for (const auto& file : report.files)
            if (!file.good()) {
                print_note(fmt::format("{} {}: {}\n", painted(2, Colour::red, "bad:"), printable(file.path),
                                       printable(file.problem)));
                if (!file.hint.empty()) print_note(fmt::format("     {}\n", file.hint));
            }
        for (const auto& problem : report.problems)
            print_note(fmt::format("{} {}\n", painted(2, Colour::red, "bad:"), printable(problem)));
        if (!session.global.quiet || !report.good())
            print(fmt::format("{}: {}\n", printable(folder), report.good() ? "good" : "NOT good"));
    }
    std::vector<std::string> folders_;
};

class ImportCommand final : public Command {
    std::string_view name() const override { return "import"; }
    std::string_view help() const override { return "take an exported folder (or one of backup.sh) into the vault"; }
    std::string_view examples() const override {
        return R"(The folder is validated first; what is not good is refused. It becomes a snapshot with the time at which it was made, tagged
"imported", of the stack that it names (else of holdfast.toml's): `restore latest`, `restore ID --only redis` go on from there.

An SQL dump is restored by psql. Such a script may hold commands of psql: import what you trust.

Examples
  holdfast import /srv/backups/20240101_020000
  holdfast import backups/20240101_020000 --root /srv/trading-system     of backup.sh: the names in its config archive are relative
  holdfast import backups/20240101_020000 --without files --without logs
)";
    }
    void declare(Options& options) override {
        options.argument("FOLDER", folder_, Options::Need::required, "such as 20240101_020000");
        options.value("--root", options_.root, "FOLDER", "where relative names in archives of scripts belong");
        options.value("--stack", stack_, "NAME",
                      "the stack, where the folder does not say it (default: holdfast.toml's)");
        options.list("--without", options_.without, "COMPONENT", "all but this component, by name or kind");
        options.list("--tag", options_.tags, "TAG", "mark the snapshot");
    }
    Result<int> run(const Session& session) override {
        std::optional<LoadedConfig> loaded;
        if (find_config(session.global)) {
            HF_TRY(loaded, load_config(session.global));
        }
        const policy::Config config = loaded ? loaded->config : policy::Config();
        HF_TRY(const auto repository, open_repository(session, loaded ? &loaded->config : nullptr));
        HF_DO(repository->load_index());
        if (!options_.root.empty()) options_.root = os::absolute_path(options_.root);
        if (options_.root == "/") options_.root.clear();
        options_.stack = !stack_.empty() || !loaded ? stack_ : source::stack_name(config);
        options_.program_version = program_version();
        options_.scratch = source::scratch_folder(config);
        options_.name_of = [&](std::string_view kind) -> std::string {
            if (kind == "postgres") return config.postgres.size() == 1 ? config.postgres[0].name : "postgres";
            if (kind == "redis") return config.redis.size() == 1 ? config.redis[0].name : "redis";
            if (kind == "files") return config.files.size() == 1 ? config.files[0].name : "config";
            return config.logs.size() == 1 ? config.logs[0].name : "logs";
        };
        options_.time_of = [](const std::string& stamp) -> Result<Timestamp> {
            tm parts{};
            const char* end = ::strptime(stamp.c_str(), "%Y%m%d_%H%M%S", &parts);
            if (!end || *end != '\0')
                return fail(ErrorCode::usage,
                            fmt::format("\"{}\" is no time such as 20240101_020000", printable(stamp)),
                            "neither metadata/backup_info.json nor the folder's name says when it was made");
            parts.tm_isdst = -1;
            return Timestamp{std::int64_t(::mktime(&parts)) * 1'000'000'000};
        };
        options_.say = [&](std::string_view component, std::string_view event) {
            if (session.people()) print_note(fmt::format("{}: {}\n", component, event));
        };
        HF_TRY(const auto report, plain::import_folder(os::absolute_path(folder_), *repository, options_));
        if (session.global.json)
            print_json(json::Value::object({{"snapshot", report.snapshot.hex()},
                                            {"time", to_rfc3339(report.time)},
                                            {"components", report.manifest["components"]},
                                            {"summary", summary_json(report.summary)}}));
        else if (!session.global.quiet)
            print(fmt::format("snapshot {} of {} imported: {}\n", report.snapshot.brief(), local_time(report.time),
                              human_size(report.summary.total_bytes_processed)));
        return 0;
    }
    std::string folder_, stack_;
    plain::ImportOptions options_;
};

}    // namespace

std::unique_ptr<Command> export_command() { return std::make_unique<ExportCommand>(); }
std::unique_ptr<Command> validate_command() { return std::make_unique<ValidateCommand>(); }
std::unique_ptr<Command> import_command() { return std::make_unique<ImportCommand>(); }

}    // namespace holdfast::cli
