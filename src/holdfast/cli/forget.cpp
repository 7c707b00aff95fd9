#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "holdfast/cli/choose.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/guide_environment.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/prune.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/local_zone.hpp"
#include "holdfast/policy/grouping.hpp"
#include "holdfast/policy/retention.hpp"
#include "holdfast/vault/removal.hpp"

namespace holdfast::cli {
namespace {

using vault::SnapshotEntry;

struct Arguments {
    std::vector<std::string> ids;
    FilterArguments filter;
    std::string last, hourly, daily, weekly, monthly, yearly;
    std::string within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly;
    std::vector<std::string> keep_tags;
    std::string group_by = "host,paths";
    bool dry_run = false, then_prune = false, remove_all = false;
    PruneArguments prune;
};

struct Judged {
    SnapshotEntry entry;
    policy::Verdict verdict;
};
struct Group {
    policy::GroupKey key;
    std::vector<Judged> snapshots;    // newest first
};

std::vector<std::string> split_tags(const std::string& list) {
    std::vector<std::string> tags;
    for (std::size_t at = 0; at <= list.size();) {
        const std::size_t end = std::min(list.find(',', at), list.size());
        tags.push_back(list.substr(at, end - at));
        at = end + 1;
    }
    return tags;
}

Result<policy::RetentionPolicy> policy_of(const Arguments& a) {
    policy::RetentionPolicy policy;
    const std::pair<const std::string*, std::int64_t*> counts[] = {
        {&a.last, &policy.last},     {&a.hourly, &policy.hourly},   {&a.daily, &policy.daily},
        {&a.weekly, &policy.weekly}, {&a.monthly, &policy.monthly}, {&a.yearly, &policy.yearly}};
    for (const auto& [text, to] : counts) {
        if (text->empty()) continue;
        HF_TRY(*to, policy::parse_keep_count(*text));
    }
    const std::pair<const std::string*, policy::CalendarDuration*> durations[] = {
        {&a.within, &policy.within},
        {&a.within_hourly, &policy.within_hourly},
        {&a.within_daily, &policy.within_daily},
        {&a.within_weekly, &policy.within_weekly},
        {&a.within_monthly, &policy.within_monthly},
        {&a.within_yearly, &policy.within_yearly}};
    for (const auto& [text, to] : durations) {
        if (text->empty()) continue;
        HF_TRY(*to, policy::parse_calendar_duration(*text));
    }
    for (const std::string& list : a.keep_tags) policy.tags.push_back(split_tags(list));
    return policy;
}

std::vector<Group> judge(const std::vector<SnapshotEntry>& entries, const policy::Grouping& grouping,
                         const policy::RetentionPolicy& policy, Timestamp now) {
    std::map<policy::GroupKey, std::vector<SnapshotEntry>> by_key;
    for (const SnapshotEntry& entry : entries) {
        const format::Snapshot& s = entry.snapshot;
        by_key[policy::group_key(grouping, s.hostname, s.paths, s.tags)].push_back(entry);
    }
    std::vector<Group> groups;
    for (auto& [key, members] : by_key) {
        std::reverse(members.begin(), members.end());
        std::vector<policy::RetentionSnapshot> facts_of;
        for (const SnapshotEntry& entry : members) facts_of.push_back({entry.snapshot.time, entry.snapshot.tags});
        auto verdicts = policy::apply_policy(facts_of, policy, os::utc_offset, now);
        Group group{key, {}};
        for (std::size_t i = 0; i < members.size(); ++i)
            group.snapshots.push_back({std::move(members[i]), std::move(verdicts[i])});
        groups.push_back(std::move(group));
    }
    return groups;
}

std::string group_title(const policy::GroupKey& key) {
    std::string title;
    const auto part = [&](std::string_view what, const std::string& text) {
        if (!text.empty()) title += fmt::format("{}{} {}", title.empty() ? "" : ", ", what, text);
    };
    part("host", printable(key.host));
    part("paths", joined(key.paths));
    part("tags", joined(key.tags));
    return title.empty() ? "all snapshots" : title;
}

std::string group_text(const Group& group) {
    const auto kept = std::ranges::count_if(group.snapshots, [](const Judged& one) { return one.verdict.keep; });
    Table table({"", "ID", "Time", "Tags", "Why it stays"});
    for (const Judged& one : group.snapshots) {
        std::string why;
        for (const std::string& reason : one.verdict.reasons) why += (why.empty() ? "" : ", ") + printable(reason);
        table.row({one.verdict.keep ? "keep" : "remove", one.entry.id.brief(), local_time(one.entry.snapshot.time),
                   joined(one.entry.snapshot.tags), why});
    }
    return fmt::format("{}: {} of {} stay\n{}\n", group_title(group.key), kept, group.snapshots.size(), table.text(1));
}

json::Value verdict_json(const Judged& one) {
    json::Value counters = json::Value::object();
    const auto& c = one.verdict.counters;
    for (const auto& [name, left] :
         {std::pair("last", c.last), std::pair("hourly", c.hourly), std::pair("daily", c.daily),
          std::pair("weekly", c.weekly), std::pair("monthly", c.monthly), std::pair("yearly", c.yearly)})
        if (left != 0) counters.set(name, left);
    return json::Value::object({{"snapshot", snapshot_json(one.entry)},
                                {"matches", strings_json(one.verdict.reasons)},
                                {"counters", std::move(counters)}});
}

// As restic's `forget --json` names things.
json::Value group_json(const Group& group) {
    json::Value keep = json::Value::array(), remove = json::Value::array(), reasons = json::Value::array();
    for (const Judged& one : group.snapshots) {
        (one.verdict.keep ? keep : remove).push(snapshot_json(one.entry));
        if (one.verdict.keep) reasons.push(verdict_json(one));
    }
    return json::Value::object({{"tags", strings_json(group.key.tags)},
                                {"host", group.key.host},
                                {"paths", strings_json(group.key.paths)},
                                {"keep", std::move(keep)},
                                {"remove", std::move(remove)},
                                {"reasons", std::move(reasons)}});
}

class ForgetCommand final : public Command {
    std::string_view name() const override { return "forget"; }
    std::string_view help() const override { return "remove snapshots: by ID, or all that a policy does not keep"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run      what would stay, why, and what go
  holdfast forget --keep-within 14d --keep-within-monthly 2y --prune              and free the space, too
  holdfast forget --keep-last 10 --keep-tag audit --group-by host
  holdfast forget 7a1b2c3d                                                        this one, whatever the policy

The policy is applied to each group of snapshots (same host and same paths) by itself; days, weeks and months are those of
this machine's time zone. A snapshot stays when any --keep-… wants it. One that is tagged "incomplete" never takes the place
of a whole one. The data itself is freed by `holdfast prune`.
)";
    }
    void declare(Options& options) override {
        Arguments& a = arguments_;
        options.arguments("SNAPSHOT", a.ids, Options::Need::optional, "remove these, whatever a policy says");
        options.value("-l,--keep-last", a.last, "N", "keep the newest N (or unlimited, here and below)");
        options.value("--keep-hourly", a.hourly, "N", "keep the newest of each of the last N hours that have one");
        options.value("-d,--keep-daily", a.daily, "N", "… days");
        options.value("-w,--keep-weekly", a.weekly, "N", "… weeks (Monday to Sunday)");
        options.value("-m,--keep-monthly", a.monthly, "N", "… months");
        options.value("-y,--keep-yearly", a.yearly, "N", "… years");
        options.value("--keep-within", a.within, "1y5m7d2h", "keep all of this time before the newest");
        options.value("--keep-within-hourly", a.within_hourly, "TIME", "keep one an hour of this time");
        options.value("--keep-within-daily", a.within_daily, "TIME", "keep one a day of this time");
        options.value("--keep-within-weekly", a.within_weekly, "TIME", "keep one a week of this time");
        options.value("--keep-within-monthly", a.within_monthly, "TIME", "keep one a month of this time");
        options.value("--keep-within-yearly", a.within_yearly, "TIME", "keep one a year of this time");
        options.list("--keep-tag", a.keep_tags, "TAG[,TAG]", "keep all that have these tags (again: or these)");
        options.filter(a.filter);
        options.value("-g,--group-by", a.group_by, "WORDS", "host,paths,tags, some of them, or '' (host,paths)");
        options.flag("-n,--dry-run", a.dry_run, "only say what would stay and what would go");
        options.flag("--prune", a.then_prune, "free the space afterwards, as `holdfast prune`");
        options.flag("--unsafe-allow-remove-all", a.remove_all, "a policy may leave a group without any snapshot");
        declare_prune(options, a.prune);
    }

