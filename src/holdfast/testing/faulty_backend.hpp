#pragma once
// A Backend that fails where a test wants it to, and loses on command what a power failure would lose.
//
//   disk full     after `bytes_left` more bytes, or `writes_left` more writes, every write returns disk_full; a removal gives
//                 room for `writes_per_removal` more
//   death         after `commits_left` more files got or lost their names every commit, removal and sync returns io
//   power cut     lose_power() takes back any commit and any removal since the last sync(): what the durability contract of
//                 storage/backend.hpp allows. Locks are never synced and their removal is not taken back: this process
//                 lives on, so that its old locks would look held
//   refusal       with `refuse_removals` only locks can be removed, as on append-only storage
//   threads       as Backend; the faults may be changed at any time

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "holdfast/storage/backend.hpp"

namespace holdfast::testing {

struct Faults {
    std::atomic<std::int64_t> bytes_left = std::int64_t(1) << 62;
    std::atomic<std::int64_t> commits_left = std::int64_t(1) << 62;
    std::atomic<std::int64_t> writes_left = std::int64_t(1) << 62, writes_per_removal = 0;
    std::atomic<bool> fail_sync = false, refuse_removals = false;
    std::mutex mutex;
    struct Change {
        storage::FileName name;
        std::optional<Bytes> removed;    // the content of what was removed; else the file is new
    };
    std::vector<Change> unsynced;    // in their order
    std::vector<storage::FileName> committed;    // all, in order
};

/// `faults` is shared with the test.
std::unique_ptr<storage::Backend> faulty_backend(std::unique_ptr<storage::Backend> backend,
                                                 std::shared_ptr<Faults> faults);

/// Takes the i-th unsynced change back in the storage below when bit i of `lost` is set.
Status lose_power(storage::Backend& below, Faults& faults, std::uint64_t lost);

}    // namespace holdfast::testing
