// A broker of one's own, as a process: `[broker] kind = "paper"` trades with it, and it outlives the engine.
//
//   holdfast-paper-broker --listen 127.0.0.1:7001|/path/of/socket [--book FILE] [KEY=VALUE...]
//
// Prints "listening on ADDRESS" once it does. Keys: seed, delay_ms, delay_max_ms, reject, partial, duplicates (refuse|take),
// symbols (A,B,C), walk_ms, lose, twice, swap, drop.

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <string>

#include "holdfast/base/log.hpp"
#include "holdfast/broker/paper_server.hpp"
#include "holdfast/os/host.hpp"

namespace {

using namespace holdfast;

bool set(broker::PaperServerOptions& options, std::string_view key, const std::string& value) {
    double number = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool numeric = read.ec == std::errc() && read.ptr == value.data() + value.size() && number >= 0;
    const auto milliseconds = [&] { return Duration(static_cast<std::int64_t>(number * 1e6)); };
    broker::PaperRules& rules = options.rules;
    if (key == "symbols") {
        for (std::size_t at = 0; at <= value.size();) {
            const std::size_t end = std::min(value.find(',', at), value.size());
            if (end > at) rules.symbols.push_back(value.substr(at, end - at));
            at = end + 1;
        }
        return true;
    }
    if (key == "duplicates") {
        rules.refuse_duplicates = value == "refuse";
        return value == "refuse" || value == "take";
    }
    if (!numeric) return false;
    if (key == "seed")
        rules.seed = options.faults.seed = static_cast<std::uint64_t>(number);
    else if (key == "delay_ms")
        rules.delay_min = milliseconds();
    else if (key == "delay_max_ms")
        rules.delay_max = milliseconds();
    else if (key == "reject")
        rules.reject = number;
    else if (key == "partial")
        rules.partial = number;
    else if (key == "walk_ms")
        rules.walk_step = milliseconds();
    else if (key == "lose")
        options.faults.lose = number;
    else if (key == "twice")
        options.faults.twice = number;
    else if (key == "swap")
        options.faults.swap = number;
    else if (key == "drop")
        options.faults.drop = number;
    else
        return false;
    return true;
}

int usage(const char* program, std::string_view what) {
    fmt::print(stderr, "{}\nusage: {} --listen HOST:PORT|SOCKET [--book FILE] [KEY=VALUE...]\n", what, program);
    return 2;
}

}    // namespace

int main(int count, char** arguments) {
    broker::PaperServerOptions options;
    for (int i = 1; i < count; ++i) {
        const std::string argument = arguments[i];
        if ((argument == "--listen" || argument == "--book") && i + 1 < count) {
            (argument == "--listen" ? options.listen : options.file) = arguments[++i];
            continue;
        }
        const std::size_t equals = argument.find('=');
        if (equals == argument.npos || !set(options, argument.substr(0, equals), argument.substr(equals + 1)))
            return usage(arguments[0], "cannot use " + argument);
    }
    os::install_signal_handlers();
    os::SystemClock clock;
    set_log(
        {.level = LogLevel::warning, .json = false, .timestamp = [&] { return to_rfc3339(clock.now()); }, .sink = {}});
    const auto server = broker::PaperServer::start(std::move(options), clock);
    if (!server) {
        fmt::print(stderr, "{}\n", server.error().message);
        if (!server.error().hint.empty()) fmt::print(stderr, "{}\n", server.error().hint);
        return facts(server.error().code).exit_status;
    }
    fmt::print("listening on {}\n", (*server)->address());
    std::fflush(stdout);
    while (!os::stop_requested() && !(*server)->failed()) clock.sleep(std::chrono::milliseconds(100));
    return (*server)->failed() ? 1 : 0;
}
