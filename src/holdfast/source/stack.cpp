#include "holdfast/source/stack.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/stack_manifest.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

// A part of the stack, ready to run.
struct Component {
    std::string name, kind, folder;
    std::function<Result<json::Value>(CaptureContext&)> capture;
};

template <class Config>
void add(std::vector<Component>& to, const std::vector<Config>& configs, const char* kind,
         Result<json::Value> (*capture)(const Config&, CaptureContext&)) {
    for (const Config& config : configs) {
        // All DuckDB files share one folder, as duckdb/<name>.duckdb.
        const std::string folder = std::string_view(kind) == "duckdb" ? "duckdb" : config.name;
        to.push_back({config.name, kind, folder,
                      [&config, capture](CaptureContext& context) { return capture(config, context); }});
    }
}

// The slow ones first, so that the last of them does not run alone.
std::vector<Component> all_components(const policy::Config& config) {
    std::vector<Component> all;
    add(all, config.postgres, "postgres", capture_postgres);
    add(all, config.clickhouse, "clickhouse", capture_clickhouse);
    add(all, config.duckdb, "duckdb", capture_duckdb);
    add(all, config.redis, "redis", capture_redis);
    add(all, config.journals, "journal", capture_journal);
    add(all, config.files, "files", capture_files);
    add(all, config.logs, "logs", capture_files);
    return all;
}

Status check_known(const std::vector<Component>& all, const std::vector<std::string>& wanted) {
    std::vector<std::string_view> known;
    std::string names;
    for (const Component& component : all) {
        known.push_back(component.name);
        known.push_back(component.kind);
        names += (names.empty() ? "" : ", ") + component.name;
    }
    for (const std::string& word : wanted) {
        if (std::ranges::find(known, word) != known.end()) continue;
        const std::string close = policy::suggest(word, known);
        return fail(ErrorCode::usage,
                    close.empty()
                        ? fmt::format("the configuration names no component '{}'", word)
                        : fmt::format("the configuration names no component '{}'; did you mean '{}'?", word, close),
                    "it names: " + (names.empty() ? "nothing" : names));
    }
    return {};
}

Result<std::vector<Component>> chosen_components(const policy::Config& config, const StackOptions& options) {
    std::vector<Component> all = all_components(config);
    HF_DO(check_known(all, options.only));
    HF_DO(check_known(all, options.without));
    const auto named = [](const std::vector<std::string>& words, const Component& component) {
        return std::ranges::any_of(words,
                                   [&](const std::string& w) { return w == component.name || w == component.kind; });
    };
    std::erase_if(all, [&](const Component& component) {
        return (!options.only.empty() && !named(options.only, component)) || named(options.without, component);
    });
    if (all.empty())
        return fail(ErrorCode::usage, "there is nothing to back up: no component is left",
                    "name stores and files in holdfast.toml, or choose others with --only and --without");
    return all;
}

// The newest whole snapshot of this stack; files that a failed component lacks would all be read again.
Result<std::optional<vault::SnapshotEntry>> find_parent(const vault::Repository& repository, const std::string& host,
                                                        const std::string& path) {
    HF_TRY(const auto entries, repository.snapshots([](const Id& id, const Error& error) {
        log_warning("a snapshot cannot be read", {{"snapshot", id.brief()}, {"why", error.message}});
    }));
    std::optional<vault::SnapshotEntry> parent;
    bool parent_whole = false;
    for (const vault::SnapshotEntry& entry : entries) {
        const format::Snapshot& snapshot = entry.snapshot;
        if (snapshot.hostname != host || snapshot.paths != std::vector<std::string>{path}) continue;
        const bool whole = std::ranges::find(snapshot.tags, "incomplete") == snapshot.tags.end();
        if (!whole && parent_whole) continue;
        parent = entry;
        parent_whole = whole;
    }
    return parent;
}

// The newest snapshot of this stack in which the component is whole.
std::optional<EarlierCopy> find_earlier(const vault::Repository& repository, const std::string& host,
                                        const std::string& path, const Component& component) {
    const auto entries = repository.snapshots([](const Id&, const Error&) {});
    if (!entries) return std::nullopt;
    for (auto it = entries->rbegin(); it != entries->rend(); ++it) {
        if (it->snapshot.hostname != host || it->snapshot.paths != std::vector<std::string>{path}) continue;
        const auto manifest = read_manifest(repository, *it);
        if (!manifest) continue;
        for (const json::Value& entry : (*manifest)["components"].items())
            if (entry["name"].text() == component.name && entry["kind"].text() == component.kind &&
                entry["status"].text() == "complete")
                return EarlierCopy{it->snapshot.tree, entry["facts"]};
    }
    return std::nullopt;
}

