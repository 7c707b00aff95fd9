// holdfast doctor: what is wrong, or will be, in one sentence each, with the command that cures it.

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/mirrors.hpp"
#include "holdfast/cli/newest.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/trade_desk.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/policy/password_age.hpp"
#include "holdfast/recovery/put_back.hpp"
#include "holdfast/source/examine.hpp"
#include "holdfast/source/stack.hpp"
#include "holdfast/trade/duckdb_sink.hpp"
#include "holdfast/vault/key_change.hpp"
#include "holdfast/vault/mirror_memory_file.hpp"

namespace holdfast::cli {
namespace {

using policy::Advice;
using policy::Severity;

class Doctor {
public:
    Doctor(const Session& session, const policy::Config& config, const std::vector<std::string>& names)
        : session_(session), config_(config), names_(names) {}

    void examine() {
        if (wanted("repository")) examine_repository();
        if (wanted("restore")) examine_restores();
        for (const auto& one : config_.postgres)
            if (wanted(one.name)) add(source::examine_postgres(one));
        for (const auto& one : config_.redis)
            if (wanted(one.name)) add(source::examine_redis(one, profiles_of(one.name), saved_keys(one.name)));
        for (policy::DuckDbConfig one : config_.duckdb) {
            one.rebuild = trade::duckdb_rebuild_rules(config_, one);
            if (wanted(one.name)) add(source::examine_duckdb(one, source::scratch_folder(config_), config_.doctor));
        }
        for (const auto& one : config_.clickhouse)
            if (wanted(one.name)) add(source::examine_clickhouse(one));
        for (const auto& one : config_.journals)
            if (wanted(one.name)) add(source::examine_journal(one, config_.doctor));
        for (const auto* list : {&config_.files, &config_.logs})
            for (const auto& one : *list)
                if (wanted(one.name)) add(source::examine_files(one));
        for (const auto& one : config_.trade)
            if (wanted(one.account)) examine_engine(one);
        for (const std::string& name : names_)
            if (std::ranges::find(seen_, name) == seen_.end()) unknown.push_back(name);
    }

    /// What servers can be told is told, and looked at again.
    Status apply() {
        for (const auto& one : config_.redis) {
            source::Advices its;
            std::ranges::copy_if(advices, std::back_inserter(its), [&](const Advice& advice) {
                return advice.subject == one.name && !advice.setting.empty();
            });
            if (its.empty()) continue;
            HF_DO(source::apply_redis(one, its));
            for (const Advice& advice : its)
                applied.push_back(fmt::format("{}: {} \"{}\"", one.name, advice.setting, advice.value));
        }
        if (applied.empty()) return {};
        advices.clear();
        seen_.clear();
        unknown.clear();
        examine();
        return {};
    }

    std::vector<Advice> advices;
    std::vector<std::string> applied, unknown;

private:
    bool wanted(const std::string& name) {
        seen_.push_back(name);
        return names_.empty() || std::ranges::find(names_, name) != names_.end();
    }
    void add(source::Advices more) { std::ranges::move(more, std::back_inserter(advices)); }
    void say(Severity severity, std::string subject, std::string text, std::string cure) {
        advices.push_back({severity, std::move(subject), std::move(text), std::move(cure), {}, {}});
    }

    std::vector<std::string_view> profiles_of(const std::string& redis) const {
        std::vector<std::string_view> profiles;
        for (const policy::TradeConfig& trade : config_.trade)
            if (trade.redis == redis && std::ranges::find(profiles, trade.profile) == profiles.end())
                profiles.push_back(trade.profile);
        return profiles;
    }
    std::uint64_t saved_keys(const std::string& redis) const {
        const auto at = saved_.find(fmt::format("{}: {}", source::stack_name(config_), redis));
        return at == saved_.end() ? 0 : static_cast<std::uint64_t>(at->second.facts["keys"].integer(0));
    }

