#include "holdfast/os/host.hpp"

#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <unordered_map>

#include "holdfast/base/result.hpp"
#include "holdfast/base/xxh64.hpp"

namespace holdfast::os {
namespace {

std::int64_t clock_nanoseconds(clockid_t clock) {
    timespec t;
    ::clock_gettime(clock, &t);
    return t.tv_sec * std::int64_t(1'000'000'000) + t.tv_nsec;
}

std::string first_line_of(const char* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// Looks names up once: a backup asks for the same few owners a hundred thousand times.
class NameCache {
public:
    template <class Lookup>
    std::string get(unsigned id, Lookup lookup) {
        const std::scoped_lock lock(mutex_);
        const auto [at, is_new] = names_.try_emplace(id);
        if (is_new) at->second = lookup(id);
        return at->second;
    }

private:
    std::mutex mutex_;
    std::unordered_map<unsigned, std::string> names_;
};

}    // namespace

std::string host_name() {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    return name;
}

std::string user_name() {
    std::string name = user_name_of(::geteuid());
    return name.empty() ? std::to_string(::geteuid()) : name;
}

std::string user_name_of(uid_t uid) {
    static NameCache cache;
    return cache.get(uid, [](unsigned id) -> std::string {
        passwd entry, *found = nullptr;
        char buffer[16384];
        ::getpwuid_r(id, &entry, buffer, sizeof buffer, &found);
        return found ? found->pw_name : "";
    });
}

std::string group_name_of(gid_t gid) {
    static NameCache cache;
    return cache.get(gid, [](unsigned id) -> std::string {
        group entry, *found = nullptr;
        char buffer[16384];
        ::getgrgid_r(id, &entry, buffer, sizeof buffer, &found);
        return found ? found->gr_name : "";
    });
}

bool process_exists(pid_t pid) {
    if (::kill(pid, 0) != 0 && errno == ESRCH) return false;
    // A zombie still answers signals but holds nothing any more.
    std::ifstream stat(fmt::format("/proc/{}/stat", pid));
    std::string line;
    if (!std::getline(stat, line)) return true;
    const std::size_t name_end = line.rfind(')');
    return name_end == std::string::npos || name_end + 2 >= line.size() || line[name_end + 2] != 'Z';
}

std::string machine_id() { return first_line_of("/etc/machine-id"); }
std::string machine_tag() { return fmt::format("{:016x}", xxh64(as_bytes(host_name() + '\n' + machine_id()))); }
std::string boot_id() { return first_line_of("/proc/sys/kernel/random/boot_id"); }
Timestamp boot_time() { return {clock_nanoseconds(CLOCK_REALTIME) - clock_nanoseconds(CLOCK_BOOTTIME)}; }

std::uint64_t pid_namespace() {
    struct stat st;
    return ::stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

unsigned processor_count() {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return static_cast<unsigned>(CPU_COUNT(&set));
}

std::uint64_t memory_size() {
    return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::optional<std::string> environment(const char* name) {
    const char* value = std::getenv(name);
    if (!value || !*value) return std::nullopt;
    return value;
}

void random_bytes(ByteSpan to) {
    while (!to.empty()) {
        const ssize_t n = ::getrandom(to.data(), to.size(), 0);
        HF_ASSERT(n > 0 || errno == EINTR);
        if (n > 0) to = to.subspan(static_cast<std::size_t>(n));
    }
}

Status prefer_this_thread(unsigned realtime_priority) {
    // glibc 2.36 has no wrapper, and the kernel's header of `struct sched_attr` does not go with <sched.h>.
    struct {
        std::uint32_t size, policy = SCHED_OTHER;
        std::uint64_t flags = 0;
        std::int32_t nice = 0;
        std::uint32_t priority = 0;
        std::uint64_t runtime = 0, deadline = 0, period = 0;    // nanoseconds
    } attributes;
    attributes.size = sizeof attributes;
    Status outcome;
    if (realtime_priority != 0) {
        attributes.policy = SCHED_FIFO;
        attributes.priority = realtime_priority;
        if (::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0) return {};
        Error error = errno_error(errno, fmt::format("cannot get real-time priority {}", realtime_priority));
        error.hint = "allow it: LimitRTPRIO= in the systemd unit, or `ulimit -r`";
        outcome = fail(std::move(error));
        attributes.policy = SCHED_OTHER;
        attributes.priority = 0;
    }
    // A short slice means an early deadline, and waking threads with one are let in at once.
    attributes.nice = ::getpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()));
    attributes.runtime = 100'000;    // the shortest slice that there is
    ::syscall(SYS_sched_setattr, 0, &attributes, 0);
    return outcome;
}

Timestamp SystemClock::now() const { return {clock_nanoseconds(CLOCK_REALTIME)}; }
Instant SystemClock::instant() const { return {clock_nanoseconds(CLOCK_BOOTTIME)}; }
void SystemClock::sleep(Duration d) {
    if (d <= Duration::zero()) return;
    timespec t{static_cast<time_t>(d.count() / 1'000'000'000), static_cast<long>(d.count() % 1'000'000'000)};
    ::nanosleep(&t, nullptr);    // a signal cuts the sleep short: callers look at stop_requested()
}

std::atomic<bool> g_stop_requested = false;

void install_signal_handlers() {
    struct sigaction action{};
    action.sa_handler = [](int) { g_stop_requested.store(true, std::memory_order_relaxed); };
    // A second Ctrl-C ends the process at once.
    action.sa_flags = SA_RESETHAND;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
}

}    // namespace holdfast::os
