#pragma once
// A redis-server of our own that loads files and proves them: a Unix socket in a private folder, no TCP, no saving by
// itself. It lasts as long as this object.
//
//   errors   not_found: there is no redis-server here; store: it does not take the files, with the end of its log
//   kill -9  of this process ends the server, too; its folder goes when the next one is made

#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/db/redis.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/os/scratch_folder.hpp"

namespace holdfast::recovery {

class ScratchRedis {
public:
    /// `settings`: lines of its configuration, `dir` among them. Returns when it has loaded its files. `as`: the user and password
    /// that those settings demand.
    static Result<ScratchRedis> start(const std::string& settings, Clock& clock, db::RedisLogin as = {});
    const db::RedisLogin& login() const { return login_; }
    /// It still runs.
    bool alive() { return !process_.wait(Duration::zero()); }

private:
    ScratchRedis(os::ScratchFolder sockets, os::Process process, db::RedisLogin login)
        : sockets_(std::move(sockets)), process_(std::move(process)), login_(std::move(login)) {}

    os::ScratchFolder sockets_;
    os::Process process_;    // killed with this object
    db::RedisLogin login_;
};

}    // namespace holdfast::recovery
