#include "holdfast/policy/redis_advice.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace holdfast::policy {
namespace {

struct Persistence {
    std::string_view profile, save, sync;
    std::uint64_t rewrite_size;    // bytes; 0: not said
};
/// A server with less in memory is told nothing of sizes.
constexpr std::uint64_t k_small = std::uint64_t(64) << 20;
constexpr Persistence k_persistence[] = {{"ea", "60 1000", "always", std::uint64_t(64) << 20},
                                         {"mt5", "300 1", "everysec", 0}};

class Advisor {
public:
    Advisor(const RedisConfig& config, const RedisFacts& facts) : config_(config), facts_(facts) {}

    std::string get(const std::string& name) const {
        const auto at = facts_.settings.find(name);
        return at == facts_.settings.end() ? std::string() : at->second;
    }
    std::uint64_t number(const std::string& name) const {
        const std::string text = get(name);
        std::uint64_t n = 0;
        std::from_chars(text.data(), text.data() + text.size(), n);
        return n;
    }
    void say(Severity severity, std::string text, std::string cure = {}) {
        all.push_back({severity, config_.name, std::move(text), std::move(cure), {}, {}});
    }
    /// What `holdfast doctor --apply` can set right.
    void say(Severity severity, std::string text, std::string setting, std::string value) {
        std::string cure = fmt::format("CONFIG SET {} \"{}\"", setting, value);
        all.push_back({severity, config_.name, std::move(text), std::move(cure), std::move(setting), std::move(value)});
    }

    void memory(bool trades) {
        const std::string policy = get("maxmemory-policy");
        const std::uint64_t limit = number("maxmemory");
        if (trades && policy.starts_with("allkeys"))
            say(Severity::trouble,
                fmt::format("maxmemory-policy {} may evict signals that no journal has yet{}", policy,
                            facts_.evicted > 0 ? fmt::format(" ({} keys are gone already)", facts_.evicted) : ""),
                "maxmemory-policy", "volatile-lru");
        if (trades && limit == 0 && !facts_.settings.empty())
            say(Severity::warning, "it has no maxmemory: it grows until the system kills it",
                facts_.machine_memory == 0
                    ? "CONFIG SET maxmemory <bytes>"
                    : fmt::format("CONFIG SET maxmemory {}mb", facts_.machine_memory / 2 / (1 << 20)));
        if (limit != 0 && facts_.used_memory > limit / 10 * 9)
            say(Severity::warning, fmt::format("it has used {} % of its maxmemory", facts_.used_memory * 100 / limit),
                fmt::format("CONFIG SET maxmemory {}mb", limit / 2 * 3 / (1 << 20)));
        if (facts_.local && !facts_.overcommits)
            say(Severity::warning, "vm.overcommit_memory is 0 here: with much data, a background save finds no memory",
                "sysctl -w vm.overcommit_memory=1");
    }

    // Accounts of several profiles may share one server: it keeps what each of them wants.
    void persistence(const std::vector<std::string_view>& profiles) {
        if (facts_.snapshot_failed)
            say(Severity::trouble, "its last background save failed: it refuses writes, or will lose them",
                "see its log; mostly the disk is full or memory for the fork is missing (vm.overcommit_memory)");
        if (facts_.log_failed)
            say(Severity::trouble, "the last write of its append-only file failed",
                "see its log; mostly the disk is full");
        if (facts_.settings.empty()) return;
        const bool logs = get("appendonly") == "yes";
        if (profiles.empty()) {
            if (!logs && get("save").empty())
                say(Severity::trouble, "it keeps nothing on its disk: a restart loses everything", "appendonly", "yes");
            return;
        }
        std::string who, sync, saves, missing;
        std::uint64_t rewrite_size = 0;
        const std::string save = get("save");
        for (const Persistence& wanted : k_persistence) {
            if (std::ranges::find(profiles, wanted.profile) == profiles.end()) continue;
            who += fmt::format("{}{}", who.empty() ? "" : " and ", wanted.profile);
            if (sync != "always") sync = wanted.sync;
            rewrite_size = std::max(rewrite_size, wanted.rewrite_size);
            if ((" " + save + " ").find(fmt::format(" {} ", wanted.save)) != std::string::npos) continue;
            saves += fmt::format("{}\"{}\"", saves.empty() ? "" : " and ", wanted.save);
            missing += fmt::format("{}{}", missing.empty() ? "" : " ", wanted.save);
        }
        if (who.empty()) return;
        if (!logs)
            say(Severity::trouble, fmt::format("appendonly is no; profile {} wants yes", who), "appendonly", "yes");
        if (const std::string now = get("appendfsync"); now != sync && now != "always")
            say(Severity::warning, fmt::format("appendfsync is {}; profile {} wants {}", now, who, sync), "appendfsync",
                sync);
        if (!missing.empty())
            say(Severity::warning, fmt::format("save is \"{}\"; profile {} wants {} in it", save, who, saves), "save",
                save.empty() ? missing : fmt::format("{} {}", save, missing));
        if (const auto size = number("auto-aof-rewrite-min-size"); rewrite_size != 0 && size != rewrite_size)
            say(Severity::warning,
                fmt::format("auto-aof-rewrite-min-size is {} MB; profile {} wants {}", size >> 20, who,
                            rewrite_size >> 20),
                "auto-aof-rewrite-min-size", fmt::format("{}mb", rewrite_size >> 20));
    }

