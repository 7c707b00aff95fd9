#include "holdfast/cli/restore.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/guide_environment.hpp"
#include "holdfast/cli/newest.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/pattern_files.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/cli/time_argument.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/recovery/duckdb_moment.hpp"
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

std::optional<vault::Overwrite> overwrite_of(const std::string& word) {
    if (word.empty()) return std::nullopt;
    return word == "never"        ? vault::Overwrite::never
           : word == "if-newer"   ? vault::Overwrite::if_newer
           : word == "if-changed" ? vault::Overwrite::if_changed
                                  : vault::Overwrite::always;
}

std::string_view word_of(vault::RestoreItem::Action action) {
    using Action = vault::RestoreItem::Action;
    switch (action) {
        case Action::restored:
            return "restored";
        case Action::updated:
            return "updated";
        case Action::unchanged:
            return "unchanged";
        case Action::skipped:
            return "skipped";
        case Action::deleted:
            return "deleted";
    }
    return "";
}

json::Value item_json(const vault::RestoreItem& item) {
    return json::Value::object({{"action", word_of(item.action)}, {"path", item.path}, {"size", item.size}});
}

std::string summary_text(const RestoreArguments& arguments, const vault::RestoreSummary& summary, const Id& snapshot,
                         const std::string& target, double took) {
    std::string text = fmt::format("{} {} files and {} folders ({}) of snapshot {} to {}{}\n",
                                   arguments.dry_run ? "would restore" : "restored", summary.files, summary.folders,
                                   human_size(summary.bytes), snapshot.brief(), printable(target),
                                   arguments.dry_run ? "" : " in " + human_duration(took));
    if (summary.bytes_reused > 0 || summary.files_unchanged > 0)
        text += fmt::format("{} of it {} there already ({} files unchanged)\n", human_size(summary.bytes_reused),
                            arguments.dry_run ? "is" : "was", summary.files_unchanged);
    if (summary.skipped > 0)
        text += fmt::format("{} left as they are (--overwrite {})\n", summary.skipped, arguments.overwrite);
    if (arguments.delete_others)
        text += fmt::format("{} {} that the snapshot does not have\n", summary.deleted,
                            arguments.dry_run ? "would be deleted" : "deleted");
    if (arguments.verify && !arguments.dry_run)
        text += fmt::format("verified on the disk: {} files, {}\n", summary.files_verified,
                            human_size(summary.bytes_verified));
    return text;
}

Result<vault::RestoreOptions> options_of(const RestoreArguments& arguments, const vault::Repository& repository,
                                         const vault::SnapshotEntry& entry) {
    vault::RestoreOptions options;
    options.target = os::absolute_path(arguments.target);
    options.subfolder = arguments.subfolder;
    options.patterns = arguments.patterns;
    HF_DO(read_pattern_files(arguments.files.include, options.patterns.include));
    HF_DO(read_pattern_files(arguments.files.iinclude, options.patterns.iinclude));
    HF_DO(read_pattern_files(arguments.files.exclude, options.patterns.exclude));
    HF_DO(read_pattern_files(arguments.files.iexclude, options.patterns.iexclude));
    // A file of patterns that holds none must not mean everything.
    if ((!arguments.files.include.empty() || !arguments.files.iinclude.empty()) && options.patterns.include.empty() &&
        options.patterns.iinclude.empty())
        return fail(ErrorCode::usage, "the files of --include-file hold no pattern",
                    "write one pattern a line, or leave the option out to restore everything");
    if (!arguments.only.empty()) {
        HF_TRY(options.include, folders_of(repository, entry, arguments.only));
        // A component that failed has no folder: nothing to restore must not become everything.
        if (options.include.empty())
            return fail(ErrorCode::not_found,
                        fmt::format("snapshot {} holds nothing of what --only names", entry.id.brief()),
                        "`holdfast ls` lists what it holds");
    }
    options.overwrite = overwrite_of(arguments.overwrite);
    options.delete_others = arguments.delete_others;
    options.sparse = arguments.sparse;
    options.verify = arguments.verify;
    options.dry_run = arguments.dry_run;
    return options;
}

