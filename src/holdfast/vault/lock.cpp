#include "holdfast/vault/lock.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/format/documents.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

struct FoundLock {
    Id id;
    format::Lock lock;
};

struct OtherLocks {
    std::vector<FoundLock> found;
    std::optional<Error> unreadable;    // one of those that cannot be read
};

format::PidOrigin own_origin() {
    const std::string machine = os::machine_id();
    return {machine.empty() ? machine : format::sha256(as_bytes("holdfast lock " + machine)).brief(), os::boot_id(),
            os::pid_namespace()};
}

// Every lock file but our own. One that cannot be read may be anybody's: it counts as restic (0.15) counts it. Empty ones
// are leftovers of a full disk.
Result<OtherLocks> other_locks(Repository& repository, const std::optional<Id>& own) {
    std::vector<Id> ids;
    HF_DO(repository.backend().list(FileKind::lock, [&](const Id& id, std::uint64_t size) {
        if (size > 0 && id != own) ids.push_back(id);
    }));
    OtherLocks others;
    for (const Id& id : ids) {
        auto json = repository.read_document({FileKind::lock, id});
        if (!json && json.error().code == ErrorCode::not_found) continue;    // gone since the listing
        auto lock = json ? format::decode_lock(*json, "lock " + id.brief()) : Result<format::Lock>(fail(json.error()));
        if (lock) {
            others.found.push_back({id, *std::move(lock)});
            continue;
        }
        if (lock.error().code != ErrorCode::corrupt) return fail(std::move(lock).error());
        others.unreadable =
            Error{ErrorCode::locked,
                  fmt::format("the repository {} has a lock that cannot be read: {}", repository.backend().location(),
                              lock.error().message),
                  "make sure that nothing works on the repository; then `holdfast unlock --remove-all` removes it"};
    }
    return others;
}

// Whether the process of this host that took it is certainly gone. In another container its PID says nothing here, and a
// name of a host may be there twice. Before the last start of this machine nothing of now was running.
bool is_gone(const format::Lock& lock) {
    if (lock.hostname != os::host_name() || lock.pid <= 0 || !lock.origin) return false;
    const format::PidOrigin here = own_origin();
    if (*lock.origin == here) return lock.pid != ::getpid() && !os::process_exists(static_cast<pid_t>(lock.pid));
    return !here.machine.empty() && lock.origin->machine == here.machine && lock.origin->boot != here.boot &&
           lock.time < os::boot_time();
}

// By the word of the host's name alone, as restic judges all: its locks do not say more. Enough for somebody who asks.
bool looks_gone(const format::Lock& lock) {
    if (lock.origin) return is_gone(lock);
    return lock.hostname == os::host_name() && lock.pid > 0 && lock.pid != ::getpid() &&
           !os::process_exists(static_cast<pid_t>(lock.pid));
}

// A live holder refreshes its lock every 5 minutes, so that clocks may differ by many minutes.
bool is_old(const format::Lock& lock, Timestamp now) { return now - lock.time > k_lock_stale_after; }
bool is_of_the_future(const format::Lock& lock, Timestamp now) { return lock.time - now > k_lock_stale_after; }

std::string hint_of(const format::Lock& lock, Timestamp now) {
    if (is_old(lock, now)) return "it was not refreshed for more than 30 minutes: `holdfast unlock` removes it";
    if (looks_gone(lock)) return "no such process is on this host: `holdfast unlock` removes it";
    if (is_of_the_future(lock, now))
        return "its time is still to come: the clock of " + lock.hostname +
               " or of this host is wrong. If it is certain that its process is gone: `holdfast unlock --remove-all`";
    return "wait until that process ends; if it is certain that it is gone: `holdfast unlock --remove-all`";
}

std::string owner(const format::Lock& lock) {
    return fmt::format("{}@{}, PID {}, since {}", lock.username, lock.hostname, lock.pid, to_rfc3339(lock.time));
}

// The first lock that excludes ours.
Result<std::optional<Error>> conflict(Repository& repository, LockMode mode, const std::optional<Id>& own) {
    HF_TRY(auto others, other_locks(repository, own));
    for (const FoundLock& other : others.found) {
        if (is_gone(other.lock)) {
            log_warning("removed the lock of a process that is gone",
                        {{"lock", other.id.brief()}, {"owner", owner(other.lock)}});
            const auto removed = repository.backend().remove({FileKind::lock, other.id});
            if (removed || removed.error().code == ErrorCode::not_found) continue;
        }
        if (mode != LockMode::exclusive && !other.lock.exclusive) continue;
        return Error{ErrorCode::locked,
                     fmt::format("the repository {} is locked{} by {}", repository.backend().location(),
                                 other.lock.exclusive ? " exclusively" : "", owner(other.lock)),
                     hint_of(other.lock, repository.clock().now())};
    }
    return std::move(others.unreadable);
}

class HeldLock final : public RepositoryLock {
public:
    HeldLock(Repository& repository, LockMode mode, const LockTiming& timing)
        : repository_(repository), mode_(mode), timing_(timing) {}

    ~HeldLock() override {
        {
            const std::scoped_lock lock(mutex_);
            ending_ = true;
        }
        wake_.notify_all();
        if (refresher_.joinable()) refresher_.join();
        if (own_) discard(*own_);
    }

    // Gives the conflict back when there is one.
    Result<std::optional<Error>> acquire() {
        HF_TRY(auto before, conflict(repository_, mode_, std::nullopt));
        if (before) return before;
        HF_TRY(own_, write());
        os::crash_point("lock.written");
        settle();
        HF_TRY(auto after, conflict(repository_, mode_, own_));
        if (after) return after;
        refreshed_at_ = repository_.clock().instant();
        refresher_ = std::thread([this] { refresh_loop(); });
        return std::optional<Error>();
    }

