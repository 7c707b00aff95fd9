#include "holdfast/cli/prune.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/policy/size.hpp"
#include "holdfast/vault/removal.hpp"

namespace holdfast::cli {
namespace {

using Amount = vault::PruneStatistics::Amount;

Result<vault::MaxUnused> parse_max_unused(const std::string& text) {
    vault::MaxUnused max;
    if (text == "unlimited") {
        max.kind = vault::MaxUnused::Kind::unlimited;
    } else if (text.ends_with('%')) {
        HF_TRY(max.percent, policy::parse_percent(text));
        if (max.percent >= 100)
            return fail(ErrorCode::usage, fmt::format("--max-unused {} would allow more than everything", text),
                        "say unlimited if packs that are partly needed shall stay as they are");
    } else {
        max.kind = vault::MaxUnused::Kind::bytes;
        HF_TRY(max.bytes, policy::parse_size(text));
    }
    return max;
}

std::string line(std::string_view what, const Amount& amount, std::string_view unit = "blobs") {
    return fmt::format("{:<15}{:>9} {}, {}\n", what, amount.blobs, unit, human_size(amount.bytes));
}

json::Value amount_json(const Amount& amount) {
    return json::Value::object({{"blobs", amount.blobs}, {"bytes", amount.bytes}});
}

struct Arguments {
    PruneArguments prune;
    bool dry_run = false;
    std::string no_space;    // the repository's ID: who copies it has read the message that tells it
};

class PruneCommand final : public Command {
    std::string_view name() const override { return "prune"; }
    std::string_view help() const override { return "free the space of what no snapshot needs any more"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast prune --dry-run                         what would be freed, and what would have to be copied for it
  holdfast prune
  holdfast prune --max-unused 0                    free every byte, however much has to be copied
  holdfast prune --max-repack-size 0               for a full disk: whole packs only, and before anything is written

Needed and unneeded data lie together in packs of some 16 MiB. A pack that nobody needs is removed; the needed part of the
others is copied first, until at most --max-unused of the repository is unneeded. Nothing is removed before its copy and
the index that names it are safe, so it may be stopped or killed at any time and simply run again. It takes the exclusive
lock: backups wait or stop meanwhile. If anything that a snapshot needs is missing, nothing is removed at all.
)";
    }
    void declare(Options& options) override {
        declare_prune(options, arguments_.prune);
        options.flag("-n,--dry-run", arguments_.dry_run, "only say what would be done");
        options.value("--unsafe-recover-no-free-space", arguments_.no_space, "ID",
                      "the last resort on a full disk: replace index files in their own room");
    }
    Result<int> run(const Session& session) override {
        vault::PruneOptions options;
        HF_TRY(options.limits, prune_limits(arguments_.prune));
        options.dry_run = arguments_.dry_run;
        HF_TRY(const auto repository, open_repository(session));
        if (!arguments_.no_space.empty()) {
            HF_DO(check_no_space(*repository));
            options.limits.max_repack = 0;
            options.index_goes_first = true;
        }
        HF_TRY(const auto lock, lock_or_make_room(*repository));
        HF_TRY(const vault::PruneReport report, run_prune(session, *repository, lock.get(), options));
        if (session.global.json)
            print_json(prune_json(report, arguments_.dry_run));
        else if (!session.global.quiet)
            print(prune_text(report, arguments_.dry_run));
        return 0;
    }

    Status check_no_space(const vault::Repository& repository) const {
        const std::string id = repository.config().id.hex();
        if (arguments_.no_space == id) return {};
        return fail(ErrorCode::usage, "--unsafe-recover-no-free-space was not given the ID of this repository",
                    fmt::format("try --max-repack-size 0 first. If that finds no room either, and the storage is not "
                                "about to go away: --unsafe-recover-no-free-space {}",
                                id));
    }

    // A full disk has no room for a lock. A dry run goes on without one.
    Result<std::unique_ptr<vault::RepositoryLock>> lock_or_make_room(vault::Repository& repository) const {
        auto lock = repository.lock(vault::LockMode::exclusive);
        if (lock || lock.error().code != ErrorCode::disk_full) return lock;
        if (arguments_.dry_run) return nullptr;
        HF_TRY(const auto needless, vault::needless_files(repository));
        lock = vault::lock_making_room(repository, needless);
        if (lock || lock.error().code != ErrorCode::disk_full) return lock;
        Error error = std::move(lock).error();
        error.hint =
            "nothing there can go without a lock: `holdfast forget` what you need least, which makes room for one, and "
            "prune again; or free a few KiB elsewhere on that disk";
        return fail(std::move(error));
    }