Result<int> restore_files(const Session& session, const RestoreArguments& arguments,
                          const vault::Repository& repository, const vault::SnapshotEntry& entry) {
    HF_TRY(vault::RestoreOptions options, options_of(arguments, repository, entry));
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    options.progress = [&](const vault::RestoreProgress& now) {
        progress.show(
            {now.bytes_done, now.bytes_total, "", fmt::format("{} of {} files", now.files_done, now.files_total)});
    };
    json::Value items = json::Value::array();
    if (session.global.verbose > 0)
        options.each = [&](const vault::RestoreItem& item) {
            if (session.global.json)
                items.push(item_json(item));
            else
                print(fmt::format("{:9} {}{}\n", word_of(item.action), printable(item.path),
                                  item.type == format::NodeType::file ? ", " + human_size(item.size) : ""));
        };
    const Instant started = session.clock.instant();
    auto restored = vault::restore(repository, entry, options);
    progress.clear();
    if (!restored && restored.error().code == ErrorCode::exists && !options.overwrite)
        return fail(ErrorCode::exists, restored.error().message,
                    "name an empty folder, or say with --overwrite always|if-changed|if-newer|never what may happen to "
                    "what is there");
    if (!restored) return fail(std::move(restored).error());
    const vault::RestoreSummary& summary = *restored;
    const double took = seconds(session.clock.instant() - started);
    if (session.global.json) {
        json::Value warnings = json::Value::array();
        for (const auto& [path, error] : summary.warnings)
            warnings.push(json::Value::object({{"path", path}, {"message", error.message}}));
        json::Value result = json::Value::object({{"snapshot", entry.id.hex()},
                                                  {"target", options.target},
                                                  {"dry_run", arguments.dry_run},
                                                  {"files", summary.files},
                                                  {"folders", summary.folders},
                                                  {"others", summary.others},
                                                  {"bytes", summary.bytes},
                                                  {"files_unchanged", summary.files_unchanged},
                                                  {"bytes_reused", summary.bytes_reused},
                                                  {"skipped", summary.skipped},
                                                  {"deleted", summary.deleted},
                                                  {"files_verified", summary.files_verified},
                                                  {"bytes_verified", summary.bytes_verified},
                                                  {"warnings", std::move(warnings)},
                                                  {"seconds", took}});
        if (session.global.verbose > 0) result.set("items", std::move(items));
        print_json(result);
        return 0;
    }
    for (const auto& [path, error] : summary.warnings)
        print_note(
            fmt::format("{} {}: {}\n", painted(2, Colour::yellow, "not as it was:"), printable(path), error.message));
    if (!session.global.quiet) print(summary_text(arguments, summary, entry.id, options.target, took));
    return 0;
}

bool says_something_of_files(const RestoreArguments& a) {
    return !a.overwrite.empty() || !a.patterns.empty() || !a.files.include.empty() || !a.files.iinclude.empty() ||
           !a.files.exclude.empty() || !a.files.iexclude.empty() || a.delete_others || a.sparse || a.verify ||
           !a.subfolder.empty();
}

// NS-18: RESTORE_DATABASE, RESTORE_REDIS and RESTORE_CONFIG choose among what the snapshot holds (and, for the stores, what
// the configuration names), as --only does.
Status choose_by_environment(RestoreArguments& arguments, const vault::Repository& repository,
                             const vault::SnapshotEntry& entry, const policy::Config* config) {
    const auto manifest = source::read_manifest(repository, entry);
    if (!manifest && manifest.error().code == ErrorCode::not_found) return {};    // of plain paths
    if (!manifest) return fail(manifest.error());
    std::vector<Component> components = components_of(*manifest);
    HF_TRY(const auto left_out, left_out_by_guide("RESTORE", components, arguments.only));
    if (left_out.empty() || !arguments.only.empty()) return {};
    if (config)
        std::erase_if(components, [known = components_of(*config)](const Component& one) {
            return std::ranges::none_of(known, [&](const Component& other) { return other.name == one.name; });
        });
    for (const Component& one : components)
        if (std::ranges::find(left_out, one.name) == left_out.end()) arguments.only.push_back(one.name);
    if (arguments.only.empty())
        return fail(ErrorCode::usage, "RESTORE_DATABASE, RESTORE_REDIS and RESTORE_CONFIG leave out all that there is",
                    "set one of them to true; `holdfast help environment` explains them");
    return {};
}

