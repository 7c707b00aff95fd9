#include "holdfast/recovery/stack.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"
#include "holdfast/recovery/postgres_tables.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::recovery {
namespace {

// One component of the configuration and what the snapshot's manifest tells about it.
struct Part {
    std::string name, kind, folder;
    const json::Value* entry = nullptr;    // in the manifest; null: the snapshot does not hold it
    std::function<Result<std::vector<PlanStep>>(const RestoreContext&)> plan;
    std::function<Result<json::Value>(const RestoreContext&)> restore;
};

const json::Value* find_entry(const json::Value& manifest, std::string_view name, std::string_view kind) {
    for (const json::Value& entry : manifest["components"].items())
        if (entry["name"].text() == name && entry["kind"].text() == kind) return &entry;
    return nullptr;
}

template <class Config>
void add(std::vector<Part>& to, const json::Value& manifest, const std::vector<Config>& configs, const char* kind,
         Result<std::vector<PlanStep>> (*plan)(const Config&, const RestoreContext&),
         Result<json::Value> (*restore)(const Config&, const RestoreContext&)) {
    for (const Config& config : configs)
        to.push_back({config.name, kind, std::string_view(kind) == "duckdb" ? "duckdb" : config.name,
                      find_entry(manifest, config.name, kind),
                      [&config, plan](const RestoreContext& context) { return plan(config, context); },
                      [&config, restore](const RestoreContext& context) { return restore(config, context); }});
}

// Databases, then Redis, then configuration and logs (NS-08).
std::vector<Part> parts_in_order(const policy::Config& config, const json::Value& manifest) {
    std::vector<Part> parts;
    add(parts, manifest, config.postgres, "postgres", plan_postgres, restore_postgres);
    add(parts, manifest, config.clickhouse, "clickhouse", plan_clickhouse, restore_clickhouse);
    add(parts, manifest, config.duckdb, "duckdb", plan_duckdb, restore_duckdb);
    add(parts, manifest, config.redis, "redis", plan_redis, restore_redis);
    add(parts, manifest, config.journals, "journal", plan_journal, restore_journal);
    add(parts, manifest, config.files, "files", plan_files, restore_files);
    add(parts, manifest, config.logs, "logs", plan_files, restore_files);
    return parts;
}

// Some tables of a PostgreSQL beside a whole copy of it, in one snapshot: the whole one brings them. Asked for by name, they come
// alone.
void let_wholes_come_first(std::vector<Part>& parts, const policy::Config& config) {
    const auto is_some = [](const Part& part) {
        return part.kind == "postgres" && part.entry && holds_only_tables((*part.entry)["facts"]);
    };
    // Tables go into a database that may have to be made first.
    const auto end = std::ranges::find_if(parts, [](const Part& part) { return part.kind != "postgres"; });
    std::stable_partition(parts.begin(), end, [&](const Part& part) { return !is_some(part); });
    const auto part_of = [&](const policy::PostgresConfig& one) {
        return std::ranges::find_if(parts,
                                    [&](const Part& part) { return part.kind == "postgres" && part.name == one.name; });
    };
    const auto is_whole = [](const Part& part) {
        return part.entry && (*part.entry)["status"].text() == "complete" && !holds_only_tables((*part.entry)["facts"]);
    };
    for (const policy::PostgresConfig& some : config.postgres) {
        const auto part = part_of(some);
        if (part == parts.end() || !part->entry || !holds_only_tables((*part->entry)["facts"])) continue;
        for (const policy::PostgresConfig& other : config.postgres) {
            const auto whole = part_of(other);
            if (other.host != some.host || other.port != some.port || whole == parts.end() || !is_whole(*whole) ||
                !covers_tables((*whole->entry)["facts"], (*part->entry)["facts"]))
                continue;
            part->plan = [name = other.name](const RestoreContext&) -> Result<std::vector<PlanStep>> {
                return std::vector<PlanStep>{{"nothing of its own: its tables come back with " + name, 0, false}};
            };
            part->restore = [name = other.name](const RestoreContext&) -> Result<json::Value> {
                return json::Value::object({{"came_with", name}});
            };
        }
    }
}

Result<std::vector<Part>> chosen_parts(const policy::Config& config, const json::Value& manifest,
                                       const StackRestoreOptions& options) {
    const std::vector<std::string>& only = options.only;
    std::vector<Part> parts = parts_in_order(config, manifest);
    std::vector<std::string_view> known;
    for (const Part& part : parts) {
        known.push_back(part.name);
        known.push_back(part.kind);
    }
    for (const std::string& word : only) {
        if (std::ranges::find(known, word) != known.end()) continue;
        const std::string close = policy::suggest(word, known);
        return fail(ErrorCode::usage,
                    close.empty()
                        ? fmt::format("the configuration names no component '{}'", word)
                        : fmt::format("the configuration names no component '{}'; did you mean '{}'?", word, close),
                    "a restore needs to know the store: describe it in holdfast.toml, or use --target FOLDER");
    }
    const bool one_of_many = !options.among.empty();
    if (one_of_many)
        std::erase_if(parts, [&](const Part& part) {
            return std::ranges::find(options.among, part.name) == options.among.end();
        });
    if (only.empty() || one_of_many) let_wholes_come_first(parts, config);
    std::erase_if(parts, [&](const Part& part) {
        const bool named = std::ranges::any_of(
            only, [&](const std::string& w) { return w == part.name || (!one_of_many && w == part.kind); });
        // A store that was configured after the snapshot was made is not part of it.
        return only.empty() ? part.entry == nullptr : !named;
    });
    if (parts.empty())
        return fail(ErrorCode::not_found, "the snapshot and the configuration have no component in common",
                    "compare `holdfast ls` with holdfast.toml, or use --target FOLDER");
    return parts;
}

// Why the snapshot's copy will not do; nullopt when it will.
std::optional<Error> refusal(const Part& part, const vault::SnapshotEntry& snapshot) {
    if (!part.entry)
        return Error{ErrorCode::not_found, fmt::format("snapshot {} does not hold it", snapshot.id.brief()),
                     "`holdfast snapshots` lists others"};
    if ((*part.entry)["status"].text() == "failed")
        return Error{
            ErrorCode::incomplete,
            fmt::format("its backup failed in snapshot {}: {}", snapshot.id.brief(), (*part.entry)["why"].text()),
            "take an older snapshot for it"};
    if ((*part.entry)["status"].text() == "damaged") {
        const json::Value& damaged = (*part.entry)["facts"]["damaged"];
        return Error{
            ErrorCode::corrupt,
            fmt::format("it was damaged when snapshot {} was made: {}", snapshot.id.brief(),
                        (*part.entry)["why"].text()),
            fmt::format("what there was lies in the snapshot as plain files: `holdfast restore {} --target FOLDER "
                        "--include {}`",
                        snapshot.id.brief(),
                        damaged["files"].items().empty() ? part.folder : part.folder + "/" + part.name + ".damaged")};
    }
    return std::nullopt;
}

// The newest snapshot of the same stack, older than this one, in which the component is whole.
std::string older_copy(const vault::Repository& repository, const vault::SnapshotEntry& snapshot, const Part& part) {
    auto entries = repository.snapshots([](const Id&, const Error&) {});
    if (!entries) return {};
    for (auto it = entries->rbegin(); it != entries->rend(); ++it) {
        if (it->snapshot.paths != snapshot.snapshot.paths || it->snapshot.time >= snapshot.snapshot.time) continue;
        const auto manifest = source::read_manifest(repository, *it);
        if (!manifest) continue;
        const json::Value* entry = find_entry(*manifest, part.name, part.kind);
        if (entry && (*entry)["status"].text() == "complete")
            return fmt::format(
                "; the newest whole copy is in snapshot {} of {}: restore it with `holdfast restore {} --only {}`",
                it->id.brief(), to_rfc3339(it->snapshot.time), it->id.brief(), part.name);
    }
    return {};
}

// What plans and restores of all parts share.
class Execution {
public:
    static Result<Execution> start(const policy::Config& config, const vault::Repository& repository,
                                   const vault::SnapshotEntry& snapshot, const StackRestoreOptions& options) {
        HF_TRY(json::Value manifest, source::read_manifest(repository, snapshot));
        Execution execution(repository, snapshot, options, std::move(manifest));
        HF_TRY(execution.parts_, chosen_parts(config, *execution.manifest_, options));
        HF_TRY(auto scratch, os::ScratchFolder::create("restore", source::scratch_folder(config)));
        execution.scratch_.emplace(std::move(scratch));
        return execution;
    }

