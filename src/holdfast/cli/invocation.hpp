#pragma once
// What the command line says. Only arguments.cpp knows the parser.
//
//   errors   usage, with the nearest known command or option in the message

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/cli/command.hpp"

namespace holdfast::cli {

struct Invocation {
    std::unique_ptr<Command> command;    // with its options filled in; null: print `text`, or `internal`
    std::string text;    // help, version, completion
    std::optional<std::vector<std::string>> internal;    // words for holdfast itself
    GlobalOptions global;
};

/// `arguments` without the program's name. `json` tells whether --json was among them, also when parsing fails.
Result<Invocation> parse_arguments(std::vector<std::string> arguments, std::vector<std::unique_ptr<Command>> commands,
                                   bool& json);
/// Of this program's commands. Only those that the words can mean are made, where that is enough: making all of them costs
/// a command 2 MiB and 5 ms.
Result<Invocation> parse_arguments(std::vector<std::string> arguments, bool& json);

}    // namespace holdfast::cli
