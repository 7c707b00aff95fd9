#include "holdfast/os/file_lock.hpp"

#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <thread>

namespace holdfast::os {

Status lock_alone(int file, const std::string& message, const std::string& hint) {
    constexpr auto k_patience = std::chrono::milliseconds(500), k_pause = std::chrono::milliseconds(5);
    const auto end = std::chrono::steady_clock::now() + k_patience;
    while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) return fail(errno_error(errno, "cannot lock"));
        if (std::chrono::steady_clock::now() >= end) return fail(ErrorCode::locked, message, hint);
        std::this_thread::sleep_for(k_pause);
    }
    return {};
}

}    // namespace holdfast::os
