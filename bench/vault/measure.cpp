#include "measure.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <ftw.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <sstream>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::bench {
namespace {

double seconds_of(const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; }

// All CPU seconds that the machine has spent on work so far.
double machine_cpu_s() {
    const auto text = os::read_text("/proc/stat");
    if (!text) return 0;
    std::istringstream in(*text);
    std::string word;
    double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
    in >> word >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
    return (user + nice + system + irq + softirq) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

[[noreturn]] void become(const Invocation& invocation, int output) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int null = ::open("/dev/null", O_RDONLY);
    if (null < 0) _exit(126);
    dup2(null, 0);
    dup2(output, 1);
    dup2(output, 2);
    if (!invocation.folder.empty() && chdir(invocation.folder.c_str()) != 0) _exit(126);
    for (const auto& [name, value] : invocation.environment) setenv(name.c_str(), value.c_str(), 1);
    std::vector<char*> arguments;
    arguments.reserve(invocation.arguments.size() + 1);
    for (const std::string& argument : invocation.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
}

thread_local std::uint64_t t_folder_bytes;

}    // namespace

Result<Sample> measure(const Invocation& invocation) {
    HF_TRY(const auto output_folder, os::TempFolder::create("bench-output"));
    const std::string output_path = output_folder.path() + "/output";
    HF_TRY(const os::Fd output, os::open_file(output_path, O_RDWR | O_CREAT));
    const auto begin = std::chrono::steady_clock::now();
    const double machine_before = machine_cpu_s();
    // wait4 and not os::Process: the kernel's own account of this child is what we are after.
    const pid_t pid = fork();
    if (pid < 0) return fail(errno_error(errno, "cannot start " + invocation.arguments[0]));
    if (pid == 0) become(invocation, output.get());
    int status = 0;
    rusage usage{};
    while (wait4(pid, &status, 0, &usage) < 0)
        if (errno != EINTR)
            return fail(errno_error(errno, "cannot wait for " + invocation.arguments[0]));
        else if (os::stop_requested())
            kill(pid, SIGTERM);
    if (!invocation.sync_path.empty()) {
        HF_TRY(const os::Fd folder, os::open_file(invocation.sync_path, O_RDONLY | O_DIRECTORY));
        if (syncfs(folder.get()) != 0) return fail(errno_error(errno, "cannot sync " + invocation.sync_path));
    }
    Sample sample;
    sample.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    sample.user_s = seconds_of(usage.ru_utime);
    sample.system_s = seconds_of(usage.ru_stime);
    sample.rss_max_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    sample.foreign_s = std::max(0.0, machine_cpu_s() - machine_before - sample.cpu_s());
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        const std::string said = os::read_text(output_path).value_or("");
        const std::string how = WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                                                  : fmt::format("killed by signal {}", WTERMSIG(status));
        return fail(ErrorCode::store, fmt::format("`{}` failed ({}): {}", fmt::join(invocation.arguments, " "), how,
                                                  said.size() > 2000 ? said.substr(said.size() - 2000) : said));
    }
    return sample;
}

Result<std::uint64_t> folder_bytes(const std::string& path) {
    t_folder_bytes = 0;
    const auto add = [](const char*, const struct stat* status, int kind, FTW*) {
        if (kind == FTW_F) t_folder_bytes += static_cast<std::uint64_t>(status->st_size);
        return 0;
    };
    if (nftw(path.c_str(), add, 16, FTW_PHYS) != 0) return fail(errno_error(errno, "cannot walk " + path));
    return t_folder_bytes;
}

}    // namespace holdfast::bench
