#include "holdfast/cli/mirrors.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/cli/storage_credentials.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/vault/parity.hpp"

namespace holdfast::cli {
namespace {

std::string_view plural(std::uint64_t count) { return count == 1 ? "" : "s"; }

vault::MirrorRules rules_of(const policy::MirrorConfig& mirror, bool force) {
    return {std::chrono::hours(24) * mirror.grace_days, mirror.append_only, force};
}

vault::MirrorMemoryFile memory_of(const policy::Config& config, const vault::Repository& repository,
                                  const policy::MirrorConfig& mirror) {
    return {vault::state_folder(config.state_folder), repository.config().id, mirror.location};
}

// How old its newest complete state is counts, not how many files are new here since.
bool is_overdue(const vault::MirrorMemory& memory, const policy::MirrorConfig& mirror, Timestamp now) {
    return memory.complete_at.nanoseconds == 0 || now - memory.complete_at > std::chrono::hours(mirror.lag_max_hours);
}

}    // namespace

Result<std::unique_ptr<storage::Backend>> open_mirror(const policy::MirrorConfig& mirror, Clock& clock) {
    storage::BackendOptions options;
    for (const std::string& text : mirror.options) {
        auto option = storage::parse_option(text);
        if (!option) return fail(std::move(option).error().within("mirror " + mirror.name));
        options.extended.push_back(*std::move(option));
    }
    options.ca_file = mirror.ca_file;
    options.upload_max = std::uint64_t(mirror.limit_upload_kib) << 10;
    options.download_max = std::uint64_t(mirror.limit_download_kib) << 10;
    options.first_contact_max = std::chrono::seconds(mirror.first_contact_max_seconds);
    auto backend = open_with_credentials(mirror.location, options, mirror.credentials_file, clock);
    if (!backend) return fail(std::move(backend).error().within("mirror " + mirror.name));
    return backend;
}

Result<std::vector<policy::MirrorConfig>> chosen_mirrors(const policy::Config& config,
                                                         const std::vector<std::string>& names) {
    if (config.mirrors.empty())
        return fail(ErrorCode::usage, "the configuration names no mirror",
                    "add [[mirror]] and location = \"…\" to holdfast.toml (docs/operations/mirrors.md)");
    if (names.empty()) return config.mirrors;
    std::vector<policy::MirrorConfig> chosen;
    for (const std::string& name : names) {
        const auto found = std::ranges::find(config.mirrors, name, &policy::MirrorConfig::name);
        if (found == config.mirrors.end()) {
            std::string all;
            for (const auto& mirror : config.mirrors) all += (all.empty() ? "" : ", ") + mirror.name;
            return fail(ErrorCode::usage, fmt::format("there is no mirror named '{}'", name), "there are: " + all);
        }
        chosen.push_back(*found);
    }
    return chosen;
}

std::string device_of(const std::string& location) {
    const std::string folder = vault::parity_folder("", location);
    if (folder.empty()) return {};
    // What is not there yet will lie where its nearest parent does.
    for (std::string path = os::parent_folder(folder);; path = os::parent_folder(path)) {
        if (const auto st = os::status_of(path)) return fmt::format("{}", st->st_dev);
        if (path.size() <= 1) return {};
    }
}

MirrorState look_at_mirror(const Session& session, const policy::Config& config, vault::Repository& repository,
                           const policy::MirrorConfig& mirror) {
    MirrorState state;
    state.config = mirror;
    state.memory = memory_of(config, repository, mirror).load();
    state.device = device_of(mirror.location);
    const auto backend = open_mirror(mirror, session.clock);
    auto lag = backend ? vault::measure_lag(repository, **backend) : Result<vault::MirrorLag>(fail(backend.error()));
    if (lag)
        state.lag = *lag;
    else
        state.error = lag.error();
    state.overdue = is_overdue(state.memory, mirror, session.clock.now());
    const bool behind = state.error || state.lag.files_missing > 0;
    state.stale = (behind && state.overdue) || state.lag.empty;
    return state;
}

std::string MirrorState::text(Timestamp now) const {
    std::string text;
    if (error)
        text = error->message;
    else if (lag.empty)
        text = "never synced";
    else if (lag.files_missing == 0)
        return "up to date";
    else
        text = fmt::format("{} file{} ({}) behind", lag.files_missing, plural(lag.files_missing),
                           human_size(lag.bytes_missing));
    if (memory.complete_at.nanoseconds > 0)
        text += fmt::format(", complete {} ago", human_age(now - memory.complete_at));
    return text;
}

json::Value MirrorState::as_json() const {
    json::Value value = json::Value::object({{"name", config.name},
                                             {"location", config.location},
                                             {"kind", policy::to_text(config.kind)},
                                             {"off_site", config.off_site},
                                             {"append_only", config.append_only},
                                             {"stale", stale}});
    if (error) {
        value.set("error", error_json(*error));
    } else {
        value.set("files_missing", lag.files_missing);
        value.set("bytes_missing", lag.bytes_missing);
        value.set("snapshots_missing", lag.snapshots_missing);
        value.set("snapshots", lag.snapshots_there);
        value.set("only_there", lag.only_there);
    }
    for (const auto& [key, at] : {std::pair{"complete_at", memory.complete_at}, {"verified_at", memory.verified_at}})
        value.set(key, at.nanoseconds > 0 ? json::Value(to_rfc3339(at)) : json::Value());
    return value;
}

Result<vault::MirrorReport> sync_one(const Session& session, const policy::Config& config,
                                     vault::Repository& repository, const policy::MirrorConfig& mirror,
                                     const SyncArguments& arguments) {
    HF_TRY(const auto backend, open_mirror(mirror, session.clock));
    const auto file = memory_of(config, repository, mirror);
    vault::MirrorMemory memory = file.load();
    vault::MirrorOptions options;
    options.rules = rules_of(mirror, arguments.force);
    options.connections = mirror.connections;
    options.read_back = arguments.read_back;
    options.dry_run = arguments.dry_run;
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
        progress.show({done, total, "", "mirror " + mirror.name});
    };
    auto report = vault::sync_mirror(repository, *backend, memory, options);
    progress.clear();
    if (!report) return fail(std::move(report).error().within("mirror " + mirror.name));
    if (!arguments.dry_run) HF_DO(file.save(memory));
    return report;
}