// What the artefacts of a component measure: captures tell it as "bytes" of the whole, or of each database or part.
std::uint64_t bytes_of(const json::Value& facts) {
    if (!facts["bytes"].is_null()) return facts["bytes"].natural();
    std::uint64_t sum = facts["file_bytes"].natural() + facts["wal_bytes"].natural() + facts["rdb_bytes"].natural();
    for (const auto& [key, member] : facts.members()) sum += bytes_of(member);
    for (const json::Value& item : facts.items()) sum += bytes_of(item);
    return sum;
}

std::vector<std::string> artefacts_of(const Component& component, const json::Value& facts) {
    if (component.kind != "duckdb") return {component.folder};
    const std::string stem = "duckdb/" + component.name;
    if (!facts["damaged"].is_null()) return {stem + ".damaged"};
    std::vector<std::string> all{stem + ".duckdb"};
    if (facts["wal_bytes"].natural() > 0) all.push_back(stem + ".duckdb.wal");
    if (facts["states"]["moments"].natural() > 0) all.push_back(stem + ".states");
    return all;
}

void forget(vault::Backup& backup, const Component& component) {
    if (component.kind != "duckdb") return backup.forget_path(component.folder);
    for (const char* suffix : {".duckdb", ".duckdb.wal", ".states", ".damaged"})
        backup.forget_path(fmt::format("duckdb/{}{}", component.name, suffix));
}

// What no store opens any more is kept all the same; its facts say what is wrong.
std::optional<Error> damage_of(const json::Value& facts) {
    if (facts["damaged"].is_null()) return std::nullopt;
    std::string what = facts["damaged"]["why"].text();
    for (const json::Value& log : facts["damaged"]["logs"].items()) what += "; " + log["text"].text();
    return Error{ErrorCode::corrupt, fmt::format("it is damaged, and was saved as it is: {}", what),
                 facts["damaged"]["remedy"].text()};
}

// Files are worth keeping although some of them could not be read; the facts list those.
std::optional<Error> unreadable_files(const json::Value& facts) {
    const json::Array& unreadable = facts["unreadable"].items();
    if (unreadable.empty()) return std::nullopt;
    std::string first;
    for (std::size_t i = 0; i < std::min<std::size_t>(unreadable.size(), 3); ++i)
        first += fmt::format("{}{}: {}", first.empty() ? "" : "; ", unreadable[i]["path"].text(),
                             unreadable[i]["message"].text());
    return Error{ErrorCode::incomplete,
                 fmt::format("{} path{} could not be read: {}{}", unreadable.size(), unreadable.size() == 1 ? "" : "s",
                             first, unreadable.size() > 3 ? "; …" : ""),
                 "give the user that runs holdfast the right to read them, or exclude them"};
}

class Run {
public:
    Run(const vault::Repository& repository, vault::Backup& backup, const RunFacts& facts, std::string path,
        std::vector<Component> components, std::string scratch, const StackOptions& options)
        : repository_(repository),
          clock_(repository.clock()),
          host_(facts.host),
          path_(std::move(path)),
          backup_(backup),
          components_(std::move(components)),
          scratch_(std::move(scratch)),
          options_(options),
          reports_(components_.size()) {}

    // Two at a time: one mostly waits for its server while the other computes.
    std::vector<ComponentReport> all() {
        {
            std::vector<std::jthread> workers;
            for (std::size_t i = 0; i < std::min<std::size_t>(2, components_.size()); ++i)
                workers.emplace_back([this] { work(); });
            std::unique_lock guard(mutex_);
            while (finished_ < components_.size()) {
                ended_.wait_for(guard, 200ms);
                if (options_.progress) options_.progress(backup_.progress());
            }
        }
        return std::move(reports_);
    }

private:
    void work() {
        for (std::size_t i = next_++; i < components_.size(); i = next_++) {
            reports_[i] = one(components_[i]);
            const std::lock_guard guard(mutex_);
            ++finished_;
            ended_.notify_one();
        }
    }

    ComponentReport one(const Component& component) {
        ComponentReport report;
        report.name = component.name;
        report.kind = component.kind;
        say(component.name, "started");
        const Instant started = clock_.instant();
        CaptureContext context{backup_, clock_, component.folder, scratch_};
        if (!options_.full) context.earlier = [&] { return find_earlier(repository_, host_, path_, component); };
        Result<json::Value> facts =
            os::stop_requested() ? fail(ErrorCode::cancelled, "stopped before it began") : component.capture(context);
        report.seconds = seconds(clock_.instant() - started);
        if (!facts) {
            forget(backup_, component);
            report.error = std::move(facts).error();
            say(component.name, "failed: " + report.error->message);
            return report;
        }
        report.facts = *std::move(facts);
        report.bytes = bytes_of(report.facts);
        report.artefacts = artefacts_of(component, report.facts);
        for (const std::string& path : report.artefacts) report.bytes_added += backup_.bytes_added_below(path);
        report.damaged = !report.facts["damaged"].is_null();
        report.error = report.damaged ? damage_of(report.facts) : unreadable_files(report.facts);
        report.complete = !report.error;
        report.saved = true;
        const std::string how = report.facts["how"].text();
        say(component.name, report.complete ? fmt::format("done, {} in {:.1f} s{}{}", human_size(report.bytes),
                                                          report.seconds, how.empty() ? "" : ": ", how)
                                            : fmt::format("{}: {}", report.status(), report.error->message));
        return report;
    }