    // What a backup of ours needs.
    void backup() {
        constexpr std::uint64_t k_backlog_default = std::uint64_t(1) << 20;
        const std::uint64_t backlog = number("repl-backlog-size");
        if (config_.full_every_hours > 0 && backlog != 0 && backlog <= k_backlog_default &&
            facts_.used_memory > k_small)
            say(Severity::warning,
                "repl-backlog-size is 1 MB: what it is told between two backups seldom fits, and each is a whole copy",
                "repl-backlog-size", "64mb");
        if (get("rdbchecksum") == "no")
            say(Severity::warning, "rdbchecksum is no: a damaged RDB is loaded as if it were good",
                "rdbchecksum yes in redis.conf, and restart it");
    }

    void restore(bool wants_log) {
        // When the server is told to keep one, holdfast.toml is right already.
        const bool will_log = wants_log || get("appendonly") == "yes";
        const auto differs = [&](const std::string& setting, std::string_view key, const std::string& ours,
                                 std::string_view what) {
            const std::string theirs = get(setting);
            if (theirs.empty() || theirs == ours) return;
            say(Severity::trouble,
                fmt::format("holdfast.toml says {} = \"{}\" and the server runs with \"{}\": {}", key, ours, theirs,
                            what),
                fmt::format("{} = \"{}\" in [[redis]] of holdfast.toml", key, theirs));
        };
        if (!get("appendonly").empty() && will_log != config_.append_only)
            say(Severity::trouble,
                get("appendonly") == "yes"
                    ? "it runs with appendonly yes and holdfast.toml says false: a restored file would not be loaded, "
                      "the append-only file goes first"
                : will_log
                    ? "with appendonly yes, holdfast.toml must say so, too: else a restored file is not loaded"
                    : "it runs with appendonly no and holdfast.toml says true: a restored append-only file would not "
                      "be loaded",
                fmt::format("append_only = {} in [[redis]] of holdfast.toml", will_log));
        differs("dbfilename", "db_file_name", config_.db_file_name, "a restored file would not be loaded");
        if (get("appendonly") == "yes") {
            differs("appenddirname", "append_folder_name", config_.append_folder_name,
                    "a restored append-only file would not be loaded");
            differs("appendfilename", "append_file_name", config_.append_file_name,
                    "a restored append-only file would not be loaded");
        }
        if (!config_.data_folder.empty())
            differs("dir", "data_folder", config_.data_folder, "a restore would write beside the server's data");
    }

    std::vector<Advice> all;

private:
    const RedisConfig& config_;
    const RedisFacts& facts_;
};

}    // namespace

std::vector<Advice> advise_redis(const RedisConfig& config, const RedisFacts& facts,
                                 const std::vector<std::string_view>& profiles) {
    Advisor advisor(config, facts);
    const bool trades = !profiles.empty();
    if (trades && facts.role == "slave")
        advisor.say(Severity::trouble, "it is a replica: it refuses what the engine writes",
                    "name the master in [[redis]], or the Sentinels in redis_sentinels of [[trade]]");
    advisor.memory(trades);
    advisor.persistence(profiles);
    advisor.backup();
    advisor.restore(trades);
    if (facts.settings.empty())
        advisor.say(Severity::warning, "its settings cannot be asked for, so they are not judged",
                    "ACL SETUSER <user> +config|get");
    return std::move(advisor.all);
}

}    // namespace holdfast::policy