    const std::vector<Part>& parts() const { return parts_; }
    const vault::Repository& repository() const { return repository_; }
    const vault::SnapshotEntry& snapshot() const { return snapshot_; }

    RestoreContext context(const Part& part) const {
        return {repository_,
                snapshot_,
                (*part.entry)["facts"],
                repository_.clock(),
                part.folder,
                scratch_->path(),
                options_.existing,
                [this, name = part.name](std::string_view sentence) { say(name, sentence); },
                options_.tables,
                options_.expiry,
                options_.will_replace,
                options_.time};
    }

    void say(std::string_view component, std::string_view event) const {
        log_info("restore", {{"component", std::string(component)}, {"event", std::string(event)}});
        if (options_.say) options_.say(component, event);
    }

private:
    Execution(const vault::Repository& repository, const vault::SnapshotEntry& snapshot,
              const StackRestoreOptions& options, json::Value manifest)
        : repository_(repository),
          snapshot_(snapshot),
          options_(options),
          manifest_(std::make_unique<json::Value>(std::move(manifest))) {}

    const vault::Repository& repository_;
    const vault::SnapshotEntry& snapshot_;
    const StackRestoreOptions& options_;
    std::unique_ptr<json::Value> manifest_;    // the parts point into it
    std::vector<Part> parts_;
    std::optional<os::ScratchFolder> scratch_;
};

std::string sentence(const Error& error) {
    return error.hint.empty() ? error.message : fmt::format("{} ({})", error.message, error.hint);
}

}    // namespace