// --resume, --undo, --commit and --status: one of them, and no snapshot.
Result<int> run_after_restore(const Session& session, const RestoreArguments& arguments) {
    if (arguments.resume + arguments.undo + arguments.commit + arguments.status != 1)
        return fail(ErrorCode::usage, "--resume, --undo, --commit and --status do not go together", "choose one");
    if (!arguments.snapshot.empty() || !arguments.target.empty() || !arguments.keys.empty() ||
        !arguments.only.empty() || arguments.replace || arguments.dry_run || says_something_of_files(arguments))
        return fail(ErrorCode::usage,
                    "--resume, --undo, --commit and --status are about an earlier restore: only --yes goes with them",
                    "`holdfast restore --status` shows which");
    HF_TRY(const LoadedConfig loaded, load_config(session.global));
    if (arguments.resume) return resume_restore(session, arguments, loaded.config);
    if (arguments.undo) return undo_restore(session, arguments, loaded.config);
    if (arguments.commit) return commit_restore(session, arguments, loaded.config);
    return restore_status(session, loaded.config);
}

constexpr std::int64_t k_jobs_max = 64;    // as restore_jobs

// --time is about one component, and nothing but that.
Status check_time(const RestoreArguments& arguments) {
    if (arguments.time.empty()) return {};
    HF_TRY([[maybe_unused]] const auto time, parse_time(arguments.time, "--time"));
    if (!arguments.target.empty() || !arguments.keys.empty() || !arguments.tables.empty() ||
        !arguments.schemas.empty() || !arguments.roles.empty())
        return fail(ErrorCode::usage, "--time is about a whole DuckDB: it goes with --only and --replace alone",
                    "leave the others out");
    if (arguments.only.size() == 1) return {};
    return fail(ErrorCode::usage, "--time is about one DuckDB: other stores come back as they were backed up",
                "name it: --only trades --time \"2026-11-27 14:03:20\"");
}

const policy::DuckDbConfig* duckdb_named(const policy::Config& config, const std::string& word) {
    const policy::DuckDbConfig* found = nullptr;
    for (const policy::DuckDbConfig& one : config.duckdb) {
        if (one.name == word) return &one;
        if (word == "duckdb" && config.duckdb.size() == 1) found = &one;
    }
    return found;
}

Result<vault::SnapshotEntry> latest_of_moment(const RestoreArguments& arguments, const policy::Config& config,
                                              const vault::Repository& repository) {
    const policy::DuckDbConfig* one = duckdb_named(config, arguments.only.at(0));
    if (one == nullptr)
        return fail(ErrorCode::usage, fmt::format("--time is about a DuckDB, and '{}' is none", arguments.only.at(0)),
                    "name a [[duckdb]] of holdfast.toml");
    HF_TRY(const auto time, parse_time(arguments.time, "--time"));
    return recovery::snapshot_of_duckdb_moment(
        repository, {source::stack_path(config), source::change_path(config, one->name)}, one->name, *time);
}

