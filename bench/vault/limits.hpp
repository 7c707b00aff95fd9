#pragma once
// What this machine allows a cold backup of incompressible data: each part measured by itself, without the pipeline.

#include <string>

#include "holdfast/base/result.hpp"

namespace holdfast::bench {

struct Limits {
    double hash = 0, seal = 0, disk = 0;    // bytes per second: SHA-256 and envelopes on one core, writing with fsync
    unsigned cores = 1;
    /// Every byte is hashed twice (blob and pack) and sealed once by all cores, while the disk writes.
    double bytes_per_s() const;
};

/// `folder` is where the repository will lie; `bytes` are written there and removed again.
Result<Limits> measure_limits(const std::string& folder, std::uint64_t bytes);

}    // namespace holdfast::bench