json::Value sync_json(const std::string& name, const Result<vault::MirrorReport>& report) {
    json::Value value = json::Value::object({{"name", name}});
    if (!report) {
        value.set("complete", false);
        value.set("error", error_json(report.error()));
        return value;
    }
    value.set("complete", report->complete());
    value.set("files_sent", report->files_sent);
    value.set("bytes_sent", report->bytes_sent);
    value.set("files_there", report->files_there);
    value.set("files_read_back", report->files_read_back);
    value.set("removed", report->removed);
    value.set("waiting", report->waiting);
    value.set("lost_here", report->lost_at_source);
    value.set("suspicion", report->suspicion);
    value.set("faults", strings_json(report->faults));
    return value;
}

std::string sync_text(const std::string& name, const vault::MirrorReport& report, bool dry_run) {
    std::string text = fmt::format("mirror {}: {} file{} ({}) {}", name, report.files_sent, plural(report.files_sent),
                                   human_size(report.bytes_sent), dry_run ? "to send" : "sent");
    if (report.files_read_back > 0) text += fmt::format(", {} read back", report.files_read_back);
    if (report.removed > 0) text += fmt::format(", {} {}", report.removed, dry_run ? "to remove" : "removed");
    if (report.waiting > 0) text += fmt::format(", {} deleted here kept there for now", report.waiting);
    text += '\n';
    for (const std::string& fault : report.faults) text += fmt::format("  not sent: {}\n", fault);
    if (!report.faults.empty())
        text += "  index and snapshots wait until those are whole: run `holdfast heal`, then `holdfast mirror sync`\n";
    if (report.lost_at_source > 0)
        text += fmt::format("  {} file{} lost here and whole there: run `holdfast heal`\n", report.lost_at_source,
                            plural(report.lost_at_source));
    if (!report.suspicion.empty())
        text += fmt::format("  nothing is deleted there: {}. If that was meant: `holdfast mirror sync --force`\n",
                            report.suspicion);
    return text;
}

int Onward::exit(int of_backup) const {
    return of_backup == 0 && failed ? facts(ErrorCode::incomplete).exit_status : of_backup;
}

void Onward::add_to(json::Value& document) const {
    if (!mirrors.is_null()) document.set("mirrors", mirrors);
    if (!parity.is_null()) document.set("parity", parity);
}

void Onward::print(const Session& session) const {
    if (!session.global.quiet)
        for (const std::string& line : lines) cli::print(line);
    for (const std::string& warning : warnings) print_note(warning);
}

Onward send_onward(const Session& session, const policy::Config* config, vault::Repository& repository,
                   bool no_mirror) {
    Onward onward;
    // With another --repo the configured mirrors are not this repository's.
    if (!config || repository_location(session.global, config) != config->repository.location) return onward;
    const auto warn = [&](bool severe, const Error& error) {
        onward.warnings.push_back(fmt::format("{} {}\n", painted(2, severe ? Colour::red : Colour::yellow, "mirror:"),
                                              error.message + (error.hint.empty() ? "" : "\n        " + error.hint)));
        onward.failed |= severe;
    };
    if (!no_mirror)
        for (const policy::MirrorConfig& mirror : config->mirrors) {
            const auto report = sync_one(session, *config, repository, mirror, {});
            onward.mirrors.push(sync_json(mirror.name, report));
            if (!report) {
                // What is remembered says enough: a mirror that is away is not waited for again.
                const bool overdue =
                    is_overdue(memory_of(*config, repository, mirror).load(), mirror, session.clock.now());
                const bool away = report.error().code == ErrorCode::unreachable ||
                                  report.error().code == ErrorCode::io || report.error().code == ErrorCode::not_found;
                warn(!away || overdue, report.error());
                continue;
            }
            onward.lines.push_back(sync_text(mirror.name, *report, false));
            onward.failed |= !report->complete();
        }
    if (config->repository.parity_percent > 0) {
        vault::ParityOptions options;
        options.percent = config->repository.parity_percent;
        options.folder = vault::parity_folder(config->repository.parity_folder, repository.backend().location());
        const auto report = vault::update_parity(repository, options);
        if (!report) {
            onward.parity = json::Value::object({{"error", error_json(report.error())}});
            onward.warnings.push_back(fmt::format("parity: {}\n", report.error().message));
            onward.failed = true;
        } else {
            onward.parity = json::Value::object({{"files", report->files},
                                                 {"parity_bytes", report->parity_bytes},
                                                 {"damaged", strings_json(report->damaged)},
                                                 {"lost", strings_json(report->lost)}});
            for (const auto* names : {&report->damaged, &report->lost})
                for (const std::string& name : *names)
                    onward.warnings.push_back(
                        fmt::format("parity: {} is damaged or lost here: run `holdfast heal`\n", name));
            onward.failed |= !report->damaged.empty() || !report->lost.empty();
        }
    }
    return onward;
}

}    // namespace holdfast::cli
