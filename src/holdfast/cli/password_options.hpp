#pragma once
// Options that name a second password: that of another repository (--from-…), or a new one (--new-…).

#include "holdfast/base/secret.hpp"
#include "holdfast/cli/options.hpp"
#include "holdfast/cli/provisional_file.hpp"
#include "holdfast/cli/session.hpp"
#include "holdfast/vault/machine_key.hpp"

namespace holdfast::cli {

/// --new-password-file, --new-password-command, --new-password-keyring, --generate-key.
struct NewSecretArguments {
    SecretSource password;
    std::string generate_key;    // the file to be made
};
void declare_new_secret(Options& options, NewSecretArguments& to);

/// What opens a repository from now on, and what a guess at it has to cost.
struct NewSecret {
    Secret text;
    format::KdfCost cost{};    // a password's, unless we drew it ourselves
    std::string file;    // the machine key's; empty: a password that somebody gave
};
/// From the place that was named, else asked for twice on the terminal. A machine key is on disk when this returns, and
/// stays there: whoever fails after it says so with `key_stays`.
Result<NewSecret> new_secret(const NewSecretArguments& arguments);
Error key_stays(Error error, const NewSecret& secret);

/// Draws a machine key and writes it to `path` as one line: 0600 and durable before anything is wrapped under it.
struct GeneratedKey {
    vault::MachineKey key;
    ProvisionalFile file;
};
Result<GeneratedKey> generate_key(const std::string& path);

/// --from-repo, --from-password-file, --from-password-command, --from-password-keyring, --from-option,
/// --from-credentials-file, --from-cacert.
struct FromArguments {
    std::string repository;
    SecretSource password;
    std::vector<std::string> storage_options;    // over --option, which counts for both repositories
    std::string credentials_file, ca_file;
};
void declare_from(Options& options, FromArguments& to);
/// Options, then HOLDFAST_FROM_*, then RESTIC_FROM_*, then the terminal.
Result<std::unique_ptr<vault::Repository>> open_from_repository(const Session& session, const FromArguments& arguments);

}    // namespace holdfast::cli
