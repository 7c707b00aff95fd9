#include "holdfast/vault/stats.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/repository_work.hpp"

namespace holdfast::cli {
namespace {

vault::StatsMode mode_of(const std::string& name) {
    return name == "files-by-contents" ? vault::StatsMode::files_by_contents
           : name == "blobs-per-file"  ? vault::StatsMode::blobs_per_file
           : name == "raw-data"        ? vault::StatsMode::raw_data
                                       : vault::StatsMode::restore_size;
}

class StatsCommand final : public Command {
    std::string_view name() const override { return "stats"; }
    std::string_view help() const override { return "how much the snapshots hold, and what it takes"; }
    std::string_view examples() const override {
        return R"(Modes
  restore-size        what restoring every snapshot would write (default)
  files-by-contents   each content once
  blobs-per-file      each chunk of each path once
  raw-data            what lies in the repository for them, compressed and encrypted

Examples
  holdfast stats
  holdfast stats --mode raw-data
  holdfast stats latest --largest 20               the largest files, too
)";
    }
    void declare(Options& options) override {
        options.no_lock(no_lock_);
        options.choice("--mode", mode_, {"restore-size", "files-by-contents", "blobs-per-file", "raw-data"},
                       "how to count");
        options.number("--largest", largest_, 0, "N", "name the N largest files");
        options.filter(filter_);
        options.arguments("SNAPSHOT", ids_, Options::Need::optional, "IDs or latest; none: all (within the filter)");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, lock_for_reading(*repository, no_lock_));
        HF_TRY(const auto snapshots, chosen_snapshots(*repository, ids_, filter_));
        HF_DO(repository->load_index());
        const vault::StatsMode mode = mode_of(mode_);
        HF_TRY(const vault::StatsReport report,
               vault::stats(*repository, snapshots, {mode, static_cast<std::size_t>(largest_)}));
        const bool raw = mode == vault::StatsMode::raw_data;
        const double ratio = raw && report.total_size > 0 ? static_cast<double>(report.uncompressed_size) /
                                                                static_cast<double>(report.total_size)
                                                          : 0;
        if (session.global.json) {
            json::Value value = json::Value::object({{"mode", mode_},
                                                     {"snapshots_count", report.snapshots},
                                                     {"total_size", report.total_size},
                                                     {"total_file_count", report.files}});
            if (raw || mode == vault::StatsMode::blobs_per_file) value.set("total_blob_count", report.blobs);
            if (raw) {
                value.set("total_uncompressed_size", report.uncompressed_size);
                value.set("compression_ratio", ratio);
            }
            json::Value largest = json::Value::array();
            for (const vault::LargeFile& file : report.largest)
                largest.push(
                    json::Value::object({{"size", file.size}, {"path", file.path}, {"snapshot", file.snapshot.hex()}}));
            if (largest_ > 0) value.set("largest", std::move(largest));
            print_json(value);
            return 0;
        }
        print(fmt::format("{}, {}\n", plural(report.snapshots, "snapshot"), mode_));
        if (!raw) print(fmt::format("  files       {}\n", report.files));
        if (raw || mode == vault::StatsMode::blobs_per_file) print(fmt::format("  blobs       {}\n", report.blobs));
        print(fmt::format("  total size  {}\n", human_size(report.total_size)));
        if (raw)
            print(
                fmt::format("  plain size  {} ({:.2f} times as much)\n", human_size(report.uncompressed_size), ratio));
        if (!report.largest.empty()) {
            Table table({"Size", "Snapshot", "Path"}, {true, false, false});
            for (const vault::LargeFile& file : report.largest)
                table.row({human_size(file.size), file.snapshot.brief(), printable(file.path)});
            print("\n" + table.text(1));
        }
        return 0;
    }
    std::string mode_ = "restore-size";
    std::int64_t largest_ = 0;
    FilterArguments filter_;
    bool no_lock_ = false;
    std::vector<std::string> ids_;
};

}    // namespace

std::unique_ptr<Command> stats_command() { return std::make_unique<StatsCommand>(); }

}    // namespace holdfast::cli