    Arguments arguments_;
};

}    // namespace

void declare_prune(Options& options, PruneArguments& to) {
    options.value("--max-unused", to.max_unused, "LIMIT",
                  "how much that nobody needs may stay: 5% (the default), a size, or unlimited");
    options.value("--max-repack-size", to.max_repack, "SIZE", "copy out of at most so many bytes of packs");
    options.flag("--repack-cacheable-only", to.cacheable_only, "copy only trees, leave data packs where they are");
    options.flag("--repack-small", to.small, "merge all packs below 80 % of the usual size");
    options.flag("--repack-uncompressed", to.uncompressed, "compress data that was stored without");
}

Result<vault::PruneLimits> prune_limits(const PruneArguments& arguments) {
    vault::PruneLimits limits;
    HF_TRY(limits.max_unused, parse_max_unused(arguments.max_unused));
    if (!arguments.max_repack.empty()) {
        HF_TRY(limits.max_repack, policy::parse_size(arguments.max_repack));
    }
    limits.cacheable_only = arguments.cacheable_only;
    limits.small = arguments.small;
    limits.uncompressed = arguments.uncompressed;
    return limits;
}

Result<vault::PruneReport> run_prune(const Session& session, vault::Repository& repository,
                                     const vault::RepositoryLock* lock, vault::PruneOptions options) {
    ProgressLine line(session.clock, session.people() && is_terminal(2));
    options.progress = [&](std::string_view step, std::uint64_t done, std::uint64_t total) {
        const bool bytes = step.starts_with("copying");
        line.show({done, total, bytes ? std::string_view() : "objects", std::string(step)});
    };
    if (!lock) return vault::plan_prune(repository, std::move(options));
    return vault::prune(repository, *lock, options);
}

std::string prune_text(const vault::PruneReport& report, bool dry_run) {
    const vault::PruneStatistics& s = report.statistics;
    std::string text = line("needed", s.used);
    if (s.duplicate.blobs > 0) text += line("stored twice", s.duplicate);
    text += line("not needed", s.unused);
    if (s.unindexed.blobs > 0) text += line("in no index", s.unindexed, "packs");
    text += '\n';
    text += line(dry_run ? "would remove" : "removed", s.remove);
    if (s.repack.blobs > 0) {
        text += line(dry_run ? "would copy" : "copied",
                     {s.repack.blobs - s.repack_remove.blobs,
                      report.new_bytes ? report.new_bytes : s.repack.bytes - s.repack_remove.bytes});
        text += line("and leave out", s.repack_remove);
    }
    text += fmt::format(
        "packs: {} stay, {} {}, {} {}{}\n", s.packs_keep, s.packs_repack, dry_run ? "would be copied" : "copied",
        s.packs_remove + s.unindexed.blobs, dry_run ? "would be removed" : "removed",
        s.packs_missing > 0 ? fmt::format("; {} were missing and are not needed", s.packs_missing) : "");
    text += fmt::format("{} {} of {}; {} that nobody needs stay\n", dry_run ? "would free" : "freed",
                        human_size(s.freed_bytes()), human_size(s.total_bytes()), human_size(s.unused_after()));
    return text;
}

json::Value prune_json(const vault::PruneReport& report, bool dry_run) {
    const vault::PruneStatistics& s = report.statistics;
    return json::Value::object({{"dry_run", dry_run},
                                {"snapshots", report.snapshots},
                                {"used", amount_json(s.used)},
                                {"duplicate", amount_json(s.duplicate)},
                                {"unused", amount_json(s.unused)},
                                {"unindexed_packs", s.unindexed.blobs},
                                {"unindexed_bytes", s.unindexed.bytes},
                                {"remove", amount_json(s.remove)},
                                {"repack", amount_json(s.repack)},
                                {"repack_remove", amount_json(s.repack_remove)},
                                {"packs_keep", s.packs_keep},
                                {"packs_repack", s.packs_repack},
                                {"packs_remove", s.packs_remove},
                                {"packs_missing", s.packs_missing},
                                {"total_bytes", s.total_bytes()},
                                {"freed_bytes", s.freed_bytes()},
                                {"unused_after", s.unused_after()},
                                {"new_packs", report.new_packs},
                                {"index_files_written", report.index_files_written},
                                {"index_files_removed", report.index_files_removed}});
}

std::unique_ptr<Command> prune_command() { return std::make_unique<PruneCommand>(); }

}    // namespace holdfast::cli
