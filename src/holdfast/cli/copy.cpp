#include "holdfast/vault/copy.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/password_options.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/repository_work.hpp"
#include "holdfast/cli/snapshot_json.hpp"

namespace holdfast::cli {
namespace {

class CopyCommand final : public Command {
    std::string_view name() const override { return "copy"; }
    std::string_view help() const override { return "copy snapshots from another repository into this one"; }
    std::string_view examples() const override {
        return R"(Both repositories keep their own keys and passwords: every blob is opened, checked and sealed anew. What is there already
(copied by us or by restic) is found and left; a run that was stopped goes on where it was. For a repository that shall
share chunks with the other, make it with `holdfast init --from-repo PLACE --copy-chunker-params`.

Examples
  holdfast copy --repo /mnt/offsite --from-repo /srv/vault --from-password-file /root/vault-password
  holdfast copy --repo /mnt/offsite --from-repo /srv/vault --tag month-end
  holdfast copy --repo /mnt/offsite --from-repo /srv/vault 1a2b3c4d latest
)";
    }
    void declare(Options& options) override {
        declare_from(options, from_);
        options.filter(filter_);
        options.arguments("SNAPSHOT", ids_, Options::Need::optional, "IDs or latest; none: all (within the filter)");
    }

    Result<int> run(const Session& session) override {
        HF_TRY(const OpenedRepository to, open_for_work(session));
        HF_TRY(const auto from, open_from_repository(session, from_));
        HF_TRY(const auto snapshots, chosen_snapshots(*from, ids_, filter_));
        ProgressLine progress(session.clock, session.people() && is_terminal(2));
        vault::CopyOptions options;
        options.storing = to.storing;
        options.progress = [&](const vault::CopyProgress& p) {
            progress.show({p.blobs_done, p.blobs_total, "blobs", human_size(p.bytes_done)});
        };
        HF_TRY(const vault::CopyReport report, vault::copy_snapshots(*from, *to.repository, snapshots, options));
        progress.clear();
        print_report(session, report);
        return 0;
    }

    static void print_report(const Session& session, const vault::CopyReport& report) {
        std::uint64_t copied = 0;
        json::Value list = json::Value::array();
        for (const vault::CopiedSnapshot& one : report.snapshots) {
            copied += !one.existed;
            list.push(json::Value::object(
                {{"source", one.source.id.hex()}, {"target", one.target.hex()}, {"existed", one.existed}}));
            if (!session.global.json && !session.global.quiet)
                print(fmt::format("{} of {}: {} {}\n", one.source.id.brief(), local_time(one.source.snapshot.time),
                                  one.existed ? "was there as" : "copied to", one.target.brief()));
        }
        if (session.global.json)
            print_json(json::Value::object({{"snapshots", std::move(list)},
                                            {"copied", copied},
                                            {"blobs", report.blobs},
                                            {"bytes_added", report.bytes_added},
                                            {"bytes_stored", report.bytes_stored}}));
        else if (!session.global.quiet)
            print(fmt::format("{} copied, {} there already; {} in {} blobs are new, {} stored\n",
                              plural(copied, "snapshot"), report.snapshots.size() - copied,
                              human_size(report.bytes_added), report.blobs, human_size(report.bytes_stored)));
    }

    FromArguments from_;
    FilterArguments filter_;
    std::vector<std::string> ids_;
};

}    // namespace

std::unique_ptr<Command> copy_command() { return std::make_unique<CopyCommand>(); }

}    // namespace holdfast::cli
