#pragma once
// The rounds: every tool does a phase before any does the next, so that a loud neighbour disturbs all of them.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"
#include "limits.hpp"
#include "measure.hpp"
#include "tools.hpp"

namespace holdfast::bench {

/// In the order in which a round goes through them. "key": a command that does hardly anything but derive the key.
/// "small": an unchanged backup of very many small files. "random": a cold backup of what does not compress.
/// "prune": after half of 50 snapshots were forgotten. "kinds": the size of a repository of each kind of data alone, after
/// a cold backup and after one more of what has changed. "memory": holdfast's peaks on this and on much more data.
inline const std::vector<std::string> k_phases{"cold",  "key",   "unchanged", "changed", "restore", "one-file",
                                               "check", "small", "random",    "prune",   "kinds",   "memory"};

struct Plan {
    std::uint64_t megabytes = 1500;
    unsigned rounds = 3;
    std::uint64_t seed = 42;
    double change_percent = 1;
    std::uint64_t small_files = 200'000;
    std::uint64_t memory_megabytes = 6000;    // of the larger of two in "memory"
    std::vector<std::string> phases = k_phases;
    bool has(const std::string& phase) const;
};

struct Round {
    std::map<std::string, Sample> samples;    // by phase
    std::uint64_t cold_bytes = 0;    // of the repository after the cold backup
    std::uint64_t change_bytes = 0;    // what the changed backup added
    std::uint64_t pruned_bytes = 0;    // what prune left
};

struct KindSizes {
    std::uint64_t cold_bytes = 0, changed_bytes = 0;    // of the repository
};

struct Results {
    KeyKind key = KeyKind::password;
    std::map<std::string, std::string> key_costs;    // by tool: what its key file says
    std::uint64_t source_bytes = 0;    // at the first cold backup
    std::map<std::string, std::map<std::string, KindSizes>> kinds;    // by kind of data, by tool
    std::map<std::uint64_t, std::map<std::string, Sample>> memory;    // by megabytes, by phase
    std::uint64_t random_bytes = 0;
    std::vector<Limits> limits;    // one a round of "random"
    std::map<std::string, std::vector<Round>> rounds;    // by tool
};

/// Each restored copy is compared with the source by `diff -r`; a difference is an error (mismatch).
Result<Results> run_rounds(const Plan& plan, const Places& places, const std::vector<Tool>& tools);

}    // namespace holdfast::bench
