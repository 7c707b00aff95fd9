#include "holdfast/storage/pace.hpp"

#include <algorithm>

#include "holdfast/os/host.hpp"

namespace holdfast::storage {

// An eighth of a second's worth may go at once: what a timer and a piece need.
Pace::Pace(std::uint64_t rate, Clock& clock)
    : clock_(clock), bucket_(rate, std::max<std::uint64_t>(rate / 8, 1), clock.instant()) {}

Status Pace::pay(std::uint64_t bytes) {
    Instant until;
    {
        const std::scoped_lock lock(mutex_);
        const Instant now = clock_.instant();
        until = now + bucket_.take(bytes, now);
    }
    for (Instant now = clock_.instant(); now < until; now = clock_.instant()) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while waiting for the line");
        clock_.sleep(std::min<Duration>(until - now, std::chrono::milliseconds(500)));
    }
    return {};
}

Paces make_paces(std::uint64_t up, std::uint64_t down, Clock& clock) {
    return {up > 0 ? std::make_shared<Pace>(up, clock) : nullptr,
            down > 0 ? std::make_shared<Pace>(down, clock) : nullptr};
}

}    // namespace holdfast::storage
