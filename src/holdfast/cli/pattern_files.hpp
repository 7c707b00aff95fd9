#pragma once
// Files of patterns (--include-file and its kin): one a line, without the blanks around it; empty lines and lines that
// begin with '#' say nothing.

#include <string>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::cli {

/// Appends the patterns of all `files`.
Status read_pattern_files(const std::vector<std::string>& files, std::vector<std::string>& to);

}    // namespace holdfast::cli
