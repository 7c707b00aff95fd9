#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/storage/ssh_channel.hpp"

namespace holdfast::storage {
namespace {

class CommandChannel final : public SshChannel {
public:
    CommandChannel(os::Process process, Duration silence_max)
        : process_(std::move(process)), silence_max_(silence_max) {
        for (const int fd : {process_.input(), process_.output()})
            ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    }

    Status write(ByteView bytes) override {
        while (!bytes.empty()) {
            const ssize_t n = ::write(process_.input(), bytes.data(), bytes.size());
            if (n > 0) {
                bytes = bytes.subspan(static_cast<std::size_t>(n));
            } else if (n < 0 && errno == EAGAIN) {
                HF_DO(wait_for(process_.input(), POLLOUT));
            } else if (n == 0 || errno != EINTR) {
                return fail(ended());
            }
        }
        return {};
    }

    Result<std::size_t> read(ByteSpan to) override {
        for (;;) {
            const ssize_t n = ::read(process_.output(), to.data(), to.size());
            if (n > 0) return static_cast<std::size_t>(n);
            if (n < 0 && errno == EAGAIN) {
                HF_DO(wait_for(process_.output(), POLLIN));
            } else if (n == 0 || errno != EINTR) {
                return fail(ended());
            }
        }
    }

private:
    // In short pieces, so that a signal is seen.
    Status wait_for(int fd, short events) {
        const auto deadline = std::chrono::steady_clock::now() + silence_max_;
        for (;;) {
            pollfd entry{fd, events, 0};
            if (::poll(&entry, 1, 500) > 0) return {};
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while waiting for sftp.command");
            if (std::chrono::steady_clock::now() >= deadline)
                return fail(ErrorCode::unreachable,
                            fmt::format("sftp.command did not answer within {:.0f} s", seconds(silence_max_)));
        }
    }
    Error ended() {
        process_.close_input();
        const auto status = process_.wait(std::chrono::seconds(2));
        const std::string said = process_.errors();
        return {
            ErrorCode::unreachable,
            fmt::format("sftp.command ended{}{}", status ? ": " + status->text() : "", said.empty() ? "" : ": " + said),
            "try it in a shell: it must start the server's SFTP subsystem, as `ssh -s HOST sftp` does"};
    }

    os::Process process_;
    const Duration silence_max_;
};

}    // namespace

Result<std::unique_ptr<SshChannel>> open_command_channel(const std::string& command, Duration silence_max) {
    os::Command shell;
    shell.arguments = {"/bin/sh", "-c", "exec " + command};
    shell.input = os::Stream::pipe;
    // The thread that opens a connection is not always the one that uses it to the end.
    shell.die_with_parent = false;
    HF_TRY(os::Process process, os::Process::start(shell));
    return std::make_unique<CommandChannel>(std::move(process), silence_max);
}

}    // namespace holdfast::storage
