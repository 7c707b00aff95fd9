#include "holdfast/os/process.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::os {
namespace {

constexpr std::size_t k_errors_kept = 8192;

struct Pipe {
    Fd read, write;
};

Result<Pipe> make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return fail(errno_error(errno, "cannot make a pipe"));
    return Pipe{Fd(fds[0]), Fd(fds[1])};
}

std::vector<std::string> merged_environment(const Command& command) {
    const auto name_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    std::vector<std::string> merged;
    for (char** entry = environ; *entry; ++entry) {
        const std::string_view name = name_of(*entry);
        const bool replaced = std::ranges::any_of(command.environment, [&](const auto& e) { return e.first == name; });
        const bool removed = std::ranges::any_of(command.without_environment, [&](const auto& e) { return e == name; });
        if (!replaced && !removed) merged.emplace_back(*entry);
    }
    for (const auto& [name, value] : command.environment) merged.push_back(fmt::format("{}={}", name, value));
    return merged;
}

// Everything that the child needs between fork and exec, made before the fork: a threaded program may only make
// system calls there.
struct Prepared {
    std::string program;
    std::vector<std::string> arguments, environment;
    std::vector<char*> argv, envp;
    std::string folder;
    int input = -1, output = -1, errors = -1;
    bool has_user = false, die_with_parent = false, new_session = false;
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
    pid_t parent = 0;
};

// Hands on what comes through `output` until its end, or until the process has ended and nothing more is waiting: a
// daemon that the child left behind may hold the pipe open for ever. `take` returns false to stop.
template <class Take>
void drain(int output, int pidfd, Take take) {
    Bytes buffer(1 << 16);
    pollfd entries[2] = {{output, POLLIN, 0}, {pidfd, POLLIN, 0}};
    for (;;) {
        if (::poll(entries, 2, -1) < 0 && errno != EINTR) return;
        if (entries[0].revents != 0) {
            const auto n = read_some(output, buffer);
            if (!n || *n == 0 || !take(ByteView(buffer).first(*n))) return;
        } else if (entries[1].revents != 0) {
            return;
        }
    }
}

struct ChildFailure {
    int step = 0, number = 0;
};
constexpr std::string_view k_steps[] = {"", "cannot start", "cannot become the user for",
                                        "cannot enter the folder for"};

[[noreturn]] void child(const Prepared& prepared, int report) {
    const auto give_up = [&](int step) {
        const ChildFailure failure{step, errno};
        static_cast<void>(!::write(report, &failure, sizeof failure));
        ::_exit(127);
    };
    if (prepared.new_session) ::setsid();
    if (::dup2(prepared.input, 0) < 0 || ::dup2(prepared.output, 1) < 0 || ::dup2(prepared.errors, 2) < 0) give_up(1);
    if (prepared.has_user) {
        if (::setgroups(prepared.groups.size(), prepared.groups.data()) != 0 || ::setgid(prepared.gid) != 0 ||
            ::setuid(prepared.uid) != 0)
            give_up(2);
    }
    if (!prepared.folder.empty() && ::chdir(prepared.folder.c_str()) != 0) give_up(3);
    // After setuid, which clears it.
    if (prepared.die_with_parent) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != prepared.parent) ::_exit(127);
    }
    // What we ignore, a child must not inherit as ignored.
    for (const int signal : {SIGPIPE, SIGHUP, SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(prepared.program.c_str(), prepared.argv.data(), prepared.envp.data());
    give_up(1);
    ::_exit(127);
}

}    // namespace

std::string ExitStatus::text() const {
    return signal != 0 ? fmt::format("killed by signal {}", signal) : fmt::format("exit status {}", code);
}

struct Process::State {
    pid_t pid = -1;
    Fd pidfd, input, output;
    std::optional<ExitStatus> ended;
    std::thread errors_reader;
    mutable std::mutex mutex;
    std::string errors;

    ~State() {
        if (!ended && pid > 0) {
            ::kill(pid, SIGKILL);
            int status;
            while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
            }
        }
        if (errors_reader.joinable()) errors_reader.join();
    }
};

