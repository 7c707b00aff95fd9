#include "holdfast/cli/help.hpp"

namespace holdfast::cli {

std::string_view general_footer() {
    return R"(First steps
  holdfast init                        look what runs here, write holdfast.toml, make the vault
  holdfast backup                      back up everything that holdfast.toml names, as one snapshot
  holdfast restore latest --dry-run    see what a restore would do
  holdfast restore latest              do it (asks first)
  holdfast check --read-data           is every byte of the vault still good?

Without a configuration
  holdfast init --repo /srv/vault --password-file ~/.vault-password
  holdfast backup --repo /srv/vault --password-file ~/.vault-password /etc /home
  holdfast restore latest --target /tmp/back --repo /srv/vault --password-file ~/.vault-password

Where the repository and its password come from (the first that is set)
  repository   --repo, HOLDFAST_REPOSITORY (or HOLDFAST_REPO), [repository] of holdfast.toml, RESTIC_REPOSITORY,
               BACKUP_ROOT (its folder "vault")
  password     --password-file, --password-command, HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND,
               HOLDFAST_PASSWORD_KEYRING (--password-keyring), HOLDFAST_PASSWORD_CREDENTIAL (--password-credential),
               HOLDFAST_PASSWORD, [repository] of holdfast.toml, RESTIC_PASSWORD_FILE, RESTIC_PASSWORD_COMMAND,
               RESTIC_PASSWORD, else it is asked for on the terminal
  holdfast.toml   --config, HOLDFAST_CONFIG, ./holdfast.toml, ~/.config/holdfast/holdfast.toml,
                  /etc/holdfast/holdfast.toml
  BACKUP_*, RESTORE_*, RETENTION_*, DRY_RUN: `holdfast help environment`
  NO_COLOR     set: no colours. TMPDIR: where verification copies go, unless scratch_folder says otherwise

Exit codes
    0  done                                  10  there is no repository at that place
    1  failed                                11  the repository is locked by another process
    2  the command line or holdfast.toml     12  wrong password
       is wrong                             130  stopped by a signal or by the user
    3  incomplete: part of the work failed,
       the rest is saved and marked

The vault is a restic repository (format 2): `restic -r REPO restore latest --target DIR` gets everything back without
holdfast, too.
)";
}

std::string_view completion_footer() {
    return R"(Examples
  source <(holdfast completion bash)
  holdfast completion zsh > "${fpath[1]}/_holdfast"
  holdfast completion fish > ~/.config/fish/completions/holdfast.fish
)";
}

}    // namespace holdfast::cli
