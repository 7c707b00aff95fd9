#pragma once
// Completion scripts for shells, made from the tree of commands, so that they cannot fall behind it.

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::cli {

struct OptionShape {
    std::string name;    // "--repo" or "-q"
    std::string help;
    bool takes_value = false;
};
struct CommandShape {
    std::string name, help;
    std::vector<OptionShape> options;
    std::vector<std::string> words;    // fixed arguments: "bash", "latest"
};

/// `shell` is bash, zsh or fish; anything else: usage.
Result<std::string> completion_script(std::string_view shell, const std::vector<CommandShape>& commands);

}    // namespace holdfast::cli
