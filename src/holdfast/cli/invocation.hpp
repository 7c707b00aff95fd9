#pragma once
// What the command line says, as plain values. Only arguments.cpp knows the parser.
//
//   errors   usage, with the nearest known command or option in the message

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::cli {

/// Options that every command takes. Empty: ask the environment, then the configuration.
struct GlobalOptions {
    std::string repository, password_file, password_command, config;
    bool json = false;
    bool quiet = false;
    int verbose = 0;
};

struct InitArguments {
    std::string stack;
    std::vector<std::string> search;    // further folders in which DuckDB files are looked for
    bool generate_password = false;
    bool no_detect = false;
};

struct BackupArguments {
    std::vector<std::string> paths;    // not empty: plain paths, no configuration
    std::vector<std::string> only, without, tags, exclude;
    std::string host, parent;
    bool one_file_system = false, force = false;
};

/// Which snapshots "latest" or a listing is about.
struct FilterArguments {
    std::string host;
    std::vector<std::string> tags, paths;
};

struct SnapshotsArguments {
    FilterArguments filter;
    std::uint32_t latest = 0;    // 0: all
};

struct LsArguments {
    std::string snapshot, path = "/";
    FilterArguments filter;
    bool long_form = false;
};

struct RestoreArguments {
    std::string snapshot, target;
    std::vector<std::string> only, include;
    FilterArguments filter;
    bool dry_run = false, yes = false, replace = false, overwrite = false;
};

struct CheckArguments {
    bool read_data = false;
};

struct Invocation {
    enum class Command { print, init, backup, snapshots, ls, restore, check, internal };
    Command command = Command::print;
    std::string text;    // print: help, version, completion
    GlobalOptions global;
    InitArguments init;
    BackupArguments backup;
    SnapshotsArguments snapshots;
    LsArguments ls;
    RestoreArguments restore;
    CheckArguments check;
    std::vector<std::string> internal;
};

/// `arguments` without the program's name. `json` tells whether --json was among them, also when parsing fails.
Result<Invocation> parse_arguments(std::vector<std::string> arguments, bool& json);

}    // namespace holdfast::cli
