#pragma once
// One command of the program: its options, its help, its work. A file a command; the list of all is in commands.cpp.

#include <string_view>

#include "holdfast/base/result.hpp"
#include "holdfast/cli/options.hpp"
#include "holdfast/cli/session.hpp"

namespace holdfast::cli {

class Command {
public:
    virtual ~Command() = default;
    /// "backup"; two words for a command of a group: "key add".
    virtual std::string_view name() const = 0;
    /// One line, without a capital and a full stop.
    virtual std::string_view help() const = 0;
    /// What stands below the options in the help: "Examples" and what one should know.
    virtual std::string_view examples() const = 0;
    virtual void declare(Options& options) = 0;
    /// Prints its result and returns the exit status. Errors are printed by the caller, as text or JSON.
    virtual Result<int> run(const Session& session) = 0;
};

}    // namespace holdfast::cli