    Result<int> run(const Session& session) override {
        HF_TRY(const policy::RetentionPolicy policy, with_environment());
        HF_TRY(const policy::Grouping grouping, policy::parse_grouping(arguments_.group_by));
        vault::PruneOptions prune_options;
        HF_TRY(prune_options.limits, prune_limits(arguments_.prune));
        HF_DO(check_arguments(policy));

        HF_TRY(const auto repository, open_repository(session));
        // A full disk has no room for a lock, and forgetting is a way to some: what may go is then found without one.
        auto lock = repository->lock(vault::LockMode::exclusive);
        if (!lock && lock.error().code != ErrorCode::disk_full) return fail(std::move(lock).error());
        HF_TRY(const auto all, repository->snapshots());
        HF_TRY(const auto chosen, choose_snapshots(all, arguments_.ids, arguments_.filter));
        std::vector<Group> groups;
        std::vector<SnapshotEntry> remove;
        if (!arguments_.ids.empty()) {
            remove = chosen;
        } else {
            groups = judge(chosen, grouping, policy, session.clock.now());
            // Without any rule everything that fits the filter was meant (check_arguments).
            if (policy.empty())
                for (Group& group : groups)
                    for (Judged& one : group.snapshots) one.verdict = {};
            for (const Group& group : groups) {
                HF_DO(refuse_empty(group));
                for (const Judged& one : group.snapshots)
                    if (!one.verdict.keep) remove.push_back(one.entry);
            }
        }
        if (!session.global.json && !session.global.quiet) show(groups, policy);
        if (!arguments_.dry_run) {
            const auto files = snapshot_files(remove);
            if (!lock) lock = vault::lock_making_room(*repository, files);
            if (!lock) return fail(std::move(lock).error());
            HF_DO(vault::remove_files(*repository, **lock, files));
        }

        std::optional<vault::PruneReport> pruned;
        if (arguments_.then_prune && !remove.empty()) {
            prune_options.dry_run = arguments_.dry_run;
            for (const SnapshotEntry& entry : remove) prune_options.without.insert(entry.id);
            HF_TRY(pruned, run_prune(session, *repository, lock ? lock->get() : nullptr, prune_options));
        }
        report(session, groups, remove, pruned);
        return 0;
    }

