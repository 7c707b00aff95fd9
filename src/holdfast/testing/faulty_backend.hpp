#pragma once
// A Backend that fails where a test wants it to, and loses on command what a power failure would lose.
//
//   disk full     after `bytes_left` more bytes every write returns disk_full
//   death         after `commits_left` more files got their names every commit and sync returns io
//   power cut     lose_power() removes any of the names that were committed since the last sync(): what the durability
//                 contract of storage/backend.hpp allows to be lost
//   threads       as Backend; the faults may be changed at any time

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "holdfast/storage/backend.hpp"

namespace holdfast::testing {

struct Faults {
    std::atomic<std::int64_t> bytes_left = std::int64_t(1) << 62;
    std::atomic<std::int64_t> commits_left = std::int64_t(1) << 62;
    std::atomic<bool> fail_sync = false;
    std::mutex mutex;
    std::vector<storage::FileName> unsynced;    // in the order of their commits
    std::vector<storage::FileName> committed;    // all, in order
};

/// `faults` is shared with the test.
std::unique_ptr<storage::Backend> faulty_backend(std::unique_ptr<storage::Backend> backend,
                                                 std::shared_ptr<Faults> faults);

/// Removes the i-th unsynced file from the storage below when bit i of `lost` is set.
Status lose_power(storage::Backend& below, Faults& faults, std::uint64_t lost);

}    // namespace holdfast::testing
