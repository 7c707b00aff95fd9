#include "holdfast/recovery/redis_stream.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/redis_compare.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;

// The end of an RDB (ff and eight bytes) and more: without it no server has loaded.
constexpr std::uint64_t k_held_back = 16;
constexpr Duration k_open_max = 10s, k_end_max = 60s;
// A feeder that waited in poll(2) would be woken for each 4 KiB that the server takes, at the server's cost. In this time
// a server takes a fraction of what a pipe of 1 MiB holds.
constexpr Duration k_pause = 2ms;
constexpr int k_pipe_size = 1 << 20;

bool listens(const RedisInstance& instance) {
    db::RedisLogin login = instance.login.clone();
    login.password = Secret();    // whoever loads answers no AUTH
    login.tls.reset();
    return db::RedisClient::connect(login).has_value();
}

// False: it is still there.
bool wait_for_silence(const RedisInstance& instance, Clock& clock, Duration longest) {
    const Instant deadline = clock.instant() + longest;
    while (listens(instance)) {
        if (clock.instant() >= deadline) return false;
        clock.sleep(5ms);
    }
    return true;
}

// Whoever waits at the pipe for somebody who writes.
os::Fd open_for_reader(int pipe) {
    return os::Fd(::open(fmt::format("/proc/self/fd/{}", pipe).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}

}    // namespace

RedisStream::~RedisStream() { static_cast<void>(abandon()); }

Status RedisStream::put_pipe() {
    // What a killed run has left is taken as it is: the server which that one started may be on its way to it.
    const std::string made = staging_ + "/pipe", place = instance_.files.rdb_path();
    if (has_redis_pipe(instance_.files)) {
        HF_TRY(pipe_, os::open_file(place, O_PATH | O_NOFOLLOW));
        return {};
    }
    if (::mkfifo(made.c_str(), 0600) != 0) return fail(errno_error(errno, "cannot make a pipe in " + staging_));
    HF_DO(give_to(made, owner_));
    HF_TRY(pipe_, os::open_file(made, O_PATH | O_NOFOLLOW));
    if (std::rename(made.c_str(), place.c_str()) == 0) return {};
    return fail(errno_error(errno, fmt::format("cannot rename {} to {}", made, place)));
}

void RedisStream::remove_pipe() const {
    if (has_redis_pipe(instance_.files)) ::unlink(instance_.files.rdb_path().c_str());
}

Status RedisStream::follow(const std::string& file) {
    auto opened = os::open_file(file, O_RDONLY | O_CREAT);
    if (!opened) return {};
    file_ = *std::move(opened);
    if (!put_pipe()) return {};
    auto launched = launch_redis(config_, context_.scratch);
    if (!launched) {
        remove_pipe();
        return {};
    }
    launched_.emplace(*std::move(launched));
    feeder_ = std::thread([this] { feed(); });
    context_.say("starting it: it loads while its file is made");
    // Nothing was there; an undo is to take the pipe away, if we are killed.
    return context_.replaces({"redis", instance_.files.folder});
}

void RedisStream::feed() {
    sigset_t pipe_signal;    // a server that ends is told by EPIPE
    ::sigemptyset(&pipe_signal);
    ::sigaddset(&pipe_signal, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_signal, nullptr);
    os::Fd out;
    std::uint64_t at = 0;
    while (!stop_) {
        if (!out) {
            out = open_for_reader(pipe_.get());
            if (out) {
                ::fcntl(out.get(), F_SETPIPE_SZ, k_pipe_size);    // less will do, too
                was_opened_ = true;
                is_lost_ = false;
                at = 0;
            }
        }
        const Fed fed = out ? feed_some(out.get(), at) : Fed::in_part;
        if (fed == Fed::all) return;
        if (fed == Fed::reader_gone) {
            // Its supervisor may start it again: then from the start, and with both ends closed the pipe holds nothing any more.
            is_lost_ = true;
            out.reset();
        }
        std::this_thread::sleep_for(k_pause);
    }
}

RedisStream::Fed RedisStream::feed_some(int out, std::uint64_t& at) {
    for (;;) {
        const bool whole = whole_;    // before its size is looked at, which then no longer changes
        struct stat status;
        if (::fstat(file_.get(), &status) != 0) return Fed::in_part;
        const auto size = static_cast<std::uint64_t>(status.st_size);
        const std::uint64_t end = whole ? size : size - std::min(size, k_held_back);
        if (at >= end) {
            if (whole) return Fed::all;
            pollfd entry{out, 0, 0};
            ::poll(&entry, 1, 0);
            return (entry.revents & POLLERR) != 0 ? Fed::reader_gone : Fed::in_part;
        }
        // Pages of the cache, not copies. What they hold is not written again.
        auto from = static_cast<off_t>(at);
        const ssize_t n = ::splice(file_.get(), &from, out, nullptr, std::min<std::uint64_t>(end - at, k_pipe_size),
                                   SPLICE_F_NONBLOCK);
        if (n == 0) return Fed::in_part;
        if (n < 0) return errno == EAGAIN || errno == EINTR ? Fed::in_part : Fed::reader_gone;
        at += static_cast<std::uint64_t>(n);
    }
}

void RedisStream::stop_feeding() {
    stop_ = true;
    if (feeder_.joinable()) feeder_.join();
}

Status RedisStream::finish() {
    whole_ = true;
    const Status launched = await_launched(config_, *launched_, context_.scratch);
    Status up = launched;
    const Instant deadline = context_.clock.instant() + k_end_max;
    if (launched) {
        do up = wait_for_redis(instance_.login, context_.clock, 100ms);
        while (!up && up.error().code == ErrorCode::unreachable && !is_lost_ && context_.clock.instant() < deadline);
    }
    const bool has_failed = is_lost_ || (!launched && launched_->wait(Duration::zero()));
    stop_feeding();
    if (up || !has_failed) return up;
    // It did not load from the pipe. The file is there, and is loaded as after any other restore.
    wait_for_silence(instance_, context_.clock, k_open_max);
    return start_redis(config_, instance_, context_.scratch, context_.clock);
}

Status RedisStream::abandon() {
    if (!follows()) return {};
    const auto has_failed = [&] {
        const auto ended = launched_->wait(Duration::zero());
        return ended && !ended->ok();
    };
    // A server that is on its way shall find the pipe, and its end there: one that finds nothing comes up empty.
    const Instant deadline = context_.clock.instant() + k_open_max;
    while (!was_opened_ && !has_failed() && !serves(instance_.login) && context_.clock.instant() < deadline)
        context_.clock.sleep(k_pause);
    remove_pipe();    // first: after the error it looks into its file once more, and would wait there
    stop_feeding();
    static_cast<void>(launched_->wait(k_open_max));
    launched_.reset();
    // What a supervisor starts again would come up empty. Where nothing runs the command may fail.
    if (!config_.stop_command.empty() || serves(instance_.login))
        static_cast<void>(stop_redis(config_, instance_, context_.clock));
    HF_DO(os::sync_folder(instance_.files.folder));
    if (wait_for_silence(instance_, context_.clock, k_end_max)) return {};
    return fail(ErrorCode::locked, instance_.login.text() + ", which was started for the restore, is still there",
                "stop it: it holds nothing");
}

Status release_redis_pipe(const RedisInstance& instance, Clock& clock) {
    if (!has_redis_pipe(instance.files)) return {};
    const std::string place = instance.files.rdb_path();
    HF_TRY(const os::Fd pipe, os::open_file(place, O_PATH | O_NOFOLLOW));
    // One that is on its way shall come to the pipe first: without it, it would come up empty.
    os::Fd reader = open_for_reader(pipe.get());
    const Instant deadline = clock.instant() + k_open_max;
    for (; !reader && !instance.running && listens(instance) && clock.instant() < deadline; clock.sleep(k_pause))
        reader = open_for_reader(pipe.get());
    if (!reader) return {};
    if (::unlink(place.c_str()) != 0) return fail(errno_error(errno, "cannot remove " + place));
    reader.reset();    // it finds the end of the file, looks for the file, and ends
    if (wait_for_silence(instance, clock, k_open_max)) return {};
    return fail(
        ErrorCode::locked,
        fmt::format("{} still loads, or hangs at, what a restore that was killed has left", instance.login.text()),
        "stop it, then restore again");
}

}    // namespace holdfast::recovery
