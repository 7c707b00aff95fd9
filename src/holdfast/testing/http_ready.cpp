#include "holdfast/testing/http_ready.hpp"

#include <fmt/core.h>

#include <array>
#include <chrono>

#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {

using namespace std::chrono_literals;

namespace {

bool pings(std::uint16_t port) {
    auto socket = os::Socket::connect_tcp("127.0.0.1", port, 1s);
    if (!socket) return false;
    if (!socket->write(as_bytes("GET /ping HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"), 1s)) return false;
    std::array<std::byte, 64> answer{};
    const auto size = socket->read(answer, 2s);
    return size && as_text(ByteView(answer).first(*size)).find(" 200 ") != std::string_view::npos;
}

}    // namespace

Status wait_for_ping(std::uint16_t port, os::Process& server) {
    os::SystemClock clock;
    const Instant deadline = clock.instant() + 30s;
    while (clock.instant() < deadline) {
        if (pings(port)) return {};
        if (!os::process_exists(server.pid())) return fail(ErrorCode::store, "the server ended before it answered");
        clock.sleep(20ms);
    }
    return fail(ErrorCode::store, fmt::format("no answer to /ping on port {} within 30 s", port));
}

}    // namespace holdfast::testing