    // NS-18: RETENTION_* and DRY_RUN. What the command line says of what stays or goes is all that counts.
    Result<policy::RetentionPolicy> with_environment() {
        if (!arguments_.dry_run) {
            HF_TRY(arguments_.dry_run, guide_flag("DRY_RUN", false));
        }
        HF_TRY(policy::RetentionPolicy policy, policy_of(arguments_));
        HF_TRY(const auto guide, guide_retention());
        if (!guide || !policy.empty() || !arguments_.ids.empty() || arguments_.remove_all) return policy;
        arguments_.within_hourly = "24h";
        arguments_.within_daily = guide->daily;
        arguments_.within_weekly = guide->weekly;
        arguments_.within_monthly = guide->monthly;
        return policy_of(arguments_);
    }

    Status check_arguments(const policy::RetentionPolicy& policy) const {
        if (!arguments_.ids.empty() && !policy.empty())
            return fail(ErrorCode::usage, "both snapshots and a policy were given",
                        "name the snapshots that go, or say with --keep-… what stays, not both");
        if (!arguments_.ids.empty() || !policy.empty()) return {};
        if (arguments_.remove_all &&
            !(arguments_.filter.host.empty() && arguments_.filter.tags.empty() && arguments_.filter.paths.empty()))
            return {};
        return fail(ErrorCode::usage, "nothing says which snapshots may go",
                    "name them, or say with --keep-last, --keep-daily … what stays. To remove all that fit a filter: "
                    "--unsafe-allow-remove-all with --host, --tag or --path");
    }

    Status refuse_empty(const Group& group) const {
        if (arguments_.remove_all ||
            std::ranges::any_of(group.snapshots, [](const Judged& one) { return one.verdict.keep; }))
            return {};
        return fail(ErrorCode::usage,
                    fmt::format("this policy would remove all {} snapshots of {}", group.snapshots.size(),
                                group_title(group.key)),
                    "nothing was removed; add --unsafe-allow-remove-all if that is meant");
    }

    static std::vector<storage::FileName> snapshot_files(const std::vector<SnapshotEntry>& entries) {
        std::vector<storage::FileName> files;
        files.reserve(entries.size());
        for (const SnapshotEntry& entry : entries) files.push_back({storage::FileKind::snapshot, entry.id});
        return files;
    }

    void show(const std::vector<Group>& groups, const policy::RetentionPolicy& policy) const {
        if (!arguments_.ids.empty()) return;
        if (!policy.empty()) print(fmt::format("{}\n\n", printable(policy::to_string(policy))));
        for (const Group& group : groups) print(group_text(group));
    }

    void report(const Session& session, const std::vector<Group>& groups, const std::vector<SnapshotEntry>& remove,
                const std::optional<vault::PruneReport>& pruned) const {
        if (session.global.json) {
            json::Value list = json::Value::array(), ids = json::Value::array();
            for (const Group& group : groups) list.push(group_json(group));
            for (const SnapshotEntry& entry : remove) ids.push(entry.id.hex());
            json::Value value = json::Value::object(
                {{"dry_run", arguments_.dry_run}, {"groups", std::move(list)}, {"removed", std::move(ids)}});
            if (pruned) value.set("prune", prune_json(*pruned, arguments_.dry_run));
            return print_json(value);
        }
        if (session.global.quiet) return;
        const char* const done = arguments_.dry_run   ? "would be removed"
                                 : remove.size() == 1 ? "was removed"
                                                      : "were removed";
        print(fmt::format("{} snapshot{} {}\n", remove.size(), remove.size() == 1 ? "" : "s", done));
        if (pruned) print('\n' + prune_text(*pruned, arguments_.dry_run));
    }

    Arguments arguments_;
};

}    // namespace

std::unique_ptr<Command> forget_command() { return std::make_unique<ForgetCommand>(); }

}    // namespace holdfast::cli
