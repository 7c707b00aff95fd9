#pragma once
// kill -9, everywhere: the real program is killed at every named crash point and at random moments of every command that
// writes. After each kill the repository checks, what was promised is there and restores equal, and the same command
// goes through at once, without an unlock.
//
//   replay   every failure prints the command line with its crash point ("HOLDFAST_CRASH_POINT=*:17"), or the seed
//   longer   HF_CRASH_ROUNDS multiplies the random kills, HF_CRASH_SEED changes their moments (docs/testing.md)
//   places   what was reached is kept; at the end every crash_point in the sources must have been, or be excused

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::crash {

/// One command under fire.
struct Target {
    std::string name;
    std::vector<std::string> arguments;
    std::string input;    // what it reads on its standard input
    /// Runs after the kill; empty: `arguments` again.
    std::vector<std::string> again = {};
    /// Before every run, after the repository is as it was in the template.
    std::function<void()> prepare = {};
    /// After every kill, before anything else runs.
    std::function<void()> after_kill = {};
    /// After every successful run, killed before or not.
    std::function<void()> expect_done = {};
    /// Snapshots that the command may take away: all others stay, by ID.
    std::set<Id> may_go = {};
    /// Trees of which at least one snapshot must be there at any time, whatever its ID (tag and rewrite make new files).
    std::set<Id> trees_that_stay = {};
    std::vector<std::pair<std::string, std::string>> environment = {};
    int random_kills = 12, points_max = 400;
    /// Every so many-th point only: one in a row of equal ones. HF_CRASH_ROUNDS visits them all.
    int points_step = 1;
    std::set<int> good_exits = {0};    // 3: it succeeded and has losses to tell
    /// init: there may be no repository after the kill, and then `arguments` make it; else `again` is run.
    bool makes_the_repository = false;
    std::string password_file = {};    // that the command makes itself; nothing is then set in the environment
    /// The command mends what `prepare` damaged: only after the next run the repository has to be whole.
    bool mends = false;
};

class Campaign : public ::testing::Test {
protected:
    Campaign();
    static constexpr const char* k_password = "correct horse battery staple";

    std::string at(std::string_view name) const { return folder_.path() + '/' + std::string(name); }
    std::string repo() const { return at("repo"); }
    void write(const std::string& path, std::string_view content);
    static std::string noise(std::size_t size, std::uint64_t seed);

    /// Four snapshots of a small changing folder, with a cheap key: the start of every run. Kept in `snapshots_`.
    void make_template();
    /// The repository is as in the template again.
    void reset();
    /// What is in the repository now becomes the template.
    void keep_as_template();

    struct Run {
        int exit = -1;    // -signal
        std::string output, errors;
        double seconds = 0;
    };
    /// The program; killed after `kill_after` when that is not negative.
    Run run(const std::vector<std::string>& arguments, const Target& target, const std::string& crash_point = {},
            double kill_after = -1, const std::string& output = "output");
    Run run(const std::vector<std::string>& arguments) { return run(arguments, Target{}); }

    /// check --read-data passes and there are so many snapshots.
    void expect_snapshots_and_check(std::size_t count);
    /// The whole campaign against one command.
    void fire(const Target& target);

    Result<std::unique_ptr<vault::Repository>> open(const Target& target = {});
    /// Names, types, modes, owners, times, links and content of everything below, as text.
    static std::string listing(const std::string& folder);

    std::string source() const { return at("source"); }
    std::vector<vault::SnapshotEntry> snapshots_;    // of the template, oldest first

    os::SystemClock clock_;
    os::TempFolder folder_ = os::TempFolder::create("hf-crash", "/dev/shm").value();

private:
    void expect_whole(const Target& target, const std::string& when);
    void expect_next_run(const Target& target, const std::string& when);
    void restore_and_compare(vault::Repository& repository, const std::string& when);

    std::map<Id, std::string> listings_;    // by tree: what its restore gave before any kill
    unsigned round_ = 0;
};

/// Counts of the whole program, checked and printed at its end.
struct Totals {
    int at_points = 0, at_random = 0, missed = 0;
    std::set<std::string> points;
};
Totals& totals();

}    // namespace holdfast::crash
