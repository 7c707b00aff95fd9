#include "holdfast/recovery/postgres_feed.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

constexpr int k_poll_ms = 200;

}    // namespace

Result<os::ExitStatus> wait_for_tool(os::Process& process) {
    for (;;) {
        auto ended = process.wait(std::chrono::milliseconds(k_poll_ms));
        if (ended || ended.error().code != ErrorCode::unreachable) return ended;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    }
}

Result<PostgresFeed> PostgresFeed::start(os::Command command, std::string name, bool listens) {
    command.input = os::Stream::pipe;
    if (command.output_file.empty() && !listens) command.output = os::Stream::null;
    HF_TRY(auto process, os::Process::start(command));
    if (::fcntl(process.input(), F_SETFL, O_NONBLOCK) != 0) return fail(errno_error(errno, "cannot prepare a pipe"));
    return PostgresFeed(std::move(process), std::move(name));
}

// Waits while the child does not read: it may be building an index.
Status PostgresFeed::write(ByteView bytes) {
    while (!bytes.empty()) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
        pollfd entry{process_.input(), POLLOUT, 0};
        if (::poll(&entry, 1, k_poll_ms) <= 0) continue;
        const ssize_t n = ::write(process_.input(), bytes.data(), bytes.size());
        if (n > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        } else if (errno != EAGAIN && errno != EINTR) {
            refused_ = true;
            return fail(errno_error(errno, "cannot write to PostgreSQL's tool"));
        }
    }
    return {};
}

Status PostgresFeed::listen(const std::function<bool(ByteView)>& sink) {
    Bytes buffer(std::size_t(256) << 10);
    for (;;) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
        pollfd entry{process_.output(), POLLIN, 0};
        if (::poll(&entry, 1, k_poll_ms) <= 0) continue;
        HF_TRY(const std::size_t n, os::read_some(process_.output(), buffer));
        if (n == 0) {
            refused_ = true;
            return fail(ErrorCode::store, name_ + " ended early");
        }
        if (sink(ByteView(buffer).first(n))) return {};
    }
}

Status PostgresFeed::finish() {
    process_.close_input();
    HF_TRY(const auto ended, wait_for_tool(process_));
    if (ended.ok()) return {};
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
    return fail(db::postgres_tool_error(name_, ended, process_.errors()));
}

Status feed_file(PostgresFeed feed, const RestoreContext& context, const format::Node& file, bool may_stop_early,
                 const std::function<void(ByteView)>& seen) {
    const auto fed = vault::read_content(context.repository, file, [&](ByteView bytes) {
        if (seen) seen(bytes);
        return feed.write(bytes);
    });
    if (!fed && !feed.refused()) return fed;    // ~Process kills it, and its transaction is rolled back
    HF_DO(feed.finish());
    return fed || may_stop_early ? Status() : fed;
}

}    // namespace holdfast::recovery