std::uint64_t ComponentPlan::bytes() const {
    std::uint64_t sum = 0;
    for (const PlanStep& step : steps) sum += step.bytes;
    return sum;
}

std::uint32_t rto_seconds(const policy::RestoreConfig& config, std::string_view kind) {
    if (kind == "logs") return 0;
    return kind == "redis"   ? config.rto_redis_seconds
           : kind == "files" ? config.rto_config_seconds
                             : config.rto_database_seconds;
}

Result<StackPlan> plan_stack(const policy::Config& config, const vault::Repository& repository,
                             const vault::SnapshotEntry& snapshot, const StackRestoreOptions& options) {
    HF_TRY(const Execution execution, Execution::start(config, repository, snapshot, options));
    StackPlan plan;
    plan.age_seconds = seconds(repository.clock().now() - snapshot.snapshot.time);
    for (const Part& part : execution.parts()) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while planning");
        ComponentPlan component{part.name, part.kind, true, {}, ErrorCode::incomplete, {}};
        if (const auto refused = refusal(part, snapshot)) {
            component.usable = false;
            component.code = refused->code;
            component.why_not = refused->message + older_copy(repository, snapshot, part);
        } else if (auto steps = part.plan(execution.context(part)); steps) {
            component.steps = *std::move(steps);
        } else {
            component.usable = false;
            component.code = steps.error().code;
            component.why_not = sentence(steps.error());
        }
        plan.bytes += component.bytes();
        plan.components.push_back(std::move(component));
    }
    return plan;
}

Result<std::vector<ComponentOutcome>> restore_stack(const policy::Config& config, const vault::Repository& repository,
                                                    const vault::SnapshotEntry& snapshot,
                                                    const StackRestoreOptions& options) {
    HF_TRY(const Execution execution, Execution::start(config, repository, snapshot, options));
    std::vector<ComponentOutcome> outcomes;
    for (const Part& part : execution.parts()) {
        ComponentOutcome outcome;
        outcome.name = part.name;
        outcome.kind = part.kind;
        const Instant started = repository.clock().instant();
        if (os::stop_requested()) {
            outcome.error = Error{ErrorCode::cancelled, "stopped before it began", ""};
        } else if (auto refused = refusal(part, snapshot)) {
            outcome.error = std::move(refused);
        } else {
            execution.say(part.name, "restore started");
            auto result = part.restore(execution.context(part));
            if (result)
                outcome.result = *std::move(result);
            else
                outcome.error = std::move(result).error();
        }
        outcome.seconds = seconds(repository.clock().instant() - started);
        outcome.restored = !outcome.error;
        execution.say(part.name, outcome.restored ? "restored" : "failed: " + outcome.error->message);
        outcomes.push_back(std::move(outcome));
    }
    return outcomes;
}

}    // namespace holdfast::recovery