Result<int> run_restore(const Session& session, RestoreArguments& arguments) {
    if (arguments.resume || arguments.undo || arguments.commit || arguments.status)
        return run_after_restore(session, arguments);
    if (arguments.snapshot.empty())
        return fail(ErrorCode::usage, "a snapshot is needed",
                    "write `holdfast restore latest`; `holdfast snapshots` lists others");
    if (!arguments.dry_run) {
        HF_TRY(arguments.dry_run, guide_flag("DRY_RUN", false));
        if (arguments.dry_run && session.people()) print_note("DRY_RUN is set: nothing will be changed\n");
    }
    // SNAPSHOT:FOLDER, as restic writes it.
    if (const auto colon = arguments.snapshot.find(':'); colon != std::string::npos) {
        arguments.subfolder = arguments.snapshot.substr(colon + 1);
        arguments.snapshot.resize(colon);
        if (arguments.subfolder.empty())
            return fail(ErrorCode::usage, "no folder stands behind the colon", "write latest:/etc/nginx");
    }
    if (arguments.target.empty() && says_something_of_files(arguments))
        return fail(
            ErrorCode::usage,
            "--include, --exclude, --overwrite, --delete, --sparse, --verify and SNAPSHOT:FOLDER go with --target",
            "add --target FOLDER to lay out plain files, or use --only and --replace for the stores");
    if (!arguments.expiry.empty() && !arguments.target.empty())
        return fail(ErrorCode::usage, "--expiry is about a Redis that is restored: --target does not go with it",
                    "leave one of them out");
    HF_DO(check_time(arguments));
    if (arguments.keys.empty() && !arguments.conflict.empty())
        return fail(ErrorCode::usage, "--conflict goes with --keys", "add --keys PATTERN");
    if (!arguments.keys.empty() && (!arguments.target.empty() || arguments.replace))
        return fail(ErrorCode::usage, "--keys writes into a server that runs: --target and --replace do not go with it",
                    "--conflict says what happens to keys that are there");
    if (arguments.jobs > k_jobs_max)
        return fail(ErrorCode::usage, fmt::format("--jobs takes at most {}", k_jobs_max),
                    "more connections than processors do not make it faster");
    if (arguments.jobs > 0 && !arguments.target.empty())
        return fail(ErrorCode::usage, "--jobs is about a PostgreSQL that is restored: --target does not go with it",
                    "leave one of them out");
    if (arguments.look &&
        (!arguments.target.empty() || !arguments.keys.empty() || arguments.replace || arguments.dry_run ||
         !arguments.tables.empty() || !arguments.schemas.empty() || !arguments.roles.empty()))
        return fail(ErrorCode::usage,
                    "--look changes nothing: of the other options only --only and --expiry go with it",
                    "leave --look out to restore");
    const bool parts = !arguments.tables.empty() || !arguments.schemas.empty() || !arguments.roles.empty();
    if (!parts && (!arguments.renames.empty() || !arguments.database.empty() || !arguments.partition.empty()))
        return fail(ErrorCode::usage, "--partition, --rename and --database go with --table or --schema",
                    "say which tables with --table");
    if (parts && (!arguments.target.empty() || !arguments.keys.empty()))
        return fail(
            ErrorCode::usage,
            "--table, --schema and --role are about a database that runs: --target and --keys do not go with them",
            "with --target use --include '/clickhouse/trading/fills*'");
    if (!arguments.target.empty()) {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, lock_for_reading(*repository, arguments.no_lock));
        HF_TRY(const auto entry, repository->find_snapshot(arguments.snapshot, snapshot_filter(arguments.filter)));
        HF_DO(repository->load_index());
        HF_DO(choose_by_environment(arguments, *repository, entry, nullptr));
        return restore_files(session, arguments, *repository, entry);
    }
    HF_TRY(LoadedConfig loaded, load_config(session.global));
    for (policy::PostgresConfig& postgres : loaded.config.postgres)
        if (arguments.jobs > 0) postgres.restore_jobs = static_cast<std::uint32_t>(arguments.jobs);
    HF_TRY(const auto repository, open_repository(session, &loaded.config));
    HF_TRY(auto lock, lock_for_reading(*repository, arguments.no_lock));
    vault::SnapshotFilter filter = snapshot_filter(arguments.filter);
    // Snapshots of plain paths may be newer; "latest" without a filter is this stack's latest.
    if (filter.host.empty() && filter.paths.empty() && filter.tags.empty())
        filter.paths = {source::stack_path(loaded.config)};
    const bool is_latest = arguments.snapshot == "latest";
    HF_DO(repository->load_index());
    HF_TRY(const auto entry, is_latest && !arguments.time.empty()
                                 ? latest_of_moment(arguments, loaded.config, *repository)
                             : is_latest ? latest_of_stack(loaded.config, *repository, filter, arguments.only)
                                         : repository->find_snapshot(arguments.snapshot));
    HF_TRY(const TablesOf tables, choose_tables(arguments, loaded.config));
    if (tables.postgres) return restore_tables(session, arguments, loaded.config, tables.postgres, *repository, entry);
    if (arguments.look) return restore_look(session, arguments, loaded.config, *repository, entry, std::move(lock));
    if (!arguments.keys.empty()) return restore_keys(session, arguments, loaded.config, *repository, entry);
    HF_DO(choose_by_environment(arguments, *repository, entry, &loaded.config));
    return restore_stores(session, arguments, loaded.config, *repository, entry, tables.clickhouse);
}

}    // namespace

