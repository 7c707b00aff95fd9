#include "holdfast/os/crash_point.hpp"

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

namespace holdfast::os {
namespace {

struct Target {
    std::string name;
    std::atomic<long> left = 0;

    Target() {
        const char* variable = std::getenv("HOLDFAST_CRASH_POINT");
        if (!variable) return;
        const std::string_view text = variable;
        const std::size_t colon = text.rfind(':');
        if (colon == std::string_view::npos) return;
        long count = 0;
        const auto parsed = std::from_chars(text.data() + colon + 1, text.data() + text.size(), count);
        if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || count < 1) return;
        name = text.substr(0, colon);
        left = count;
        detail::g_crash_point_armed = true;
    }
};

Target& target() {
    static Target the;
    return the;
}

// Read before main: a place in a constructor of another file may come earlier and is not counted.
[[maybe_unused]] const Target& g_read_at_start = target();

}    // namespace

namespace detail {

constinit std::atomic<bool> g_crash_point_armed = false;

void reach_crash_point(std::string_view name, std::string_view of) {
    std::string full(name);
    if (!of.empty()) full.append(".").append(of);
    Target& at = target();
    if (at.name != "*" && at.name != full) return;
    if (--at.left != 0) return;
    const std::string words = "crash point " + full + "\n";
    // Whether it is heard or not, this is the end.
    [[maybe_unused]] const ssize_t said = ::write(STDERR_FILENO, words.data(), words.size());
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
}

}    // namespace detail
}    // namespace holdfast::os
