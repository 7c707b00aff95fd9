#pragma once
// How fast bytes may travel one way: shared by all connections of a storage, so that together they keep to the rate.
//
//   rate      holds over any stretch: who sends or has received a piece of at most k_piece bytes pays for it by waiting
//   errors    cancelled, within about a second of a signal
//   threads   any
//   source    the arithmetic: policy/token_bucket.hpp

#include <memory>
#include <mutex>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/policy/token_bucket.hpp"

namespace holdfast::storage {

class Pace {
public:
    /// Small enough that no server takes the wait for one for silence at 1 KiB/s, the slowest that can be asked for.
    static constexpr std::size_t k_piece = 16 << 10;

    /// `rate` is in bytes per second and not 0.
    Pace(std::uint64_t rate, Clock& clock);
    Status pay(std::uint64_t bytes);

private:
    Clock& clock_;
    std::mutex mutex_;
    policy::TokenBucket bucket_;
};

/// Both ways; null: as fast as it goes.
struct Paces {
    std::shared_ptr<Pace> up, down;
};
/// Bytes per second; 0: no limit.
Paces make_paces(std::uint64_t up, std::uint64_t down, Clock& clock);

}    // namespace holdfast::storage
