// `holdfast restore SNAPSHOT --only redis --look`: the Redis of a snapshot, to look into until Ctrl-C.

#include <fmt/core.h>

#include <cstdio>

#include "holdfast/cli/output.hpp"
#include "holdfast/cli/restore.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_look.hpp"
#include "holdfast/source/stack.hpp"

namespace holdfast::cli {

Result<int> restore_look(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                         const vault::Repository& repository, const vault::SnapshotEntry& entry,
                         std::unique_ptr<vault::RepositoryLock> lock) {
    HF_TRY(const policy::RedisConfig* const redis, chosen_redis(config, arguments.only, "--look"));
    HF_TRY(const json::Value facts, redis_facts(repository, entry, redis->name));
    const std::string where = source::scratch_folder(config);
    recovery::RestoreContext context{repository,
                                     entry,
                                     facts,
                                     repository.clock(),
                                     redis->name,
                                     where,
                                     recovery::WhenExisting::refuse,
                                     [&](std::string_view event) {
                                         if (session.people()) print_note(fmt::format("{}: {}\n", redis->name, event));
                                     }};
    // What is looked at must not go while it is looked at.
    context.expiry = arguments.expiry.empty() ? recovery::Expiry::never : expiry_of(arguments);
    HF_TRY(recovery::RedisLook look, recovery::RedisLook::start(context));
    lock.reset();    // all is read: whoever prunes need not wait for us

    if (session.global.json)
        print_json(json::Value::object({{"snapshot", entry.id.hex()},
                                        {"component", redis->name},
                                        {"keys", look.keys()},
                                        {"socket", look.socket()},
                                        {"user", recovery::RedisLook::k_user},
                                        {"password_file", look.password_file()}}));
    else
        print(
            fmt::format("{} as it was at {} ({} keys), to read only:\n"
                        "  REDISCLI_AUTH=$(cat {}) redis-cli -s {} --user {}\n",
                        redis->name, local_time(entry.snapshot.time), look.keys(), look.password_file(), look.socket(),
                        recovery::RedisLook::k_user));
    std::fflush(stdout);    // whoever reads waits for it
    if (session.people()) print_note("until Ctrl-C; nothing of it stays\n");
    while (!os::stop_requested()) {
        if (!look.alive())
            return fail(ErrorCode::store, "our redis-server has ended", "was it killed? Is there enough memory?");
        session.clock.sleep(std::chrono::milliseconds(200));
    }
    return 0;
}

}    // namespace holdfast::cli
