#pragma once
// A Backend that fails where a test wants it to, and loses on command what a power failure would lose.
//
//   disk full     after `bytes_left` more bytes every write returns disk_full
//   death         after `commits_left` more files got their names every write and commit returns io
//   power cut     lose_power() removes names that were committed since the last sync(), each with one chance in two:
//                 what the durability contract of storage/backend.hpp allows to be lost
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
    std::vector<storage::FileName> committed;   // all, in order
};

/// `faults` is shared with the test.
std::unique_ptr<storage::Backend> faulty_backend(std::unique_ptr<storage::Backend> backend, std::shared_ptr<Faults> faults);

/// Removes about half of what was not synced from the storage below. Deterministic for a seed.
Status lose_power(storage::Backend& below, Faults& faults, std::uint64_t seed);

}    // namespace holdfast::testing
