#pragma once
// A file of NAME=value lines: the keys of a storage that are not those of the environment. Pure.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::storage {

/// In the file's order; empty lines and lines that begin with # are skipped. config, naming `file` and line and not
/// what it holds, for anything else.
Result<std::vector<std::pair<std::string, std::string>>> parse_credentials(std::string_view text,
                                                                           std::string_view file);

}    // namespace holdfast::storage
