#pragma once
// Facts of this machine and process.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::os {

std::string host_name();
std::string user_name();    // of the effective user; the number if it has no name
std::string user_name_of(uid_t uid);    // empty if none; cached, thread-safe
std::string group_name_of(gid_t gid);
bool process_exists(pid_t pid);    // a process of another user counts, a zombie does not
/// Where PIDs as ours mean something. Empty and 0 where the system does not say.
std::string machine_id();
std::string machine_tag();    // 16 hexadecimal digits made of its name and its id, for names of files in shared places
std::string boot_id();    // another one after each start of the kernel
Timestamp boot_time();    // by the wall clock as it goes now
std::uint64_t pid_namespace();    // every container has its own; numbers of ended ones are used again
unsigned processor_count();
std::uint64_t memory_size();    // of the machine, bytes
std::optional<std::string> environment(const char* name);    // nullopt when unset or empty
void random_bytes(ByteSpan to);    // from the kernel

/// For a thread that does little and shall do it soon. 0: on a busy machine it need not wait until a thread that computes has used
/// up its slice (3 ms, as a rule); its share of the time stays what it is. Needs Linux 6.12; before that nothing changes.
/// 1 to 99: it goes before every thread without such a priority (SCHED_FIFO). denied without CAP_SYS_NICE or a resource limit
/// that allows it; the thread is then as with 0.
Status prefer_this_thread(unsigned realtime_priority = 0);

/// The machine's clocks: CLOCK_REALTIME and CLOCK_BOOTTIME.
class SystemClock final : public Clock {
public:
    Timestamp now() const override;
    Instant instant() const override;
    void sleep(Duration d) override;
};

/// Set by SIGINT, SIGTERM once install_signal_handlers() has run; long work looks at it between steps and returns
/// ErrorCode::cancelled. SIGPIPE and SIGHUP are ignored (restic probes lock owners with SIGHUP).
extern std::atomic<bool> g_stop_requested;
void install_signal_handlers();
inline bool stop_requested() { return g_stop_requested.load(std::memory_order_relaxed); }

}    // namespace holdfast::os