Process::Process(std::unique_ptr<State> state) : state_(std::move(state)) {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

pid_t Process::pid() const { return state_->pid; }
int Process::input() const { return state_->input.get(); }
int Process::output() const { return state_->output.get(); }
void Process::close_input() { state_->input.reset(); }
// Through the pidfd, so that another thread may do it while this one waits: a process that was reaped meanwhile, or a new
// one with its number, is never hit.
void Process::kill(int signal) { ::syscall(SYS_pidfd_send_signal, state_->pidfd.get(), signal, nullptr, 0); }

Result<Process> Process::start(const Command& command) {
    HF_ASSERT(!command.arguments.empty());
    const std::string& name = command.arguments[0];
    Prepared prepared;
    prepared.program = name.find('/') != std::string::npos ? name : find_program(name);
    if (prepared.program.empty())
        return fail(ErrorCode::not_found, fmt::format("cannot find the program {}", name),
                    "install it, or add it to PATH");
    prepared.arguments = command.arguments;
    prepared.environment = merged_environment(command);
    for (std::string& argument : prepared.arguments) prepared.argv.push_back(argument.data());
    for (std::string& entry : prepared.environment) prepared.envp.push_back(entry.data());
    prepared.argv.push_back(nullptr);
    prepared.envp.push_back(nullptr);
    prepared.folder = command.folder;
    prepared.die_with_parent = command.die_with_parent;
    prepared.new_session = command.new_session;
    prepared.parent = ::getpid();
    if (!command.user.empty()) {
        passwd entry, *found = nullptr;
        char buffer[16384];
        ::getpwnam_r(command.user.c_str(), &entry, buffer, sizeof buffer, &found);
        if (!found) return fail(ErrorCode::not_found, fmt::format("there is no user {}", command.user));
        if (found->pw_uid != ::geteuid()) {
            prepared.has_user = true;
            prepared.uid = found->pw_uid;
            prepared.gid = found->pw_gid;
            int count = 64;
            prepared.groups.resize(64);
            if (::getgrouplist(command.user.c_str(), found->pw_gid, prepared.groups.data(), &count) < 0) count = 0;
            prepared.groups.resize(static_cast<std::size_t>(count));
        }
    }

    auto state = std::make_unique<State>();
    Pipe input, output, errors;
    HF_TRY(Fd null, open_file("/dev/null", O_RDWR));
    Fd file;
    if (!command.output_file.empty()) {
        HF_TRY(file, open_file(command.output_file, O_WRONLY | O_CREAT | O_APPEND, 0600));
    }
    prepared.input = null.get();
    if (command.input == Stream::pipe) {
        HF_TRY(input, make_pipe());
        prepared.input = input.read.get();
    } else if (command.input == Stream::inherit) {
        prepared.input = 0;
    }
    prepared.output = null.get();
    if (file) {
        prepared.output = file.get();
    } else if (command.output == Stream::pipe) {
        HF_TRY(output, make_pipe());
        prepared.output = output.write.get();
        // 1 MiB: fewer switches between a dump and its reader. Refused beyond the user's limit; then it stays 64 KiB.
        ::fcntl(output.read.get(), F_SETPIPE_SZ, 1 << 20);
    } else if (command.output == Stream::inherit) {
        prepared.output = 1;
    }
    prepared.errors = file ? file.get() : null.get();
    if (command.errors == Stream::pipe) {
        HF_TRY(errors, make_pipe());
        prepared.errors = errors.write.get();
    } else if (command.errors == Stream::inherit) {
        prepared.errors = 2;
    }

    HF_TRY(Pipe report, make_pipe());
    const pid_t pid = ::fork();
    if (pid < 0) return fail(errno_error(errno, fmt::format("cannot start {}", name)));
    if (pid == 0) child(prepared, report.write.get());
    state->pid = pid;
    report.write.reset();
    ChildFailure failure;
    const auto reported = read_full(report.read.get(), std::as_writable_bytes(std::span(&failure, 1)));
    if (reported && *reported == sizeof failure)    // ~State reaps it
        return fail(errno_error(failure.number, fmt::format("{} {}", k_steps[failure.step], name)));

    state->pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!state->pidfd) return fail(errno_error(errno, fmt::format("cannot watch over {}", name)));
    state->input = std::move(input.write);
    state->output = std::move(output.read);
    if (errors.read) {
        errors.write.reset();
        state->errors_reader = std::thread([state = state.get(), fd = std::move(errors.read)] {
            drain(fd.get(), state->pidfd.get(), [&](ByteView bytes) {
                const std::scoped_lock lock(state->mutex);
                state->errors += as_text(bytes);
                if (state->errors.size() > 2 * k_errors_kept)
                    state->errors.erase(0, state->errors.size() - k_errors_kept);
                return true;
            });
        });
    }
    return Process(std::move(state));
}

