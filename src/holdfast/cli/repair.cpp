// `holdfast repair index|packs|snapshots` and `holdfast recover`.

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/repository_work.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/vault/recover.hpp"
#include "holdfast/vault/repair_index.hpp"
#include "holdfast/vault/repair_packs.hpp"
#include "holdfast/vault/repair_snapshots.hpp"

namespace holdfast::cli {
namespace {

class RepairIndexCommand final : public Command {
    std::string_view name() const override { return "repair index"; }
    std::string_view help() const override { return "make the index anew from the packs"; }
    std::string_view examples() const override {
        return R"(What the index says about a pack that is there with the right size is kept; the tables of all other packs are read. All
index files may be lost: they are made anew. Old files go after the new ones are on disk.

Examples
  holdfast repair index
  holdfast repair index --read-all-packs           trust no index file
)";
    }
    void declare(Options& options) override {
        options.flag("--read-all-packs", read_all_, "read the table of every pack");
        options.flag("-n,--dry-run", dry_run_, "only say what would be done");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        vault::RepairIndexOptions options{read_all_, dry_run_, {}};
        options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.show({done, total, "packs", ""}); };
        HF_TRY(const auto report, vault::repair_index(*repository, options));
        progress.clear();
        const int exit = report.damaged_packs.empty() ? 0 : facts(ErrorCode::incomplete).exit_status;
        if (session.global.json) {
            print_json(json::Value::object({{"changed", report.changed && !dry_run_},
                                            {"damaged_index", strings_json(report.damaged_index)},
                                            {"damaged_packs", strings_json(report.damaged_packs)},
                                            {"packs_kept", report.packs_kept},
                                            {"packs_read", report.packs_read},
                                            {"packs_found", report.packs_found},
                                            {"packs_vanished", report.packs_vanished},
                                            {"index_written", report.index_written}}));
            return exit;
        }
        for (const std::string& error : report.damaged_index) print_note(fmt::format("replaced: {}\n", error));
        for (const std::string& error : report.damaged_packs)
            print_note(fmt::format("{} {}\n", painted(2, Colour::red, "damaged:"), error));
        if (!report.damaged_packs.empty())
            print_note("          `holdfast repair packs` saves what is whole in them\n");
        if (!session.global.quiet)
            print(fmt::format("{} packs kept, {} read, {} found that no index named, {} gone; {}\n", report.packs_kept,
                              report.packs_read, report.packs_found, report.packs_vanished,
                              !report.changed ? "the index was right"
                              : dry_run_      ? "nothing was written (--dry-run)"
                                              : plural(report.index_written, "new index file")));
        return exit;
    }
    bool read_all_ = false, dry_run_ = false;
};

std::string_view type_name(format::BlobType type) { return type == format::BlobType::tree ? "tree" : "data"; }

class RepairPacksCommand final : public Command {
    std::string_view name() const override { return "repair packs"; }
    std::string_view help() const override { return "save what is whole in damaged packs"; }
    std::string_view examples() const override {
        return R"(Good blobs of a damaged pack are stored into new packs; the damaged file goes, after a copy of it was put into the present
folder (--save-to) as pack-ID. Without IDs every pack is read, as `check --read-data` does. If another copy of the
repository exists, put its good copy of the file back instead: nothing is lost then.

Examples
  holdfast repair packs
  holdfast repair packs 4f0c… --save-to /big/disk
  holdfast repair snapshots                        afterwards: snapshots without what was lost
)";
    }
    void declare(Options& options) override {
        options.value("--save-to", save_to_, "FOLDER", "where copies of the damaged packs go (default: here)");
        options.flag("-n,--dry-run", dry_run_, "only say what is damaged and what would be lost");
        options.arguments("PACK", ids_, Options::Need::optional, "whole IDs of packs; none: those that are damaged");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const OpenedRepository opened, open_for_work(session));
        vault::RepairPacksOptions options;
        for (const std::string& text : ids_) {
            const auto id = Id::parse(text);
            if (!id)
                return fail(ErrorCode::usage, fmt::format("\"{}\" is no ID of a pack", text),
                            "give all 64 digits, as `holdfast check --read-data` prints them");
            options.packs.push_back(*id);
        }
        options.save_to = os::absolute_path(save_to_.empty() ? "." : save_to_);
        options.dry_run = dry_run_;
        options.storing = opened.storing;
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        options.progress = [&](std::uint64_t done, std::uint64_t total) { progress.show({done, total, "packs", ""}); };
        HF_TRY(const auto report, vault::repair_packs(*opened.repository, options));
        progress.clear();
        const int exit = report.lost.empty() ? 0 : facts(ErrorCode::incomplete).exit_status;
        if (session.global.json) {
            json::Value damaged = json::Value::array(), lost = json::Value::array();
            for (const Id& id : report.damaged) damaged.push(id.hex());
            for (const auto& blob : report.lost)
                lost.push(json::Value::object({{"type", type_name(blob.type)}, {"id", blob.id.hex()}}));
            print_json(json::Value::object({{"dry_run", dry_run_},
                                            {"damaged", std::move(damaged)},
                                            {"copies", strings_json(report.copies)},
                                            {"blobs_saved", report.blobs_saved},
                                            {"lost", std::move(lost)}}));
            return exit;
        }
        for (const auto& blob : report.lost)
            print_note(
                fmt::format("{} {} blob {}\n", painted(2, Colour::red, "lost:"), type_name(blob.type), blob.id.hex()));
        if (session.global.quiet) return exit;
        for (const std::string& path : report.copies) print(fmt::format("the damaged pack is kept in {}\n", path));
        if (report.damaged.empty()) {
            print("no pack is damaged\n");
            return exit;
        }
        print(fmt::format("{} {}; {} blobs saved, {} lost\n", plural(report.damaged.size(), "damaged pack"),
                          dry_run_ ? "found" : "repaired", report.blobs_saved, report.lost.size()));
        if (!report.lost.empty()) print("next: `holdfast repair snapshots` names the files that are lost\n");
        return exit;
    }
    std::string save_to_;
    bool dry_run_ = false;
    std::vector<std::string> ids_;
};