    void examine_repository() {
        const auto look = [&]() -> Status {
            HF_TRY(const auto repository, open_repository(session_, &config_));
            HF_DO(repository->load_index());
            std::size_t unreadable = 0;
            HF_TRY(const auto snapshots, repository->snapshots([&](const Id&, const Error&) { ++unreadable; }));
            if (unreadable > 0)
                say(Severity::trouble, "repository", fmt::format("{} snapshots cannot be read", unreadable),
                    "holdfast check; then holdfast heal");
            saved_ = newest_of_each(*repository, snapshots);
            examine_ages(snapshots.empty());
            examine_speed(*repository, snapshots);
            examine_password(*repository);
            examine_room(repository->backend().location());
            for (const policy::MirrorConfig& mirror : config_.mirrors)
                if (const MirrorState state = look_at_mirror(session_, config_, *repository, mirror);
                    state.stale || state.error)
                    say(Severity::trouble, mirror.name, "the mirror is " + state.text(session_.clock.now()),
                        fmt::format("holdfast mirror sync {}", mirror.name));
            return {};
        };
        if (auto looked = look(); !looked) advices.push_back(source::advice_of("repository", looked.error()));
    }

    void examine_ages(bool empty) {
        const Timestamp now = session_.clock.now();
        if (empty) return say(Severity::trouble, "repository", "it holds no backup", "holdfast backup");
        const auto each = [&](const std::string& name) {
            const auto at = saved_.find(fmt::format("{}: {}", source::stack_name(config_), name));
            if (at == saved_.end() || !at->second.complete)
                return say(Severity::trouble, name, "it has never been backed up whole",
                           fmt::format("holdfast backup --only {}", name));
            const Duration age = now - at->second.complete->snapshot.time;
            if (age > std::chrono::hours(config_.doctor.backup_age_max_hours))
                say(Severity::trouble, name, fmt::format("its newest whole backup is {} old", human_age(age)),
                    fmt::format("holdfast backup --only {}", name));
            if (at->second.incomplete)
                say(Severity::warning, name, "a newer backup of it is not whole: " + printable(at->second.why),
                    fmt::format("holdfast backup --only {}", name));
        };
        const auto all = [&](const auto& components) {
            for (const auto& component : components) each(component.name);
        };
        all(config_.postgres);
        all(config_.redis);
        all(config_.duckdb);
        all(config_.clickhouse);
        all(config_.journals);
        all(config_.files);
        all(config_.logs);
    }

    // NS-17: "backups too slow".
    void examine_speed(const vault::Repository& repository, const std::vector<vault::SnapshotEntry>& snapshots) {
        const std::string path = source::stack_path(config_);
        const auto newest = std::find_if(snapshots.rbegin(), snapshots.rend(), [&](const vault::SnapshotEntry& entry) {
            return std::ranges::find(entry.snapshot.paths, path) != entry.snapshot.paths.end();
        });
        if (newest == snapshots.rend()) return;
        const auto manifest = source::read_manifest(repository, *newest);
        if (!manifest) return;
        const auto started = parse_rfc3339((*manifest)["started"].text()),
                   finished = parse_rfc3339((*manifest)["finished"].text());
        if (!started || !finished || *finished - *started <= std::chrono::minutes(config_.doctor.backup_max_minutes))
            return;
        const json::Value* slowest = nullptr;
        for (const json::Value& one : (*manifest)["components"].items())
            if (!slowest || one["seconds"].number() > (*slowest)["seconds"].number()) slowest = &one;
        if (!slowest) return;
        const std::string kind = (*slowest)["kind"].text(), name = (*slowest)["name"].text();
        say(Severity::warning, name,
            fmt::format("the newest backup took {}, most of it for this",
                        human_duration(seconds(*finished - *started))),
            kind == "postgres" && (*slowest)["facts"]["method"].text() != "physical"
                ? "method = \"physical\" in [[postgres]], or proof = \"count\"; holdfast backup"
            : kind == "redis" ? "full_every_hours = 24 in [[redis]], so that most backups take only what is new"
            : kind == "files" || kind == "logs"
                ? fmt::format("exclude = [\"…\"] in the table of {}", name)
                : "proof = \"count\" in its table; holdfast backup --without " + name + " in the hours that matter");
    }

