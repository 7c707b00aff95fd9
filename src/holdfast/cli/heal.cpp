#include "holdfast/vault/heal.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/heal_report.hpp"
#include "holdfast/cli/mirrors.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/vault/parity.hpp"
#include "holdfast/vault/parity_set.hpp"

namespace holdfast::cli {
namespace {

class HealCommand final : public Command {
    std::string_view name() const override { return "heal"; }
    std::string_view help() const override { return "bring back what is damaged or missing in the repository"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast heal                                    from the mirrors, from parity, from the live files
  holdfast heal --quick                            look only whether packs are there and have their size
  holdfast heal --from /mnt/usb/vault              from a copy that holdfast.toml does not name
  holdfast heal --missing-snapshots                also snapshots that only a mirror has (forgotten here, or lost)

Everything is verified before it takes the place of what is damaged; that is set aside until all is well. Works also when
config or keys are damaged. What cannot be brought back is listed, file by file.
Exit code 1: something stays damaged.
)";
    }
    void declare(Options& options) override {
        options.flag("--quick", quick_, "do not read the packs, look only at their sizes");
        options.list("--from", from_, "REPO", "another copy of this repository to take from");
        options.flag("--missing-snapshots", missing_snapshots_, "bring back snapshots that only a copy has");
        options.flag("--no-live-files", no_live_, "do not look for lost content in the files of this machine");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const policy::Config* config = loaded ? &loaded->config : nullptr;
        const std::string location = repository_location(session.global, config);
        if (location.empty())
            return fail(ErrorCode::usage, "no repository was named",
                        "use --repo, HOLDFAST_REPOSITORY or location = in [repository] of holdfast.toml");
        HF_TRY(const auto backend, open_storage(session, location, config));
        HF_DO(gather_sources(session, config, *backend, location));
        const auto there = backend->size({storage::FileKind::config, {}});
        if (sources_.empty() && !there && there.error().code == ErrorCode::not_found)
            return fail(
                ErrorCode::no_repository,
                fmt::format("there is no repository at {}, and no copy to bring its config back from", location),
                "check the place, or name a copy with --from or [[mirror]]");
        HF_TRY(const Secret password, repository_password(session.global, config, Ask::once));

        vault::HealOptions options;
        for (const auto& source : sources_) options.sources.push_back(source.get());
        options.quick = quick_;
        options.missing_snapshots = missing_snapshots_;
        options.live_files = !no_live_;
        options.live_paths = [config](const std::string& path) { return live_paths(config, path); };
        options.aside_folder = fmt::format("{}/set-aside/{}", vault::state_folder(config ? config->state_folder : ""),
                                           session.clock.now().nanoseconds / 1'000'000);
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.show({done, total, "packs", ""}); };
        vault::HealReport& report = report_;
        HF_TRY(const auto repository, vault::open_healing([&] { return open_storage(session, location, config); },
                                                          password, session.clock, options, report));
        HF_DO(vault::heal(*repository, options, report));
        progress.clear();
        return show_heal_report(session, report);
    }

    Status gather_sources(const Session& session, const policy::Config* config, storage::Backend& repository,
                          const std::string& location) {
        for (const std::string& other : from_) {
            HF_TRY(auto backend, open_storage(session, other, config));
            if (const auto there = backend->size({storage::FileKind::config, {}}); !there)
                return fail(Error(there.error()).within(fmt::format("{} is no repository", other)));
            sources_.push_back(vault::mirror_source(other, *backend));
            backends_.push_back(std::move(backend));
        }
        // Parity is near, and needs no line.
        const std::string folder = vault::parity_folder(config ? config->repository.parity_folder : "", location);
        if (!folder.empty() && os::exists(folder)) {
            HF_TRY(auto parity, vault::parity_source(repository, folder));
            sources_.push_back(std::move(parity));
        }
        if (!config) return {};
        for (const policy::MirrorConfig& mirror : config->mirrors) {
            auto backend = open_mirror(mirror, session.clock);
            if (!backend) {
                report_.source_errors.push_back(backend.error().message);
                continue;
            }
            sources_.push_back(vault::mirror_source(mirror.name, **backend));
            backends_.push_back(*std::move(backend));
        }
        return {};
    }

    static std::vector<std::string> live_paths(const policy::Config* config, const std::string& path) {
        std::vector<std::string> candidates{path};
        // "config/etc/app.toml": below the component's folder stands the absolute path.
        if (const std::size_t slash = path.find('/', 1); slash != std::string::npos)
            candidates.push_back(path.substr(slash));
        if (config)
            for (const policy::DuckDbConfig& db : config->duckdb)
                if (path == fmt::format("/duckdb/{}.duckdb", db.name)) candidates.push_back(db.path);
        return candidates;
    }

    std::vector<std::string> from_;
    bool quick_ = false, missing_snapshots_ = false, no_live_ = false;
    std::vector<std::unique_ptr<storage::Backend>> backends_;
    std::vector<std::unique_ptr<vault::FileSource>> sources_;
    vault::HealReport report_;
};

}    // namespace

std::unique_ptr<Command> heal_command() { return std::make_unique<HealCommand>(); }

}    // namespace holdfast::cli
