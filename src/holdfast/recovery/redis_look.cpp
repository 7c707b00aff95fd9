#include "holdfast/recovery/redis_look.hpp"

#include <fmt/core.h>

#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_replay.hpp"

namespace holdfast::recovery {

Result<RedisLook> RedisLook::start(const RestoreContext& context) {
    HF_TRY(const RedisSaved saved, find_redis_saved(context));
    HF_TRY(os::ScratchFolder folder, os::ScratchFolder::create("redis", context.scratch));
    HF_TRY(const std::uint64_t free, os::free_space(folder.path()));
    if (free < saved.bytes)
        return fail(ErrorCode::disk_full,
                    fmt::format("it takes {} in {}, where {} is free", human_size(saved.bytes), context.scratch,
                                human_size(free)),
                    "make room there, or set scratch_folder");
    std::array<std::byte, 24> random;
    os::random_bytes(random);
    db::RedisLogin login;
    login.user = k_user;
    login.password = Secret(to_hex(random));
    HF_DO(os::write_file(folder.path() + "/password", as_bytes(login.password.reveal() + "\n")));

    context.say(fmt::format("loading {} in a server of our own", human_size(saved.bytes)));
    HF_TRY(const std::string settings, lay_out_replay(context, saved, folder.path()));
    // The hash of the password is all that the server's configuration has.
    // The user that nobody can be keeps its rights: the script that sets the times runs with them, and a server that refuses a command
    // of its log crashes.
    const std::string users = fmt::format(
        "user default off ~* &* +@all\nuser {} on #{} ~* &* -@all +@read +@connection -@admin +info +function|list\n",
        k_user, format::sha256(as_bytes(login.password.reveal())).hex());
    HF_TRY(ScratchRedis server, ScratchRedis::start(settings + users, context.clock, std::move(login)));
    HF_TRY(const std::uint64_t keys, prove_replayed(context, server.login()));
    // It has read them; what a killed process leaves behind is then next to nothing.
    HF_DO(os::remove_tree(folder.path() + "/appendonlydir"));
    return RedisLook(std::move(folder), std::move(server), keys);
}

}    // namespace holdfast::recovery
