#pragma once
// A bandwidth limit as a token bucket that may be overdrawn: whoever takes bytes pays for them by waiting, so that the
// rate holds over any stretch longer than the burst. Pure: the time comes in, a wait comes out.
//
//   units     bytes; `rate` a second
//   promise   between two calls of take() no more than rate * time + burst + the last piece has been let through
//   threads   one at a time

#include <cstdint>

#include "holdfast/base/clock.hpp"

namespace holdfast::policy {

class TokenBucket {
public:
    /// Full at first. `rate` and `burst` are at least 1.
    TokenBucket(std::uint64_t rate, std::uint64_t burst, Instant now);

    /// Takes the bytes now; the caller waits this long before it goes on.
    Duration take(std::uint64_t bytes, Instant now);

private:
    double rate_, burst_, level_;    // below zero: owed
    Instant at_;
};

}    // namespace holdfast::policy
