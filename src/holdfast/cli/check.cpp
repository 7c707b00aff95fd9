#include "holdfast/vault/check.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {
namespace {

struct CheckArguments {
    bool read_data = false, no_lock = false;
    std::string subset;
};

Result<int> run_check(const Session& session, const CheckArguments& arguments) {
    const Instant started = session.clock.instant();
    vault::CheckOptions options;
    if (!arguments.subset.empty()) {
        if (arguments.read_data)
            return fail(ErrorCode::usage, "both --read-data and --read-data-subset were given", "keep one of the two");
        HF_TRY(options.subset, vault::parse_pack_subset(arguments.subset));
    }
    HF_TRY(const auto repository, open_repository(session));
    ProgressLine progress(session.clock, session.people() && is_terminal(2));
    options.lock = !arguments.no_lock;
    options.read_data = arguments.read_data || options.subset;
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
        progress.show({done, total, options.read_data ? "packs" : "trees", ""});
    };
    HF_TRY(const vault::CheckReport report, vault::check(*repository, options));
    progress.clear();
    const double took = seconds(session.clock.instant() - started);
    // What is damaged decides the exit status, as any other damage would.
    const int exit = report.ok() ? 0 : facts(ErrorCode::corrupt).exit_status;
    if (session.global.json) {
        print_json(json::Value::object({{"ok", report.ok()},
                                        {"read_data", options.read_data},
                                        {"errors", strings_json(report.errors)},
                                        {"hints", strings_json(report.hints)},
                                        {"snapshots", report.snapshots},
                                        {"trees", report.trees},
                                        {"packs", report.packs},
                                        {"blobs", report.blobs},
                                        {"bytes_read", report.bytes_read},
                                        {"seconds", took}}));
        return exit;
    }
    for (const std::string& error : report.errors)
        print_note(fmt::format("{} {}\n", painted(2, Colour::red, "damaged:"), error));
    if (!session.global.quiet)
        for (const std::string& hint : report.hints) print_note(fmt::format("harmless: {}\n", hint));
    if (session.global.quiet && report.ok()) return exit;
    print(fmt::format("{} snapshots, {} trees, {} packs, {} blobs{} in {}: {}\n", report.snapshots, report.trees,
                      report.packs, report.blobs,
                      options.read_data ? fmt::format(", {} read", human_size(report.bytes_read)) : "",
                      human_duration(took),
                      report.ok() ? painted(1, Colour::green, "no errors")
                                  : painted(1, Colour::red, fmt::format("{} errors", report.errors.size()))));
    if (!report.ok())
        print_note(
            "          `holdfast heal` brings back what a mirror, parity or the live files still have; `holdfast "
            "restore`\n"
            "          brings back all that is whole and names the rest\n");
    return exit;
}

class CheckCommand final : public Command {
    std::string_view name() const override { return "check"; }
    std::string_view help() const override { return "is everything that the snapshots need there and whole?"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast check                                   structure: every snapshot, tree and pack is there and fits
  holdfast check --read-data                       and every byte is read, decrypted and hashed
  holdfast check --read-data-subset 3/7            a seventh of it: 1/7 on Mondays, 2/7 on Tuesdays, …
  holdfast check --read-data-subset 5%             some of it, at random
)";
    }
    void declare(Options& options) override {
        options.no_lock(arguments_.no_lock);
        options.flag("--read-data", arguments_.read_data, "read, decrypt and hash every blob");
        options.value("--read-data-subset", arguments_.subset, "PART",
                      "only of some packs: n/t, p% or an amount as 10G");
    }
    Result<int> run(const Session& session) override { return run_check(session, arguments_); }

    CheckArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> check_command() { return std::make_unique<CheckCommand>(); }

}    // namespace holdfast::cli
