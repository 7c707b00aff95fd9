// holdfast parity create, update, verify, repair.

#include "holdfast/vault/parity.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/heal_report.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/vault/mirror_memory_file.hpp"

namespace holdfast::cli {
namespace {

constexpr std::int64_t k_percent_usual = 10;

Result<std::string> folder_for(const policy::Config* config, const std::string& location) {
    std::string folder = vault::parity_folder(config ? config->repository.parity_folder : "", location);
    if (folder.empty())
        return fail(ErrorCode::usage, fmt::format("parity for {} needs a folder of this machine", location),
                    "set parity_folder in [repository] of holdfast.toml");
    return folder;
}

void show_parity_report(const Session& session, const vault::ParityReport& report) {
    if (session.global.json)
        return print_json(json::Value::object({{"files", report.files},
                                               {"bytes", report.bytes},
                                               {"parity_files", report.parity_files},
                                               {"parity_bytes", report.parity_bytes},
                                               {"groups_made", report.groups_made},
                                               {"groups_kept", report.groups_kept},
                                               {"damaged", strings_json(report.damaged)},
                                               {"lost", strings_json(report.lost)}}));
    for (const auto* names : {&report.damaged, &report.lost})
        for (const std::string& name : *names)
            print_note(fmt::format("{} {} is damaged or lost: run `holdfast parity repair`\n",
                                   painted(2, Colour::red, "not covered:"), name));
    if (!session.global.quiet)
        print(fmt::format("{} files ({}) covered by {} parity files ({}); {} groups made, {} kept\n", report.files,
                          human_size(report.bytes), report.parity_files, human_size(report.parity_bytes),
                          report.groups_made, report.groups_kept));
}

Result<vault::ParityReport> update(const Session& session, const policy::Config* config, vault::Repository& repository,
                                   std::int64_t percent, bool reread) {
    vault::ParityOptions options;
    HF_TRY(options.folder, folder_for(config, repository.backend().location()));
    const std::uint32_t configured = config ? config->repository.parity_percent : 0;
    options.percent = static_cast<unsigned>(percent > 0      ? std::min<std::int64_t>(percent, 100)
                                            : configured > 0 ? configured
                                                             : k_percent_usual);
    options.reread = reread;
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.show({done, total, "", ""}); };
    auto report = vault::update_parity(repository, options);
    progress.clear();
    return report;
}

// `create` and `update` do the same; who makes parity for the first time looks for the first.
class ParityUpdateCommand final : public Command {
public:
    explicit ParityUpdateCommand(bool create) : create_(create) {}

private:
    std::string_view name() const override { return create_ ? "parity create" : "parity update"; }
    std::string_view help() const override {
        return create_ ? "make parity files for the repository" : "bring the parity files up to date";
    }
    std::string_view examples() const override {
        return create_ ? R"(Examples
  holdfast parity create                           one tenth more space repairs damage to one file in ten
  holdfast parity create --percent 20

With parity_percent in [repository] of holdfast.toml every backup keeps it up to date.
)"
                       : R"(Examples
  holdfast parity update                           cover new files, forget deleted ones
  holdfast parity update --reread                  and read the parity files that are there

With parity_percent in [repository] of holdfast.toml every backup does it.
)";
    }
    void declare(Options& options) override {
        options.number("--percent", percent_, 1, "N",
                       "parity files a hundred files (default: parity_percent, else 10)");
        options.flag("--reread", reread_, "check every block of the parity files, too");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const policy::Config* config = loaded ? &loaded->config : nullptr;
        HF_TRY(const auto repository, open_repository(session, config));
        HF_TRY(const auto report, update(session, config, *repository, percent_, reread_));
        show_parity_report(session, report);
        return report.damaged.empty() && report.lost.empty() ? 0 : facts(ErrorCode::corrupt).exit_status;
    }

    const bool create_;
    std::int64_t percent_ = 0;
    bool reread_ = false;
};

Result<std::string> named_location(const Session& session, const policy::Config* config) {
    std::string location = repository_location(session.global, config);
    if (location.empty())
        return fail(ErrorCode::usage, "no repository was named",
                    "use --repo, HOLDFAST_REPOSITORY or location = in [repository] of holdfast.toml");
    return location;
}

