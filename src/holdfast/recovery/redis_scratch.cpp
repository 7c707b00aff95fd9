#include "holdfast/recovery/redis_scratch.hpp"

#include <fmt/core.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/redis_compare.hpp"

namespace holdfast::recovery {

using namespace std::chrono_literals;

Result<ScratchRedis> ScratchRedis::start(const std::string& settings, Clock& clock, db::RedisLogin as) {
    const std::string program = os::find_program("redis-server", {"/usr/bin", "/usr/local/bin", "/usr/sbin"});
    if (program.empty())
        return fail(ErrorCode::not_found, "there is no redis-server on this machine that could load the restored files",
                    "install it; it is started for the proof only");
    // A path for the socket that is short enough: 107 bytes is all that the kernel takes.
    HF_TRY(os::ScratchFolder sockets, os::ScratchFolder::create("redis", "/tmp"));
    const std::string socket = sockets.path() + "/s", log = sockets.path() + "/log", file = sockets.path() + "/conf";
    HF_DO(
        os::write_file(file, as_bytes(fmt::format("port 0\nunixsocket {}\nunixsocketperm 700\nsave \"\"\nmaxmemory 0\n"
                                                  "daemonize no\n{}",
                                                  socket, settings))));
    os::Command command;
    command.arguments = {program, file};
    command.output_file = log;
    command.errors = os::Stream::null;
    HF_TRY(os::Process process, os::Process::start(command));
    db::RedisLogin login = std::move(as);
    login.socket = socket;
    // It is not up at once, and it may end instead of coming up: files that it does not take.
    Status up;
    do up = wait_for_redis(login, clock, 1s);
    while (!up && up.error().code == ErrorCode::unreachable && !process.wait(Duration::zero()));
    if (up) return ScratchRedis(std::move(sockets), std::move(process), std::move(login));
    if (up.error().code != ErrorCode::unreachable) return fail(up.error());
    const auto text = os::read_text(log);
    const std::string tail = text ? text->substr(text->size() > 600 ? text->size() - 600 : 0) : "";
    return fail(ErrorCode::store, "redis-server does not load the restored files: " + tail,
                "is it older than the server that was backed up?");
}

}    // namespace holdfast::recovery
