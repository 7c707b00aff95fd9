#include "holdfast/vault/rekey.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/password_options.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/repository_work.hpp"

namespace holdfast::cli {
namespace {

class RekeyCommand final : public Command {
    std::string_view name() const override { return "rekey"; }
    std::string_view help() const override { return "move everything into a new repository with a new master key"; }
    std::string_view examples() const override {
        return R"(For a master key that may be known to others: a changed password (`holdfast key passwd`) does not lock them out. Every
blob is sealed anew under a fresh master key in the repository at --to; the old one is only read. At the end all data of
the new one is read back, and both are compared: snapshots, trees, blobs. Stopped, it goes on when it is run again; run
again later, it adds what came to the old one since. The new repository has one password: the one given with
--new-password-... or drawn by --generate-key, else that of the old one; others are added with `holdfast key add`.

Examples
  holdfast rekey --to /srv/vault-2027 --new-password-file /etc/holdfast/password.2027
  holdfast rekey --to /srv/vault-2027 --json
)";
    }
    void declare(Options& options) override {
        options.value("--to", to_, "PLACE", "the new repository: an empty place, or what an earlier run began");
        declare_new_secret(options, secret_);
    }

    Result<int> run(const Session& session) override {
        if (to_.empty())
            return fail(ErrorCode::usage, "the place of the new repository was not named", "use --to PLACE");
        HF_TRY(const OpenedRepository from, open_for_work(session));
        HF_TRY(const auto target, open_target(session, from));
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        vault::RekeyOptions options;
        options.copy.storing = from.storing;
        options.progress = [&](vault::RekeyStep step, std::uint64_t done, std::uint64_t total) {
            const bool copying = step == vault::RekeyStep::copy;
            progress.show({done, total, copying ? "blobs" : "packs", copying ? "sealing anew" : "verifying"});
        };
        HF_TRY(const vault::RekeyReport report, vault::rekey(*from.repository, *target, options));
        progress.clear();
        if (session.global.json) {
            print_json(json::Value::object({{"verified", true},
                                            {"to", to_},
                                            {"snapshots", report.snapshots},
                                            {"snapshots_copied", report.snapshots_copied},
                                            {"blobs", report.blobs},
                                            {"bytes_added", report.bytes_added},
                                            {"bytes_stored", report.bytes_stored},
                                            {"blobs_verified", report.blobs_verified},
                                            {"bytes_verified", report.bytes_verified}}));
            return 0;
        }
        if (session.global.quiet) return 0;
        print(fmt::format("{}, {} of them new; {} blobs compared, {} read back: {}\n",
                          plural(report.snapshots, "snapshot"), report.snapshots_copied, report.blobs_verified,
                          human_size(report.bytes_verified), painted(1, Colour::green, "equal")));
        print(
            fmt::format("the old repository {} is untouched. Next:\n"
                        "  1. let every host and schedule use {} (location and password in holdfast.toml)\n"
                        "  2. run this command once more for what was backed up meanwhile\n"
                        "  3. restore something from the new one, then remove the old one and its mirrors\n",
                        from.repository->backend().location(), to_));
        return 0;
    }

    Result<std::unique_ptr<vault::Repository>> open_target(const Session& session, const OpenedRepository& from) {
        HF_TRY(auto backend, open_storage(session, to_, from.loaded ? &from.loaded->config : nullptr));
        const auto there = backend->size({storage::FileKind::config, {}});
        if (there && !secret_.generate_key.empty())
            return fail(ErrorCode::exists, fmt::format("{} is a repository already, and has its key", to_),
                        "to go on with it: --new-password-file with the file of its machine key");
        HF_TRY(const NewSecret secret, [&]() -> Result<NewSecret> {
            if (!secret_.password.empty() || !secret_.generate_key.empty()) return new_secret(secret_);
            HF_TRY(Secret old,
                   repository_password(session.global, from.loaded ? &from.loaded->config : nullptr, Ask::once));
            return NewSecret{std::move(old), {}, {}};
        }());
        if (there) {
            auto opened = vault::Repository::open(std::move(backend), secret.text, session.clock);
            if (!opened) return fail(std::move(opened).error().within("what is at --to"));
            return opened;
        }
        if (there.error().code != ErrorCode::not_found) return fail(Error(there.error()));
        vault::InitOptions options;
        options.polynomial = from.repository->config().polynomial;
        options.cost = secret.cost;
        auto made = vault::Repository::init(std::move(backend), secret.text, session.clock, options);
        if (!made) return fail(key_stays(std::move(made).error(), secret));
        return made;
    }

    std::string to_;
    NewSecretArguments secret_;
};

}    // namespace

std::unique_ptr<Command> rekey_command() { return std::make_unique<RekeyCommand>(); }

}    // namespace holdfast::cli
