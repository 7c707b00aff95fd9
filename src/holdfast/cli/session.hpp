#pragma once
// From options, environment and configuration to an open repository.
//
//   order     what the command line says, then HOLDFAST_*, then holdfast.toml, then RESTIC_*, then the terminal
//   errors    usage (no repository, no password), config, and those of the repository

#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/cli/options.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::cli {

struct LoadedConfig {
    policy::Config config;
    std::string file;
};

/// What all commands share.
struct Session {
    const GlobalOptions& global;
    Clock& clock;

    bool people() const { return !global.json && !global.quiet; }    // notes and progress are wanted
};

/// Where the configuration lies: --config, HOLDFAST_CONFIG, or the first of the usual places that is there.
std::optional<std::string> find_config(const GlobalOptions& global);
/// not_found as a usage error that says where was looked.
Result<LoadedConfig> load_config(const GlobalOptions& global);
/// The configuration if one was named, or if the repository is not named otherwise and a file is there.
Result<std::optional<LoadedConfig>> load_config_if_needed(const GlobalOptions& global);

/// Empty when nothing names one.
std::string repository_location(const GlobalOptions& global, const policy::Config* config);
enum class Ask { once, twice };    // twice: a new password
Result<Secret> repository_password(const GlobalOptions& global, const policy::Config* config, Ask ask);
/// From the one place that `source` names.
Result<Secret> read_password(const SecretSource& source);
/// Without echo, from /dev/tty. usage when there is no terminal.
Result<Secret> ask_password(Ask ask);

/// What the command line, over [repository], says about how a storage is used.
Result<storage::BackendOptions> storage_options_of(const Session& session, const policy::Config* config);
/// The storage at `location`, with the options of the command line over those of [repository]; limits and new attempts
/// behind a network included.
Result<std::unique_ptr<storage::Backend>> open_storage(const Session& session, const std::string& location,
                                                       const policy::Config* config);
Result<std::unique_ptr<vault::Repository>> open_repository(const Session& session, const policy::Config* config);
/// For commands that need the configuration only to find the repository.
Result<std::unique_ptr<vault::Repository>> open_repository(const Session& session);

/// The shared lock of a command that only reads; none with --no-lock.
Result<std::unique_ptr<vault::RepositoryLock>> lock_for_reading(vault::Repository& repository, bool no_lock);

vault::SnapshotFilter snapshot_filter(const FilterArguments& arguments);

}    // namespace holdfast::cli
