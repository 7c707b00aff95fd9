#pragma once
// What the object stores of the tests share: a folder, programs that run in the foreground and die with the test, and
// waiting until they answer.

#include <string>
#include <vector>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

/// Some servers with one temporary folder. Killed in the destructor, last one first.
class ServerSet {
public:
    static Result<ServerSet> create(std::string_view name);
    ServerSet(ServerSet&&) noexcept = default;
    ServerSet& operator=(ServerSet&&) = delete;
    ~ServerSet();

    const std::string& folder() const { return folder_.path(); }
    /// Runs to the end; store, with what it printed, when it fails or takes over two minutes.
    Result<std::string> run(std::vector<std::string> arguments) const;
    /// Starts a program that stays in the foreground; its output goes to <folder>/<name>.log.
    Status start(const std::string& name, std::vector<std::string> arguments,
                 std::vector<std::pair<std::string, std::string>> environment = {});
    /// Until `url` gives an HTTP answer below 500 (three minutes at most), or the program started last has ended.
    Status wait_for_answer(const std::string& url) const;
    /// kill -9 of all (of one), gone when it returns.
    void kill();
    void kill(const std::string& name);
    std::string log_tail() const;

private:
    explicit ServerSet(os::TempFolder folder) : folder_(std::move(folder)) {}
    os::TempFolder folder_;
    struct Running {
        std::string name;
        os::Process process;
    };
    std::vector<Running> running_;
};

}    // namespace holdfast::testing
