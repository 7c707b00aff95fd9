#pragma once
// The lock files of a repository, as restic takes and honours them.
//
//   order    read all locks, write ours, read all again: of two that come at once at least one sees the other
//   stale    the process is gone, and its PID is one of ours: same host, kernel and PID namespace, or this machine before
//            it was started again. Removed, with a warning. Any other lock blocks until someone unlocks, however old, and
//            so does one that cannot be read. (restic's do not say where their PIDs count: unlock() takes their word)
//   refresh  every 5 minutes a new file, then the old one goes; never when the old file is gone: then someone unlocked,
//            and others may be at work. After 22.5 minutes without success (counted while the machine is suspended, too)
//            nothing is written any more, until a refresh finds the old file still there
//   clocks   only other hosts' locks are judged by the wall clock, and only by unlock(); our own by a clock that never
//            jumps
//   source   docs/formats/vault.md section 14

#include <chrono>
#include <memory>
#include <string>
#include <vector>

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

/// A lock this old is nobody's any more.
inline constexpr Duration k_lock_stale_after = std::chrono::minutes(30);

struct UnlockReport {
    std::vector<std::string> removed, left;    // "user@host, PID n, since …"
};
/// Removes stale locks: those of processes of this host that are gone, and those older than 30 minutes, never
/// those that cannot be read. `remove_all`: every lock, whoever holds it.
Result<UnlockReport> unlock(Repository& repository, bool remove_all);

}    // namespace holdfast::vault
