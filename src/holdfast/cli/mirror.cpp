// holdfast mirror status, sync, verify.

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/mirrors.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {
namespace {

int incomplete() { return facts(ErrorCode::incomplete).exit_status; }

class MirrorStatusCommand final : public Command {
    std::string_view name() const override { return "mirror status"; }
    std::string_view help() const override { return "how far each mirror is behind"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast mirror status                           all mirrors of holdfast.toml
  holdfast mirror status far --json

Exit code 3: a mirror cannot be looked at, or is further behind than its lag_max_hours.
)";
    }
    void declare(Options& options) override {
        options.arguments("NAME", names_, Options::Need::optional, "only these mirrors");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        HF_TRY(const auto mirrors, chosen_mirrors(loaded.config, names_));
        HF_TRY(const auto repository, open_repository(session, &loaded.config));
        bool trouble = false;
        json::Value list = json::Value::array();
        Table table({"Mirror", "Kind", "Off-site", "Snapshots", "State", "Kept there", "Verified"},
                    {false, false, false, true, false, true, false});
        const Timestamp now = session.clock.now();
        for (const auto& mirror : mirrors) {
            const MirrorState state = look_at_mirror(session, loaded.config, *repository, mirror);
            trouble |= state.error || state.stale;
            list.push(state.as_json());
            table.row({mirror.name, std::string(policy::to_text(mirror.kind)), mirror.off_site ? "yes" : "no",
                       state.error ? "?" : fmt::format("{}", state.lag.snapshots_there), state.text(now),
                       state.error ? "?" : fmt::format("{}", state.lag.only_there),
                       state.memory.verified_at.nanoseconds > 0 ? human_age(now - state.memory.verified_at) + " ago"
                                                                : "never"});
        }
        if (session.global.json)
            print_json(json::Value::object({{"mirrors", std::move(list)}}));
        else
            print(table.text(1));
        return trouble ? incomplete() : 0;
    }
    std::vector<std::string> names_;
};

class MirrorSyncCommand final : public Command {
    std::string_view name() const override { return "mirror sync"; }
    std::string_view help() const override { return "send what is new to the mirrors"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast mirror sync                             all mirrors; `backup` does it by itself
  holdfast mirror sync far --dry-run               what would travel
  holdfast mirror sync --read-back all             read everything that was sent again from the mirror

Deletions travel only after the mirror's grace_days, and not at all when most of the repository is gone at once, unless
--force says that this was meant. Damaged files never travel. What was cut off goes on where it ended.
Exit code 3: a mirror did not get everything; the others did.
)";
    }
    void declare(Options& options) override {
        options.arguments("NAME", names_, Options::Need::optional, "only these mirrors");
        options.flag("-n,--dry-run", arguments_.dry_run, "only say what would be done");
        options.flag("--force", arguments_.force, "many deletions at once, or a mirror made anew, are meant");
        options.choice("--read-back", read_back_, {"none", "sample", "all"}, "how much is verified at the mirror");
    }
    Result<int> run(const Session& session) override {
        arguments_.read_back = read_back_ == "none"  ? vault::ReadBack::none
                               : read_back_ == "all" ? vault::ReadBack::all
                                                     : vault::ReadBack::sample;
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        HF_TRY(const auto mirrors, chosen_mirrors(loaded.config, names_));
        HF_TRY(const auto repository, open_repository(session, &loaded.config));
        bool trouble = false;
        std::optional<Error> only;
        json::Value list = json::Value::array();
        for (const auto& mirror : mirrors) {
            const auto report = sync_one(session, loaded.config, *repository, mirror, arguments_);
            list.push(sync_json(mirror.name, report));
            trouble |= !report || !report->complete();
            if (!report) {
                if (report.error().code == ErrorCode::cancelled) return fail(report.error());
                if (mirrors.size() == 1)
                    only = report.error();
                else if (!session.global.json)
                    report_error(report.error(), false);
            } else if (!session.global.json && (!session.global.quiet || !report->complete())) {
                print(sync_text(mirror.name, *report, arguments_.dry_run));
            }
        }
        // Alone, its error is the command's.
        if (only) return fail(*std::move(only));
        if (session.global.json) print_json(json::Value::object({{"mirrors", std::move(list)}}));
        return trouble ? incomplete() : 0;
    }
    std::vector<std::string> names_;
    std::string read_back_ = "sample";
    SyncArguments arguments_;
};

