#include "holdfast/vault/rewrite.hpp"

#include <fmt/core.h>

#include <charconv>

#include "holdfast/cli/choose.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/progress.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/local_zone.hpp"
#include "holdfast/policy/civil.hpp"

namespace holdfast::cli {
namespace {

struct Arguments {
    std::vector<std::string> ids;
    FilterArguments filter;
    std::vector<std::string> excludes, exclude_files;
    std::string new_host, new_time;
    bool forget = false, dry_run = false;
};

// "2026-11-20 18:42:22" in local time, as restic takes it; or RFC 3339.
Result<Timestamp> parse_time(const std::string& text) {
    if (text.find('T') != std::string::npos) {
        if (const auto time = parse_rfc3339(text)) return *time;
    } else {
        int parts[6] = {};
        constexpr std::string_view pattern = "0000-00-00 00:00:00";
        bool good = text.size() == pattern.size();
        for (std::size_t i = 0, part = 0; good && i < text.size(); ++i) {
            if (pattern[i] == '0') {
                good = text[i] >= '0' && text[i] <= '9';
                parts[part] = parts[part] * 10 + (text[i] - '0');
            } else {
                good = text[i] == pattern[i];
                ++part;
            }
        }
        const auto [year, month, day, hour, minute, second] = parts;
        if (good && year >= 1970 && year < 2262 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 &&
            minute < 60 && second < 60)
            return policy::from_civil(
                year, month, day,
                std::chrono::hours(hour) + std::chrono::minutes(minute) + std::chrono::seconds(second), os::utc_offset);
    }
    return fail(ErrorCode::usage, fmt::format("\"{}\" is no time", text),
                "give it like \"2026-11-20 18:42:22\" (local time) or 2026-11-20T18:42:22Z");
}

// A pattern a line; empty lines and those that begin with # are skipped.
Status read_patterns(const std::string& file, std::vector<std::string>& to) {
    HF_TRY(const std::string text, os::read_text(file));
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string line = text.substr(at, end - at);
        at = end + 1;
        const std::size_t from = line.find_first_not_of(" \t\r");
        if (from == std::string::npos || line[from] == '#') continue;
        to.push_back(line.substr(from, line.find_last_not_of(" \t\r") - from + 1));
    }
    return {};
}

class RewriteCommand final : public Command {
    std::string_view name() const override { return "rewrite"; }
    std::string_view help() const override {
        return "snapshots again, without some files or with another host or time";
    }
    std::string_view examples() const override {
        return R"(Examples
  holdfast rewrite --exclude '*.pem' --dry-run     which snapshots hold such files
  holdfast rewrite --exclude '*.pem' --forget && holdfast prune
  holdfast rewrite --exclude /srv/desk/cache latest
  holdfast rewrite --new-host desk-2 --host desk --forget

Without --forget the old snapshots stay and the new ones get the tag "rewrite". What is left out is still in the repository
until the old snapshots are forgotten and `holdfast prune` has run. A folder in which nothing changes stays as it is.
)";
    }
    void declare(Options& options) override {
        options.arguments("SNAPSHOT", arguments_.ids, Options::Need::optional, "only these (all that fit the filter)");
        options.list("-e,--exclude", arguments_.excludes, "PATTERN", "leave out what fits (*, ?, [a-z], **)");
        options.list("--exclude-file", arguments_.exclude_files, "FILE", "a pattern a line; # begins a comment");
        options.value("--new-host", arguments_.new_host, "HOST", "this host instead");
        options.value("--new-time", arguments_.new_time, "TIME", "this time instead: \"2026-11-20 18:42:22\"");
        options.filter(arguments_.filter);
        options.flag("--forget", arguments_.forget, "remove the old snapshots");
        options.flag("-n,--dry-run", arguments_.dry_run, "only say what would change");
    }
    Result<int> run(const Session& session) override {
        vault::RewriteOptions options;
        options.excludes = arguments_.excludes;
        for (const std::string& file : arguments_.exclude_files) HF_DO(read_patterns(file, options.excludes));
        if (!arguments_.new_host.empty()) options.new_host = arguments_.new_host;
        if (!arguments_.new_time.empty()) {
            HF_TRY(options.new_time, parse_time(arguments_.new_time));
        }
        if (options.excludes.empty() && !options.new_host && !options.new_time)
            return fail(ErrorCode::usage, "nothing says what shall be different",
                        "give --exclude, --exclude-file, --new-host or --new-time");
        options.forget = arguments_.forget;
        options.dry_run = arguments_.dry_run;
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock,
               repository->lock(arguments_.forget ? vault::LockMode::exclusive : vault::LockMode::shared));
        HF_TRY(const auto all, repository->snapshots());
        HF_TRY(const auto chosen, choose_snapshots(all, arguments_.ids, arguments_.filter));
        ProgressLine line(session.clock, session.people() && is_terminal(2));
        options.progress = [&](std::uint64_t done, std::uint64_t total) { line.show({done, total, "snapshots", ""}); };
        HF_TRY(const auto changed, vault::rewrite(*repository, *lock, all, chosen, options));
        line.clear();
        report(session, changed, chosen.size());
        return 0;
    }

    void report(const Session& session, const std::vector<vault::Rewritten>& changed, std::size_t looked_at) const {
        if (session.global.json) {
            json::Value list = json::Value::array();
            for (const vault::Rewritten& one : changed) {
                json::Value value = json::Value::object({{"old", one.change.old.id.hex()},
                                                         {"files_left_out", one.files_left_out},
                                                         {"bytes_left_out", one.bytes_left_out}});
                if (!arguments_.dry_run) value.set("snapshot", snapshot_json({one.change.id, one.change.fresh}));
                list.push(std::move(value));
            }
            return print_json(json::Value::object({{"dry_run", arguments_.dry_run}, {"changed", std::move(list)}}));
        }
        if (session.global.quiet) return;
        for (const vault::Rewritten& one : changed) {
            const std::string left_out =
                one.files_left_out == 0
                    ? ""
                    : fmt::format(", without {} files ({})", one.files_left_out, human_size(one.bytes_left_out));
            print(arguments_.dry_run
                      ? fmt::format("{} of {} would be written again{}\n", one.change.old.id.brief(),
                                    local_time(one.change.old.snapshot.time), left_out)
                      : fmt::format("{} is now {}{}\n", one.change.old.id.brief(), one.change.id.brief(), left_out));
        }
        print(fmt::format("{} of {} snapshots {}\n", changed.size(), looked_at,
                          arguments_.dry_run ? "would change" : "changed"));
    }

    Arguments arguments_;
};

}    // namespace

std::unique_ptr<Command> rewrite_command() { return std::make_unique<RewriteCommand>(); }

}    // namespace holdfast::cli
