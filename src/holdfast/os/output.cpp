#include "holdfast/os/output.hpp"

#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {
namespace {

constexpr int k_look_ms = 100;
constexpr std::size_t k_piece = 1u << 20;

bool may_block(int fd) {
    struct stat st;
    return ::fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode));
}

ssize_t write_to_standard_output(void*, const char* bytes, std::size_t size) {
    if (write_unless_stopped(STDOUT_FILENO, as_bytes({bytes, size}))) return static_cast<ssize_t>(size);
    return 0;    // an error, to stdio
}

}    // namespace

Status write_unless_stopped(int fd, ByteView from) {
    const bool waits = may_block(fd);
    bool can_say_no = true;    // the kernel takes RWF_NOWAIT for this kind of file
    while (!from.empty()) {
        if (stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing");
        if (!waits) {
            const ByteView piece = from.first(std::min(from.size(), k_piece));
            HF_DO(write_all(fd, piece));
            from = from.subspan(piece.size());
            continue;
        }
        ssize_t n = -1;
        if (can_say_no) {
            const iovec piece{const_cast<std::byte*>(from.data()), from.size()};
            n = ::pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
            if (n < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) can_say_no = false;
        }
        if (n < 0 && (!can_say_no || errno == EAGAIN)) {
            pollfd ready{fd, POLLOUT, 0};
            // A signal that came just before this is seen when the time is over.
            if (::poll(&ready, 1, k_look_ms) <= 0) continue;
            if (can_say_no) continue;
            // What poll() calls writable takes this much without blocking.
            n = ::write(fd, from.data(), std::min<std::size_t>(from.size(), PIPE_BUF));
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) return fail(errno_error(errno, "cannot write"));
        if (n > 0) from = from.subspan(static_cast<std::size_t>(n));
    }
    return {};
}

void make_standard_output_stoppable() {
    FILE* const stoppable = ::fopencookie(nullptr, "w", {nullptr, write_to_standard_output, nullptr, nullptr});
    if (!stoppable) return;    // no memory: then it stays as it is
    if (::isatty(STDOUT_FILENO)) ::setvbuf(stoppable, nullptr, _IOLBF, BUFSIZ);
    stdout = stoppable;
}

}    // namespace holdfast::os
