#pragma once
// What all stories share: a scratch place with a repository and a password, and the real program, run as a user would.
// The environment holds nothing of ours but what a story sets.

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::scenario {

struct Answer {
    int exit = -1;    // -signal when it was killed
    std::string output, errors;

    json::Value json() const;    // of the output; a failure of the test when it is none
};

using Environment = std::vector<std::pair<std::string, std::string>>;

class Scenario : public ::testing::Test {
protected:
    Scenario();

    /// "<scratch>/name".
    std::string at(std::string_view name) const { return scratch_.path() + "/" + std::string(name); }
    std::string repository() const { return at("repository"); }
    const std::string& password() const { return password_; }
    std::string password_file() const { return at("password"); }

    /// The program with HOLDFAST_REPOSITORY and HOLDFAST_PASSWORD_FILE set to this story's.
    Answer holdfast(std::vector<std::string> arguments, const Environment& environment = {}) const;
    /// Nothing is set but PATH and HOME (a folder of this story's).
    Answer holdfast_bare(std::vector<std::string> arguments, const Environment& environment = {},
                         const std::string& user = {}) const;
    os::Command command(std::vector<std::string> arguments, const Environment& environment = {}) const;
    /// Another program (restic, tar …) with the repository in its environment.
    Answer run(std::vector<std::string> arguments, const Environment& environment = {}) const;
    /// On a terminal of its own, with `input` typed in; output and errors come mixed, as a person sees them.
    Answer on_terminal(std::vector<std::string> arguments, std::string_view input,
                       const Environment& environment = {}) const;

    /// `holdfast serve` of the folder at(name); it listens when this returns.
    struct Serving {
        os::Process process;
        std::string url;    // "http://127.0.0.1:port/"
    };
    Serving serve(const std::string& name, const std::vector<std::string>& options) const;

    void make_repository() const;
    /// With a key that costs next to nothing: for stories that open the repository many times.
    void make_cheap_repository() const;
    void write(const std::string& path, std::string_view content, mode_t mode = 0644) const;
    /// Some files, two folders deep, with a link: about `megabytes` in all, not compressible.
    void make_files(const std::string& folder, unsigned megabytes = 1, unsigned seed = 1) const;
    /// Equal content, modes, links, times: by rsync-like comparison of everything below both.
    static void expect_equal_trees(const std::string& left, const std::string& right);

    /// The largest file below a folder of the repository: "data", "index", "snapshots".
    std::string largest_in(const std::string& folder) const;

private:
    os::TempFolder scratch_;
    std::string password_ = "correct horse battery staple";
};

}    // namespace holdfast::scenario
