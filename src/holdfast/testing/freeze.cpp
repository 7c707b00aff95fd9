#include "holdfast/testing/freeze.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "holdfast/os/file.hpp"

namespace holdfast::testing {
namespace {

// The state is the word behind the name, which stands in brackets and may hold anything.
bool stands_still(const std::string& stat) {
    const std::size_t end = stat.rfind(')');
    return end != std::string::npos && end + 2 < stat.size() && stat[end + 2] == 'T';
}

}    // namespace

Status freeze(pid_t pid) {
    if (::kill(pid, SIGSTOP) != 0) return fail(errno_error(errno, "cannot stop the process"));
    for (int tries = 0; tries < 2000; ++tries) {
        bool all = true;
        std::error_code error;
        for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
            const auto stat = os::read_text(task.path().string() + "/stat");
            all = all && (!stat || stands_still(*stat));    // a thread that is gone says nothing either
        }
        if (error) return fail(ErrorCode::not_found, "the process is gone");
        if (all) return {};
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return fail(ErrorCode::unreachable, "the process does not stop");
}

}    // namespace holdfast::testing
