// `holdfast restore SNAPSHOT --only redis --keys PATTERN`: some keys, into a server that goes on running.

#include <fmt/core.h>

#include "holdfast/cli/output.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/recovery/redis_keys.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::cli {
Result<const policy::RedisConfig*> chosen_redis(const policy::Config& config, const std::vector<std::string>& only,
                                                std::string_view option) {
    const policy::RedisConfig* found = nullptr;
    for (const policy::RedisConfig& one : config.redis) {
        if (!only.empty() && (only.size() != 1 || (only[0] != one.name && only[0] != "redis"))) continue;
        if (found)
            return fail(ErrorCode::usage,
                        fmt::format("{} is about one Redis, and the configuration names more", option),
                        "say which with --only NAME");
        found = &one;
    }
    if (found) return found;
    return fail(ErrorCode::usage, fmt::format("{} is about a [[redis]] of the configuration, and none fits", option),
                "name it with --only NAME");
}

Result<json::Value> redis_facts(const vault::Repository& repository, const vault::SnapshotEntry& entry,
                                const std::string& name) {
    HF_TRY(const json::Value manifest, source::read_manifest(repository, entry));
    for (const json::Value& component : manifest["components"].items())
        if (component["name"].text() == name && component["kind"].text() == "redis" &&
            component["status"].text() == "complete")
            return component["facts"];
    return fail(ErrorCode::not_found, fmt::format("snapshot {} holds no whole copy of {}", entry.id.brief(), name),
                "`holdfast snapshots` lists others");
}

Result<int> restore_keys(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                         const vault::Repository& repository, const vault::SnapshotEntry& entry) {
    HF_TRY(const policy::RedisConfig* const redis, chosen_redis(config, arguments.only, "--keys"));
    HF_TRY(const json::Value facts, redis_facts(repository, entry, redis->name));
    if (!arguments.yes && !arguments.dry_run)
        return fail(ErrorCode::usage, "keys are written into a server that is in use: that needs --yes",
                    "--dry-run says how many there are, and how many of them the server has already");
    const std::string where = source::scratch_folder(config);
    const auto say = [&](std::string_view event) {
        if (session.people()) print_note(fmt::format("{}: {}\n", redis->name, event));
    };
    recovery::RestoreContext context{
        repository, entry, facts, repository.clock(), redis->name, where, recovery::WhenExisting::refuse, say};
    context.expiry = expiry_of(arguments);
    recovery::RedisKeys keys{arguments.keys, recovery::KeyConflict::refuse, arguments.dry_run};
    if (arguments.conflict == "keep") keys.conflict = recovery::KeyConflict::keep;
    if (arguments.conflict == "replace") keys.conflict = recovery::KeyConflict::replace;
    HF_TRY(json::Value result, recovery::restore_redis_keys(*redis, context, keys));
    if (session.global.json) {
        result.set("snapshot", entry.id.hex());
        result.set("component", redis->name);
        print_json(result);
    } else if (!session.global.quiet) {
        print(fmt::format("{} keys fit {}: {} {}, {} of them over others; {} left as they are\n",
                          result["found"].natural(), printable(arguments.keys), result["written"].natural(),
                          arguments.dry_run ? "would be written" : "written", result["replaced"].natural(),
                          result["kept"].natural()));
    }
    return 0;
}

}    // namespace holdfast::cli
