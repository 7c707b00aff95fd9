#pragma once
// The Redis of a snapshot, to look into: a server of our own that holds it as it was, and changes nothing.
//
//   door     a Unix socket in a private folder and a user `look` with a random password, in a file of mode 0600. Nobody else may
//            enter; that user may read, and nothing more
//   expiry   nothing expires (never, the default of the command), or as restores have it: as_now hides keys whose time has passed
//   proof    the vault's, the checksum of the RDB, SHA-256 of each increment, and the numbers of keys
//   gone     server and files with this object, also on kill -9; the folder that is then left goes with the next one that is made

#include "holdfast/recovery/redis_scratch.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

class RedisLook {
public:
    static constexpr std::string_view k_user = "look";

    /// Returns when it can be asked. Needs the room of the copy in context.scratch while it loads.
    static Result<RedisLook> start(const RestoreContext& context);

    const std::string& socket() const { return server_.login().socket; }
    std::string password_file() const { return folder_.path() + "/password"; }
    std::uint64_t keys() const { return keys_; }
    bool alive() { return server_.alive(); }

private:
    RedisLook(os::ScratchFolder folder, ScratchRedis server, std::uint64_t keys)
        : folder_(std::move(folder)), server_(std::move(server)), keys_(keys) {}
    os::ScratchFolder folder_;
    ScratchRedis server_;
    std::uint64_t keys_;
};

}    // namespace holdfast::recovery
