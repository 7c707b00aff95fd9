#pragma once
// One command, measured as the kernel saw it.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::bench {

struct Invocation {
    std::vector<std::string> arguments;
    std::vector<std::pair<std::string, std::string>> environment;
    std::string folder;    // working directory
    std::string sync_path;    // the file system that holds it is synced inside the measured time; empty: no sync
};

struct Sample {
    double wall_s = 0;
    double user_s = 0, system_s = 0;    // of the command and all its children
    double foreign_s = 0;    // CPU that everything else on the machine took meanwhile
    std::uint64_t rss_max_bytes = 0;    // of its largest process
    double cpu_s() const { return user_s + system_s; }
};

/// Runs to the end. A command that fails is an error with the tail of what it said.
Result<Sample> measure(const Invocation& invocation);

/// Bytes in all files below `path`.
Result<std::uint64_t> folder_bytes(const std::string& path);

}    // namespace holdfast::bench
