#pragma once
// Waits until an HTTP server on 127.0.0.1 answers GET /ping with 200.

#include <cstdint>

#include "holdfast/base/result.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

/// Gives up after 30 s, or as soon as `server` has ended (code store).
Status wait_for_ping(std::uint16_t port, os::Process& server);

}    // namespace holdfast::testing