recovery::Expiry expiry_of(const RestoreArguments& arguments) {
    if (arguments.expiry == "shifted") return recovery::Expiry::shifted;
    return arguments.expiry == "never" ? recovery::Expiry::never : recovery::Expiry::as_now;
}

namespace {

class RestoreCommand final : public Command {
    std::string_view name() const override { return "restore"; }
    std::string_view help() const override { return "bring a snapshot back, into the stores or as plain files"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast restore latest --dry-run                what would be done, and what would be replaced
  holdfast restore latest                          into the stores that holdfast.toml names; asks first
  holdfast restore latest --only redis --yes       no question (needed where there is no terminal)
  holdfast restore latest --yes --replace          live stores are put aside and replaced; the old ones are kept
  holdfast restore --status                        where it is; after an interruption: --resume
  holdfast restore --undo                          the replaced data back into its places; it is kept until --commit,
                                                   or until its disk is short (keep_free_mib in [restore])
  holdfast restore --commit                        the replaced data removed for good
  holdfast restore latest --only redis --keys 'session:*' --conflict keep --yes
                                                   keys that the running server lacks; its others stay
  holdfast restore latest --only clickhouse --table trading.fills --rename trading.fills=trading.fills_back
                                                   one table, beside the live one
  holdfast restore latest --only clickhouse --table trading.fills --partition 202611 --replace
                                                   one partition of it, in the place of the live one
  holdfast restore latest --only pg --table 'auth.*' --yes
                                                   tables that the live database lacks; nothing else is touched
  holdfast restore latest --only pg --table public.users --rename public.users=public.users_before --yes
                                                   beside the live one; --replace keeps that one in another schema
  holdfast restore latest --only credentials --role 'trader*' --replace --yes
                                                   roles with the passwords that they had
  holdfast restore latest --only redis --replace --expiry shifted
                                                   keys that expire live on for as long as they had left
  holdfast restore latest --only trades --time "2026-11-27 14:03:20" --replace
                                                   a DuckDB as it was between two backups, if its states were kept
  holdfast restore 1a2b3c4d --only redis --look    what was in it? A server of our own, to read; nothing expires in it
  holdfast restore 1a2b3c4d --target /tmp/back     as plain files: dumps, RDB, DuckDB files, configuration
  holdfast restore latest --target /tmp/back --include /etc/nginx --exclude '*.log'
  holdfast restore latest:/etc/nginx --target /tmp/nginx     this folder's content, straight into the target
  holdfast restore latest --target /srv --overwrite if-changed --verify
                                                   goes on where an earlier restore was stopped: only what differs is
                                                   written; then all is read back from the disk and compared
  holdfast restore latest:/srv/www --target /srv/www --overwrite if-changed --delete --dry-run -v
                                                   what would change, and what would be deleted
Patterns: * ? [a-z] inside a name, ** across folders; a leading / fits from the root, any other at any depth; a folder
that fits brings (or leaves out) all below it. Excludes win.
)";
    }
    void declare(Options& options) override {
        options.no_lock(arguments_.no_lock);
        options.argument("SNAPSHOT", arguments_.snapshot, Options::Need::optional,
                         "ID or latest; with --target also ID:FOLDER");
        options.flag("--resume", arguments_.resume,
                     "go on with a restore into the stores that was interrupted, or did not pass");
        options.flag("--undo", arguments_.undo, "put back what the last restore into the stores replaced");
        options.flag("--commit", arguments_.commit, "remove what restores into the stores have kept aside");
        options.flag("--status", arguments_.status, "where restores into the stores are, and what they keep aside");
        options.list("--only", arguments_.only, "COMPONENT", "only this component, by name or kind");
        options.value("-t,--target", arguments_.target, "FOLDER",
                      "lay plain files out below this folder; touch no store");
        options.list("-i,--include", arguments_.patterns.include, "PATTERN", "with --target: only what fits");
        options.list("--iinclude", arguments_.patterns.iinclude, "PATTERN", "the same, large or small letters");
        options.list("-e,--exclude", arguments_.patterns.exclude, "PATTERN", "with --target: not what fits");
        options.list("--iexclude", arguments_.patterns.iexclude, "PATTERN", "the same, large or small letters");
        options.list("--include-file", arguments_.files.include, "FILE", "patterns, one a line; # begins a comment");
        options.list("--iinclude-file", arguments_.files.iinclude, "FILE", "the same for --iinclude");
        options.list("--exclude-file", arguments_.files.exclude, "FILE", "the same for --exclude");
        options.list("--iexclude-file", arguments_.files.iexclude, "FILE", "the same for --iexclude");
        options.flag("-n,--dry-run", arguments_.dry_run, "say what would be done, and stop");
        options.flag("-y,--yes", arguments_.yes, "do not ask");
        options.flag("--replace", arguments_.replace, "put live stores and files aside and take their place");
        options.value("--keys", arguments_.keys, "PATTERN",
                      "only the keys of a Redis that fit, into the server as it runs: session:*");
        options.flag("--look", arguments_.look,
                     "a Redis in a server of our own, to read in until Ctrl-C; no store is touched");
        options.choice("--conflict", arguments_.conflict, {"refuse", "keep", "replace"},
                       "with --keys: what happens to keys that the server has");
        options.list(
            "--table", arguments_.tables, "PATTERN",
            "only these tables of a PostgreSQL or a ClickHouse, into it as it runs: auth.users, 'trading.fills*'");
        options.list("--schema", arguments_.schemas, "PATTERN", "the same for whole schemas of a PostgreSQL");
        options.list("--role", arguments_.roles, "PATTERN", "the same for roles of a PostgreSQL, with their passwords");
        options.value("--partition", arguments_.partition, "ID",
                      "with --table: only this partition of a ClickHouse, also into a table that is there");
        options.list(
            "--rename", arguments_.renames, "FROM=TO",
            "with --table or --schema: under another name: trading.fills=check.fills, or all of it: trading=check");
        options.value("--database", arguments_.database, "NAME",
                      "with --table or --schema: only of this database of a PostgreSQL");
        options.number("--jobs", arguments_.jobs, 1, "N",
                       "connections that load a PostgreSQL dump at once (default: one a processor, 4 at most)");
        options.choice("--expiry", arguments_.expiry, {"now", "shifted", "never"},
                       "Redis keys whose time has passed since: gone (now), each as long as it had left (shifted), or "
                       "no key expires (never; --look without this)");
        options.value("--time", arguments_.time, "TIME",
                      "of one DuckDB: as it was then, between two backups: 2026-11-27, \"2026-11-27 14:03:20\"");
        options.choice("--overwrite", arguments_.overwrite, {"always", "if-changed", "if-newer", "never"},
                       "with --target: what happens to files that are there");
        options.flag("--delete", arguments_.delete_others,
                     "with --overwrite: delete from restored folders what the snapshot does not have");
        options.flag("--sparse", arguments_.sparse, "with --target: long runs of zeros become holes");
        options.flag("--verify", arguments_.verify, "with --target: read all back from the disk and compare");
        options.filter(arguments_.filter);
    }
    Result<int> run(const Session& session) override { return run_restore(session, arguments_); }

    RestoreArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> restore_command() { return std::make_unique<RestoreCommand>(); }

}    // namespace holdfast::cli