    Status still_held() const override {
        const std::scoped_lock lock(mutex_);
        if (lost_) return fail(*lost_);
        if (repository_.clock().instant() - refreshed_at_ > timing_.lost_after)
            return fail(
                ErrorCode::locked,
                "our lock on the repository could not be refreshed in time, another process may have removed it",
                "run it again");
        return {};
    }

private:
    Result<std::optional<Id>> write() {
        format::Lock lock;
        lock.time = repository_.clock().now();
        lock.exclusive = mode_ == LockMode::exclusive;
        lock.hostname = os::host_name();
        lock.username = os::user_name();
        lock.pid = ::getpid();
        lock.uid = ::geteuid();
        lock.gid = ::getegid();
        lock.origin = own_origin();
        auto id = repository_.write_document(FileKind::lock, format::encode(lock));
        if (!id && id.error().code == ErrorCode::disk_full) {
            Error error = std::move(id).error();
            error.hint =
                "make room there: `holdfast forget` and `holdfast prune --max-repack-size 0` work on a full disk; "
                "commands that only read go on with --no-lock";
            return fail(std::move(error));
        }
        HF_TRY(const Id written, std::move(id));
        return written;
    }

    void discard(const Id& id) {
        const auto removed = repository_.backend().remove({FileKind::lock, id});
        if (!removed && removed.error().code != ErrorCode::not_found)
            log_warning("our lock file could not be removed",
                        {{"lock", id.brief()}, {"error", removed.error().message}});
    }

    void settle() {
        if (!repository_.backend().lists_at_once()) repository_.clock().sleep(timing_.settle);
    }

    // The machine may have slept for hours, or somebody ran `unlock --remove-all`: others may be at work by now. A storage
    // that only does not answer is asked again by the next refresh.
    Status look_for_own() {
        const auto there = repository_.backend().size({FileKind::lock, *own_});
        if (there) return {};
        if (there.error().code != ErrorCode::not_found)
            return fail(ErrorCode::unreachable, "looking for our lock: " + there.error().message);
        return fail(ErrorCode::locked, "our lock on the repository was removed by another process", "run it again");
    }

    Status refresh() {
        Instant last;
        {
            const std::scoped_lock lock(mutex_);
            last = refreshed_at_;
        }
        const Instant now = repository_.clock().instant();
        const bool late = now - last > timing_.lost_after;
        HF_DO(look_for_own());
        HF_TRY(const auto fresh, write());
        if (late) {
            settle();
            if (auto status = look_for_own(); !status) {
                discard(*fresh);
                return status;
            }
        }
        const Id old = *std::exchange(own_, fresh);
        os::crash_point("lock.renewed");
        discard(old);
        const std::scoped_lock lock(mutex_);
        refreshed_at_ = now;
        return {};
    }

    void refresh_loop() {
        Duration pause = timing_.refresh_every;
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, pause, [this] { return ending_; })) {
            lock.unlock();
            auto status = refresh();
            lock.lock();
            if (!status && status.error().code == ErrorCode::locked) {
                lost_ = status.error();
                return;
            }
            pause = status ? timing_.refresh_every : timing_.retry_after_failure;
            if (!status) log_warning("our lock could not be refreshed", {{"error", status.error().message}});
        }
    }

    Repository& repository_;
    const LockMode mode_;
    const LockTiming timing_;
    std::optional<Id> own_;    // after acquire() only the refresher touches it
    std::thread refresher_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool ending_ = false;
    Instant refreshed_at_;
    std::optional<Error> lost_;
};

}    // namespace

Result<std::unique_ptr<RepositoryLock>> take_lock(Repository& repository, LockMode mode, Duration wait,
                                                  const LockTiming& timing) {
    Clock& clock = repository.clock();
    const Instant deadline = clock.instant() + wait;
    Duration pause = timing.first_pause;
    for (;;) {
        auto lock = std::make_unique<HeldLock>(repository, mode, timing);
        HF_TRY(auto in_the_way, lock->acquire());
        if (!in_the_way) return lock;
        lock.reset();
        const Duration left = deadline - clock.instant();
        if (left <= Duration::zero()) return fail(*std::move(in_the_way));
        clock.sleep(std::min(pause, left));
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while waiting for a lock");
        pause = std::min(pause * 2, timing.pause_max);
    }
}

Result<UnlockReport> unlock(Repository& repository, bool remove_all) {
    UnlockReport report;
    std::vector<std::pair<Id, std::uint64_t>> there;
    HF_DO(repository.backend().list(FileKind::lock,
                                    [&](const Id& id, std::uint64_t size) { there.emplace_back(id, size); }));
    for (const auto& [id, size] : there) {
        auto json = repository.read_document({FileKind::lock, id});
        if (!json && json.error().code == ErrorCode::not_found) continue;    // its owner took it
        const auto lock = json ? format::decode_lock(*json, "lock " + id.brief())
                               : Result<format::Lock>(fail(std::move(json).error()));
        const std::string text = lock ? owner(*lock) : fmt::format("unreadable lock {} ({} bytes)", id.brief(), size);
        // What cannot be read may be held, and its age is not known.
        const bool stale = lock && (looks_gone(*lock) || is_old(*lock, repository.clock().now()));
        if (!stale && !remove_all) {
            report.left.push_back(text);
            continue;
        }
        const auto removed = repository.backend().remove({FileKind::lock, id});
        if (!removed && removed.error().code != ErrorCode::not_found)
            return fail(Error(removed.error()).within("removing lock " + id.brief()));
        report.removed.push_back(text);
    }
    return report;
}

}    // namespace holdfast::vault