Result<ExitStatus> Process::wait(std::optional<Duration> timeout) {
    if (state_->ended) return *state_->ended;
    if (timeout) {
        pollfd entry{state_->pidfd.get(), POLLIN, 0};
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(*timeout).count();
        int n;
        do n = ::poll(&entry, 1, static_cast<int>(ms));
        while (n < 0 && errno == EINTR);
        if (n == 0)
            return fail(ErrorCode::unreachable,
                        fmt::format("process {} did not end within {:.0f} s", state_->pid, seconds(*timeout)));
    }
    int status = 0;
    while (::waitpid(state_->pid, &status, 0) < 0)
        if (errno != EINTR) return fail(errno_error(errno, "cannot wait for a process"));
    ExitStatus ended;
    if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) ended.signal = WTERMSIG(status);
    state_->ended = ended;
    if (state_->errors_reader.joinable()) state_->errors_reader.join();
    return ended;
}

std::string Process::errors() const {
    const std::scoped_lock lock(state_->mutex);
    std::string text = state_->errors;
    if (text.size() > k_errors_kept) text.erase(0, text.size() - k_errors_kept);
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    return text;
}

Result<Finished> run(Command command, std::string_view input, std::optional<Duration> timeout, std::size_t output_max) {
    if (!input.empty()) command.input = Stream::pipe;
    HF_TRY(Process process, Process::start(command));
    std::thread feeder;
    if (!input.empty())
        feeder = std::thread([&] {
            // EPIPE: the child did not want it all; its exit status tells.
            static_cast<void>(write_all(process.input(), as_bytes(input)).has_value());
            process.close_input();
        });
    // The time limit must hold while the output is read, too: a watcher kills the child, which ends the output.
    std::thread watcher;
    Pipe done;
    bool timed_out = false;
    if (timeout) {
        HF_TRY(done, make_pipe());
        watcher =
            std::thread([&, ms = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(*timeout).count())] {
                pollfd entry{done.read.get(), POLLIN, 0};
                if (::poll(&entry, 1, ms) == 0) {
                    timed_out = true;
                    process.kill(SIGKILL);
                }
            });
    }
    Finished finished;
    bool too_much = false;
    if (process.output() >= 0) {
        drain(process.output(), process.state_->pidfd.get(), [&](ByteView bytes) {
            too_much = finished.output.size() + bytes.size() > output_max;
            if (too_much)
                process.kill(SIGKILL);
            else
                finished.output += as_text(bytes);
            return !too_much;
        });
    }
    auto status = process.wait();
    done.write.reset();
    if (watcher.joinable()) watcher.join();
    if (feeder.joinable()) feeder.join();
    const std::string& name = command.arguments[0];
    if (timed_out)
        return fail(ErrorCode::unreachable, fmt::format("{} did not end within {:.0f} s", name, seconds(*timeout)));
    if (too_much) return fail(ErrorCode::corrupt, fmt::format("{} wrote more than {}", name, human_size(output_max)));
    HF_TRY(finished.status, std::move(status));
    finished.errors = process.errors();
    return finished;
}

std::string find_program(std::string_view name, const std::vector<std::string>& also) {
    std::vector<std::string> folders = also;
    const std::string path =
        environment("PATH").value_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        folders.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    for (const std::string& folder : folders) {
        const std::string full = fmt::format("{}/{}", folder.empty() ? "." : folder, name);
        if (::access(full.c_str(), X_OK) == 0) return full;
    }
    return {};
}

std::string own_program() {
    char path[4096];
    const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
    return n > 0 ? std::string(path, static_cast<std::size_t>(n)) : "";
}

}    // namespace holdfast::os
