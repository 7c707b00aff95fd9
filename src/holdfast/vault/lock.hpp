#pragma once
// The lock files of a repository, as restic takes and honours them.
//
//   order    read all locks, write ours, read all again: of two that come at once at least one sees the other
//   stale    same host and the process is gone: removed, with a warning. Other old locks block until someone unlocks
//   refresh  every 5 minutes a new file, then the old one goes; after 22.5 minutes without success nothing is written
//            any more unless the old lock file is still there and nobody else's is in the way
//   source   docs/formats/vault.md section 14

#include <chrono>
#include <memory>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// Real times, shortened by tests.
struct LockTiming {
    Duration refresh_every = std::chrono::minutes(5);
    Duration retry_after_failure = std::chrono::seconds(30);
    Duration lost_after = std::chrono::seconds(1350);
    Duration settle = std::chrono::milliseconds(200);    // for storage whose lists lag behind
    Duration first_pause = std::chrono::seconds(1), pause_max = std::chrono::seconds(60);
};

Result<std::unique_ptr<RepositoryLock>> take_lock(Repository& repository, LockMode mode, Duration wait,
                                                  const LockTiming& timing);

}    // namespace holdfast::vault
