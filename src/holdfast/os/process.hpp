#pragma once
// Child processes: started without a shell, with our own environment rules, killed with us (PR_SET_PDEATHSIG).
// Arguments never carry secrets: those go through `environment` or a 0600 file.

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::os {

enum class Stream { null, pipe, inherit };

struct Command {
    std::vector<std::string> arguments;    // [0] is the program, looked up in PATH when it has no slash
    std::vector<std::pair<std::string, std::string>> environment;    // added to ours
    std::vector<std::string> without_environment;    // removed from ours
    std::string folder;    // working directory; empty: ours
    std::string user;    // become this user (only root can); empty: stay
    Stream input = Stream::null;
    Stream output = Stream::pipe;
    Stream errors = Stream::pipe;    // pipe: drained by a thread, the last 8 KiB are kept for messages
    std::string output_file;    // instead of `output`: append to this file, errors too when `errors` is null
    bool die_with_parent = true;    // SIGKILL when the thread that started it ends
    bool new_session = false;    // setsid: own process group, so that the whole group can be killed
};

struct ExitStatus {
    int code = 0;    // when it exited
    int signal = 0;    // when it was killed
    bool ok() const { return code == 0 && signal == 0; }
    std::string text() const;    // "exit status 3", "killed by signal 9"
};

struct Finished;

class Process {
public:
    static Result<Process> start(const Command& command);
    Process(Process&&) noexcept;
    Process& operator=(Process&&) noexcept;
    ~Process();    // kills (SIGKILL) and reaps what still runs

    pid_t pid() const;
    int input() const;    // write end of its stdin, -1 without
    int output() const;    // read end of its stdout, -1 without
    void close_input();
    /// Waits; call once the output has been read. Errors only for timeouts (code unreachable).
    Result<ExitStatus> wait(std::optional<Duration> timeout = std::nullopt);
    void kill(int signal);    // from any thread; nothing happens once it has ended
    /// The last 8 KiB of its stderr, trimmed; complete after wait().
    std::string errors() const;

private:
    friend Result<Finished> run(Command, std::string_view, std::optional<Duration>, std::size_t);
    struct State;
    explicit Process(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

struct Finished {
    ExitStatus status;
    std::string output, errors;
};
/// Runs to the end, feeding `input` and collecting at most `output_max` bytes of output.
Result<Finished> run(Command command, std::string_view input = {}, std::optional<Duration> timeout = std::nullopt,
                     std::size_t output_max = std::size_t(64) << 20);

/// The full path of a program in PATH or in `also`; empty when there is none.
std::string find_program(std::string_view name, const std::vector<std::string>& also = {});
/// This program's own path.
std::string own_program();

}    // namespace holdfast::os