class MirrorVerifyCommand final : public Command {
    std::string_view name() const override { return "mirror verify"; }
    std::string_view help() const override { return "read the mirrors' files and compare each with its name"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast mirror verify                           every byte of every mirror
  holdfast mirror verify far --percent 5           a random twentieth of its packs, and all small files
  holdfast mirror verify far --repair              and send damaged files again

Exit code 1: something there is damaged or missing.
)";
    }
    void declare(Options& options) override {
        options.arguments("NAME", names_, Options::Need::optional, "only these mirrors");
        options.number("--percent", percent_, 1, "N", "read this share of the packs (default: 100)");
        options.flag("--repair", repair_, "send damaged files again from this repository");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const LoadedConfig loaded, load_config(session.global));
        HF_TRY(const auto mirrors, chosen_mirrors(loaded.config, names_));
        HF_TRY(const auto repository, open_repository(session, &loaded.config));
        bool damaged = false;
        json::Value list = json::Value::array();
        for (const auto& mirror : mirrors) {
            HF_TRY(const auto report, verify(session, loaded.config, *repository, mirror));
            damaged |= !report.errors.empty();
            list.push(json::Value::object({{"name", mirror.name},
                                           {"ok", report.errors.empty()},
                                           {"files_read", report.files_read},
                                           {"bytes_read", report.bytes_read},
                                           {"repaired", report.repaired},
                                           {"errors", strings_json(report.errors)}}));
            if (session.global.json) continue;
            for (const std::string& error : report.errors)
                print_note(fmt::format("{} {}\n", painted(2, Colour::red, "damaged:"), error));
            if (!session.global.quiet)
                print(fmt::format("mirror {}: {} files ({}) read, {} repaired: {}\n", mirror.name, report.files_read,
                                  human_size(report.bytes_read), report.repaired,
                                  report.errors.empty() ? painted(1, Colour::green, "no errors")
                                                        : fmt::format("{} errors", report.errors.size())));
        }
        if (session.global.json) print_json(json::Value::object({{"mirrors", std::move(list)}}));
        return damaged ? facts(ErrorCode::corrupt).exit_status : 0;
    }
    Result<vault::VerifyReport> verify(const Session& session, const policy::Config& config,
                                       vault::Repository& repository, const policy::MirrorConfig& mirror) {
        HF_TRY(const auto backend, open_mirror(mirror, session.clock));
        const vault::MirrorMemoryFile file(vault::state_folder(config.state_folder), repository.config().id,
                                           mirror.location);
        vault::MirrorMemory memory = file.load();
        vault::VerifyOptions options;
        options.connections = mirror.connections;
        options.percent = static_cast<unsigned>(std::min<std::int64_t>(percent_, 100));
        options.repair = repair_;
        options.append_only = mirror.append_only;
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        options.progress = [&](std::uint64_t done, std::uint64_t total) {
            progress.show({done, total, "", "mirror " + mirror.name});
        };
        auto report = vault::verify_mirror(repository, *backend, memory, options);
        progress.clear();
        if (!report) return fail(std::move(report).error().within("mirror " + mirror.name));
        HF_DO(file.save(memory));
        return report;
    }
    std::vector<std::string> names_;
    std::int64_t percent_ = 100;
    bool repair_ = false;
};

}    // namespace

std::vector<std::unique_ptr<Command>> mirror_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(std::make_unique<MirrorStatusCommand>());
    all.push_back(std::make_unique<MirrorSyncCommand>());
    all.push_back(std::make_unique<MirrorVerifyCommand>());
    return all;
}

}    // namespace holdfast::cli