class RepairSnapshotsCommand final : public Command {
    std::string_view name() const override { return "repair snapshots"; }
    std::string_view help() const override { return "make snapshots without the files that are lost"; }
    std::string_view examples() const override {
        return R"(Each file with a missing blob, and each folder whose tree cannot be read, is left out of a new snapshot (tag "repaired")
and named by its path. The damaged snapshots stay unless --forget is given. Run `holdfast repair index` and
`holdfast repair packs` first.

Examples
  holdfast repair snapshots --dry-run              what is lost?
  holdfast repair snapshots --forget
  holdfast repair snapshots latest
)";
    }
    void declare(Options& options) override {
        options.flag("--forget", forget_, "remove the damaged snapshots once the new ones are safe");
        options.flag("-n,--dry-run", dry_run_, "only say what is lost");
        options.filter(filter_);
        options.arguments("SNAPSHOT", ids_, Options::Need::optional, "IDs or latest; none: all (within the filter)");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const OpenedRepository opened, open_for_work(session));
        HF_TRY(const auto snapshots, chosen_snapshots(*opened.repository, ids_, filter_));
        vault::RepairSnapshotsOptions options{forget_, dry_run_, opened.storing};
        HF_TRY(const auto report, vault::repair_snapshots(*opened.repository, snapshots, options));
        const int exit = report.repaired.empty() ? 0 : facts(ErrorCode::incomplete).exit_status;
        json::Value list = json::Value::array();
        for (const vault::RepairedSnapshot& one : report.repaired) {
            json::Value lost = json::Value::array();
            for (const auto& file : one.lost) {
                lost.push(json::Value::object({{"path", file.path}, {"why", file.why}}));
                if (!session.global.json)
                    print(fmt::format("{} {} in {}: {}\n", painted(1, Colour::red, "lost:"), printable(file.path),
                                      one.source.id.brief(), file.why));
            }
            json::Value entry = json::Value::object({{"source", one.source.id.hex()}, {"lost", std::move(lost)}});
            if (one.target) entry.set("target", one.target->hex());
            list.push(std::move(entry));
        }
        if (session.global.json) {
            print_json(json::Value::object({{"dry_run", dry_run_},
                                            {"forgot", forget_ && !dry_run_},
                                            {"whole", report.whole},
                                            {"repaired", std::move(list)}}));
            return exit;
        }
        if (session.global.quiet) return exit;
        for (const vault::RepairedSnapshot& one : report.repaired)
            if (one.target)
                print(fmt::format("{} of {}: repaired as {}{}\n", one.source.id.brief(),
                                  local_time(one.source.snapshot.time), one.target->brief(),
                                  forget_ ? ", and forgotten" : ""));
            else if (!dry_run_)
                print(fmt::format("{} of {}: nothing of it could be saved\n", one.source.id.brief(),
                                  local_time(one.source.snapshot.time)));
        print(fmt::format("{} whole, {} damaged\n", plural(report.whole, "snapshot"), report.repaired.size()));
        return exit;
    }
    bool forget_ = false, dry_run_ = false;
    FilterArguments filter_;
    std::vector<std::string> ids_;
};

class RecoverCommand final : public Command {
    std::string_view name() const override { return "recover"; }
    std::string_view help() const override { return "make a snapshot of folders that no snapshot names any more"; }
    std::string_view examples() const override {
        return R"(For lost snapshot files: every tree that nothing names becomes a folder of one new snapshot with the path /recover. With
a damaged index run `holdfast repair index` first.

Examples
  holdfast recover
  holdfast restore latest --path /recover --target /big/disk
)";
    }
    void declare(Options&) override {}
    Result<int> run(const Session& session) override {
        HF_TRY(const OpenedRepository opened, open_for_work(session));
        HF_TRY(const auto report, vault::recover(*opened.repository, opened.storing));
        const int exit = report.unreadable ? facts(ErrorCode::incomplete).exit_status : 0;
        if (session.global.json) {
            json::Value roots = json::Value::array();
            for (const Id& id : report.roots) roots.push(id.hex());
            json::Value value = json::Value::object(
                {{"trees_read", report.trees_read}, {"unreadable", report.unreadable}, {"roots", std::move(roots)}});
            if (report.snapshot) value.set("snapshot", report.snapshot->hex());
            print_json(value);
        } else if (!session.global.quiet) {
            print(report.snapshot ? fmt::format("{} found; snapshot {} holds them\n",
                                                plural(report.roots.size(), "lost folder"), report.snapshot->brief())
                                  : std::string("every folder belongs to a snapshot: nothing to recover\n"));
        }
        return exit;
    }
};

}    // namespace

std::unique_ptr<Command> repair_index_command() { return std::make_unique<RepairIndexCommand>(); }
std::unique_ptr<Command> repair_packs_command() { return std::make_unique<RepairPacksCommand>(); }
std::unique_ptr<Command> repair_snapshots_command() { return std::make_unique<RepairSnapshotsCommand>(); }
std::unique_ptr<Command> recover_command() { return std::make_unique<RecoverCommand>(); }

}    // namespace holdfast::cli