    void say(std::string_view component, std::string_view event) {
        log_info("component", {{"component", std::string(component)}, {"event", std::string(event)}});
        if (!options_.say) return;
        const std::lock_guard guard(say_mutex_);
        options_.say(component, event);
    }

    const vault::Repository& repository_;
    Clock& clock_;
    const std::string host_, path_;
    vault::Backup& backup_;
    const std::vector<Component> components_;
    const std::string scratch_;
    const StackOptions& options_;
    std::vector<ComponentReport> reports_;    // each worker writes its own elements
    std::atomic<std::size_t> next_ = 0;
    std::mutex mutex_, say_mutex_;
    std::condition_variable ended_;
    std::size_t finished_ = 0;
};

// Nothing was saved: the first failure decides what kind of failure the run is.
Error nothing_saved(const std::vector<ComponentReport>& reports) {
    Error error = *reports[0].error;
    if (reports.size() == 1) return std::move(error).within(reports[0].name);
    std::string all;
    for (const ComponentReport& report : reports)
        all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", report.name, report.error->message);
    error.message = "no component could be backed up: " + all;
    return error;
}

}    // namespace

std::string stack_name(const policy::Config& config) { return config.stack.empty() ? os::host_name() : config.stack; }

std::string scratch_folder(const policy::Config& config) {
    if (!config.scratch_folder.empty()) return config.scratch_folder;
    // Not /tmp, which is memory on many machines: a copy of a DuckDB file may be large.
    return os::environment("TMPDIR").value_or("/var/tmp");
}

std::string stack_path(const policy::Config& config) { return "/holdfast/" + stack_name(config); }

std::string change_path(const policy::Config& config, const std::string& component) {
    return stack_path(config) + "/" + component;
}

Result<StackReport> backup_stack(const policy::Config& config, vault::Repository& repository,
                                 const StackOptions& options) {
    HF_TRY(std::vector<Component> components, chosen_components(config, options));
    HF_TRY(const os::ScratchFolder scratch, os::ScratchFolder::create("run", scratch_folder(config)));
    RunFacts run;
    run.stack = stack_name(config);
    run.host = os::host_name();
    run.program = options.program_version;
    run.started = repository.clock().now();

    vault::BackupOptions backup_options;
    backup_options.hostname = run.host;
    const std::string path = options.after_change ? change_path(config, components.at(0).name) : stack_path(config);
    backup_options.paths = {path};
    backup_options.tags = {"holdfast"};
    for (const std::string& tag : options.tags)
        if (std::ranges::find(backup_options.tags, tag) == backup_options.tags.end())
            backup_options.tags.push_back(tag);
    backup_options.program_version = options.program_version;
    backup_options.memory_max = std::size_t(config.repository.memory_max_mib) << 20;
    backup_options.pack_size_target = config.repository.pack_size_mib << 20;
    backup_options.compression_level = config.repository.compression_level;
    HF_TRY(backup_options.parent, find_parent(repository, run.host, backup_options.paths[0]));
    HF_TRY(const auto backup, vault::Backup::start(repository, std::move(backup_options)));

    StackReport report;
    report.components = Run(repository, *backup, run, path, std::move(components), scratch.path(), options).all();
    if (os::stop_requested())
        return fail(ErrorCode::cancelled, "stopped; no snapshot was made",
                    "what was stored by now is kept, and the next run takes it from there");
    if (std::ranges::none_of(report.components, &ComponentReport::saved)) return fail(nothing_saved(report.components));
    report.complete = std::ranges::all_of(report.components, &ComponentReport::complete);
    run.finished = repository.clock().now();
    report.manifest = make_manifest(run, report);
    HF_DO(backup->add_file(k_manifest_name, as_bytes(json::dump(report.manifest, 2) + "\n")));
    HF_TRY(vault::Backup::Outcome outcome,
           backup->commit(report.complete ? std::vector<std::string>{} : std::vector<std::string>{"incomplete"}));
    report.snapshot = outcome.snapshot;
    report.summary = std::move(outcome.summary);
    return report;
}

}    // namespace holdfast::source