    // NS-17: "database already exists", "restored data too old", and where a restore stands.
    void examine_restores() {
        const auto runs =
            recovery::RunFolder::look(vault::state_folder(config_.state_folder), source::stack_name(config_)).list();
        if (!runs) return advices.push_back(source::advice_of("restore", runs.error(), Severity::warning));
        if (runs->empty()) return;
        const recovery::RestoreRun& last = runs->back().run;
        using recovery::RunState;
        if (last.state == RunState::running || last.state == RunState::failed)
            say(Severity::trouble, "restore",
                fmt::format("the one of {} {} while {}{}", local_time(last.started),
                            last.state == RunState::failed ? "did not pass" : "is at work, or was interrupted",
                            last.where(), last.paused.empty() ? "" : "; trading stays paused"),
                "holdfast restore --resume; or holdfast restore --undo");
        if (last.state == RunState::undoing || last.state == RunState::committing)
            say(Severity::trouble, "restore", "it was interrupted while " + last.where(), "holdfast restore --resume");
        if (last.state == RunState::passed) {
            for (const recovery::RunPart& part : last.parts) {
                const auto at = saved_.find(fmt::format("{}: {}", source::stack_name(config_), part.name));
                // Made before the restore, and not taken for it.
                if (at == saved_.end() || !at->second.complete ||
                    at->second.complete->snapshot.time <= last.snapshot_time ||
                    at->second.complete->snapshot.time >= last.started)
                    continue;
                say(Severity::warning, part.name,
                    fmt::format("it was restored from {}, and there is a newer whole backup of {}",
                                local_time(last.snapshot_time), local_time(at->second.complete->snapshot.time)),
                    fmt::format("holdfast restore {} --only {} --replace", at->second.complete->id.brief(), part.name));
            }
        }
        for (const auto& entry : *runs) {
            const recovery::RestoreRun& run = entry.run;
            if ((run.state != RunState::passed && run.state != RunState::undone) || !run.keeps()) continue;
            std::uint64_t kept = 0;
            for (const recovery::RunPart& part : run.parts) kept += recovery::kept_bytes(part);
            const Duration age = session_.clock.now() - run.changed;
            if (age > std::chrono::hours(24) * config_.doctor.kept_aside_max_days)
                say(Severity::warning, "restore",
                    fmt::format("what the one of {} replaced is still kept{}", local_time(run.started),
                                kept == 0 ? "" : fmt::format(", {} of files", human_size(kept))),
                    "holdfast restore --commit");
            examine_room_beside(run);
        }
    }

    // Kept until space is short: that is now.
    void examine_room_beside(const recovery::RestoreRun& run) {
        for (const recovery::RunPart& part : run.parts)
            for (const recovery::Replacement& one : part.replaced) {
                if (!one.keeps_files()) continue;
                const auto room = os::free_space(one.kept_as());
                if (!room || *room >= std::uint64_t(config_.doctor.repository_free_min_mib) << 20) continue;
                return say(Severity::trouble, part.name,
                           fmt::format("its disk has {} MiB left, and what a restore replaced lies there: {}",
                                       *room >> 20, one.kept_as()),
                           "holdfast restore --commit");
            }
    }

    void examine_password(vault::Repository& repository) {
        const auto keys = vault::list_keys(repository, [](const Id&, const Error&) {});
        if (!keys) return;
        for (const vault::KeyEntry& key : *keys) {
            if (!key.current) continue;
            const auto verdict =
                policy::judge_password(key.created, session_.clock.now(), config_.repository.password_max_age_days);
            if (verdict.state == policy::PasswordState::due)
                say(Severity::warning, "repository", fmt::format("its password is {} old", human_age(verdict.age)),
                    "holdfast key passwd");
        }
    }

    void examine_room(const std::string& location) {
        if (!location.starts_with('/')) return;    // others tell when they are full
        const auto room = os::free_space(location);
        if (room && *room < std::uint64_t(config_.doctor.repository_free_min_mib) << 20)
            say(Severity::trouble, "repository", fmt::format("its disk has {} MiB left", *room >> 20),
                "holdfast forget --keep-daily 7 --prune; if even that finds no room: holdfast prune "
                "--unsafe-recover-no-free-space (docs/operations/disk-full.md)");
    }

