#pragma once
// The command line as a whole: arguments in, exit status out.

#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"

namespace holdfast::cli {

/// `arguments` without the program's name.
int run(std::vector<std::string> arguments, Clock& clock);

}    // namespace holdfast::cli