class ParityVerifyCommand final : public Command {
    std::string_view name() const override { return "parity verify"; }
    std::string_view help() const override { return "read everything and say what parity could repair"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast parity verify                           needs no password

Exit code 1: something is damaged; the lines say whether parity can repair it.
)";
    }
    void declare(Options&) override {}
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const policy::Config* config = loaded ? &loaded->config : nullptr;
        HF_TRY(const std::string location, named_location(session, config));
        HF_TRY(const auto backend, open_storage(session, location, config));
        HF_TRY(const std::string folder, folder_for(config, location));
        if (!os::exists(folder))
            return fail(ErrorCode::not_found, fmt::format("there is no parity in {}", folder),
                        "run `holdfast parity create`");
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        HF_TRY(const auto report, vault::verify_parity(*backend, folder, [&](std::uint64_t done, std::uint64_t total) {
                   progress.show({done, total, "stripes", ""});
               }));
        progress.clear();
        const bool damaged = !report.repairable.empty() || !report.beyond_repair.empty();
        if (session.global.json) {
            print_json(json::Value::object({{"ok", report.ok()},
                                            {"groups", report.groups},
                                            {"files", report.files},
                                            {"uncovered", report.uncovered},
                                            {"repairable", strings_json(report.repairable)},
                                            {"beyond_repair", strings_json(report.beyond_repair)}}));
        } else {
            for (const std::string& line : report.repairable)
                print_note(fmt::format("{} {}\n", painted(2, Colour::yellow, "repairable:"), line));
            for (const std::string& line : report.beyond_repair)
                print_note(fmt::format("{} {}\n", painted(2, Colour::red, "beyond repair:"), line));
            if (!session.global.quiet)
                print(fmt::format("{} files in {} groups: {} damaged, {} not covered{}\n", report.files, report.groups,
                                  report.repairable.size() + report.beyond_repair.size(), report.uncovered,
                                  report.uncovered > 0 ? " (`holdfast parity update` covers them)" : ""));
        }
        return damaged ? facts(ErrorCode::corrupt).exit_status : 0;
    }
};

class ParityRepairCommand final : public Command {
    std::string_view name() const override { return "parity repair"; }
    std::string_view help() const override { return "put damaged and missing files together again from parity"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast parity repair                           as `heal`, but from parity alone; then mends the parity itself

Exit code 1: something stays damaged; it is listed, file by file. `holdfast heal` also asks mirrors and live files.
)";
    }
    void declare(Options&) override {}
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const policy::Config* config = loaded ? &loaded->config : nullptr;
        HF_TRY(const std::string location, named_location(session, config));
        HF_TRY(const auto backend, open_storage(session, location, config));
        HF_TRY(const std::string folder, folder_for(config, location));
        HF_TRY(const auto source, vault::parity_source(*backend, folder));
        HF_TRY(const Secret password, repository_password(session.global, config, Ask::once));
        vault::HealOptions options;
        options.sources = {source.get()};
        options.live_files = false;
        options.aside_folder = fmt::format("{}/set-aside/{}", vault::state_folder(config ? config->state_folder : ""),
                                           session.clock.now().nanoseconds / 1'000'000);
        vault::HealReport report;
        HF_TRY(const auto repository, vault::open_healing([&] { return open_storage(session, location, config); },
                                                          password, session.clock, options, report));
        HF_DO(vault::heal(*repository, options, report));
        if (report.well()) {
            HF_TRY(const auto mended, update(session, config, *repository, 0, true));
            static_cast<void>(mended);
        }
        return show_heal_report(session, report);
    }
};

}    // namespace

std::vector<std::unique_ptr<Command>> parity_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(std::make_unique<ParityUpdateCommand>(true));
    all.push_back(std::make_unique<ParityUpdateCommand>(false));
    all.push_back(std::make_unique<ParityVerifyCommand>());
    all.push_back(std::make_unique<ParityRepairCommand>());
    return all;
}

}    // namespace holdfast::cli