    void examine_engine(const policy::TradeConfig& trade) {
        const auto account = find_account(config_, trade.account);
        if (!account) return advices.push_back(source::advice_of(trade.account, account.error()));
        const auto status = EngineDoor(*account).get("/v1/status");
        if (!status) return advices.push_back(source::advice_of(trade.account, status.error(), Severity::warning));
        for (const json::Value& waits : (*status)["waits_for"].items())
            say(Severity::warning, trade.account, "no new order leaves: it waits for " + waits.text(),
                fmt::format("holdfast trade status --account {}", trade.account));
        for (const json::Value& store : (*status)["stores"].items()) {
            const std::string state = store["state"].text();
            if (state == "suspended")
                say(Severity::trouble, trade.account,
                    fmt::format("{} gets nothing any more: {}", store["store"].text(),
                                printable(store["error"].text())),
                    fmt::format("holdfast trade resume-sync --account {}", trade.account));
            else if (store["attempts"].integer(0) > 0)
                say(Severity::warning, trade.account,
                    fmt::format("{} is behind by {}: {}", store["store"].text(), store["backlog"].integer(0),
                                printable(store["error"].text())),
                    "it is tried again by itself; mend the store");
        }
        if (const std::string trouble = (*status)["journal"]["trouble"].text(); !trouble.empty())
            say(Severity::trouble, trade.account, "the journal takes nothing: " + printable(trouble),
                "make room on its disk: it goes on by itself");
    }

    const Session& session_;
    const policy::Config& config_;
    const std::vector<std::string>& names_;
    std::vector<std::string> seen_;
    std::map<std::string, Saved> saved_;
};

std::string_view word_of(Severity severity) { return severity == Severity::trouble ? "trouble" : "warning"; }

class DoctorCommand final : public Command {
    std::string_view name() const override { return "doctor"; }
    std::string_view help() const override { return "what is wrong or will be, and the command that cures it"; }
    std::string_view examples() const override {
        return R"(Asks the repository, every store of the configuration and the trade engines. Nothing is changed without --apply, which
tells Redis the settings that are proposed (CONFIG SET, and CONFIG REWRITE where it runs with a file).

Examples
  holdfast doctor
  holdfast doctor redis desk-1                     only these components and accounts ("repository" and "restore" are such, too)
  holdfast doctor --apply redis

Exit code 3: something is in trouble. Warnings alone give 0.
)";
    }
    void declare(Options& options) override {
        options.flag("--apply", apply_, "tell the servers the settings that are proposed");
        options.arguments("NAME", names_, Options::Need::optional,
                          "components, accounts, \"repository\", \"restore\"; all by default");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config(session.global));
        Doctor doctor(session, loaded.config, names_);
        doctor.examine();
        if (!doctor.unknown.empty())
            return fail(ErrorCode::usage, fmt::format("{} is not in {}", doctor.unknown.front(), loaded.file),
                        "name a component, an account, \"repository\" or \"restore\"");
        if (apply_) HF_DO(doctor.apply());
        // What hurts now comes first.
        std::ranges::stable_sort(doctor.advices, std::greater(), &Advice::severity);
        session.global.json ? print_json(as_json(doctor)) : show(session, doctor);
        const bool trouble = std::ranges::any_of(
            doctor.advices, [](const Advice& advice) { return advice.severity == Severity::trouble; });
        return trouble ? facts(ErrorCode::incomplete).exit_status : 0;
    }

    static json::Value as_json(const Doctor& doctor) {
        auto list = json::Value::array(), applied = json::Value::array();
        for (const Advice& advice : doctor.advices)
            list.push(json::Value::object({{"severity", std::string(word_of(advice.severity))},
                                           {"subject", advice.subject},
                                           {"text", advice.text},
                                           {"cure", advice.cure},
                                           {"can_apply", !advice.setting.empty()}}));
        for (const std::string& one : doctor.applied) applied.push(one);
        return json::Value::object({{"findings", std::move(list)}, {"applied", std::move(applied)}});
    }

    static void show(const Session& session, const Doctor& doctor) {
        for (const std::string& one : doctor.applied) print(fmt::format("told {}\n", one));
        bool can_apply = false;
        for (const Advice& advice : doctor.advices) {
            const Colour colour = advice.severity == Severity::trouble ? Colour::red : Colour::yellow;
            print(fmt::format("{} {}: {}\n", painted(1, colour, fmt::format("{:<7}", word_of(advice.severity))),
                              printable(advice.subject), printable(advice.text)));
            if (!advice.cure.empty()) print(fmt::format("        {}\n", printable(advice.cure)));
            can_apply = can_apply || !advice.setting.empty();
        }
        if (doctor.advices.empty()) print("all is well\n");
        if (can_apply && session.people()) print_note("`holdfast doctor --apply` sends each CONFIG SET above\n");
    }

    bool apply_ = false;
    std::vector<std::string> names_;
};

}    // namespace

std::unique_ptr<Command> doctor_command() { return std::make_unique<DoctorCommand>(); }

}    // namespace holdfast::cli
