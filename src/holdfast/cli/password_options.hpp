#pragma once
// Options that name a second password: that of another repository (--from-…), or a new one (--new-…).

#include "holdfast/base/secret.hpp"
#include "holdfast/cli/options.hpp"
#include "holdfast/cli/session.hpp"

namespace holdfast::cli {

/// --new-password-file, --new-password-command, --new-password-keyring.
void declare_new_password(Options& options, SecretSource& to);
/// From the place that was named, else asked for twice on the terminal.
Result<Secret> new_password(const SecretSource& source);

/// --from-repo, --from-password-file, --from-password-command, --from-password-keyring.
struct FromArguments {
    std::string repository;
    SecretSource password;
};
void declare_from(Options& options, FromArguments& to);
/// Options, then HOLDFAST_FROM_*, then RESTIC_FROM_*, then the terminal.
Result<std::unique_ptr<vault::Repository>> open_from_repository(const Session& session, const FromArguments& arguments);

}    // namespace holdfast::cli
