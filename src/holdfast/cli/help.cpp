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
  repository   --repo, HOLDFAST_REPOSITORY (or HOLDFAST_REPO), [repository] of holdfast.toml, RESTIC_REPOSITORY
  password     --password-file, --password-command, HOLDFAST_PASSWORD_FILE, HOLDFAST_PASSWORD_COMMAND,
               HOLDFAST_PASSWORD, [repository] of holdfast.toml, RESTIC_PASSWORD_FILE, RESTIC_PASSWORD_COMMAND,
               RESTIC_PASSWORD, else it is asked for on the terminal
  holdfast.toml   --config, HOLDFAST_CONFIG, ./holdfast.toml, ~/.config/holdfast/holdfast.toml,
                  /etc/holdfast/holdfast.toml
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

std::string_view footer_of(std::string_view command) {
    if (command == "init")
        return R"(Examples
  holdfast init                                    ./holdfast.toml, ./holdfast.password and a vault, all made for you
  holdfast init --config /etc/holdfast/holdfast.toml --repo /srv/vault
  holdfast init --repo /srv/vault                  only the repository; the password is asked for twice
  holdfast init --repo /srv/vault --password-file /root/pw --generate-password

Nothing that exists is overwritten. If holdfast.toml is already there, the repository that it names is made.
Keep a copy of the password away from this machine: without it nobody can read the vault.
)";
    if (command == "backup")
        return R"(Examples
  holdfast backup                                  everything in holdfast.toml
  holdfast backup --only redis --tag before-deploy
  holdfast backup --without clickhouse --without logs
  holdfast backup /etc /home --exclude '*.tmp'     plain paths, as restic does

Exit code 3: a component failed or a file could not be read. What succeeded is saved; the snapshot is tagged
"incomplete", and its manifest.json says which part failed and why.
)";
    if (command == "snapshots")
        return R"(Examples
  holdfast snapshots
  holdfast snapshots --tag before-deploy --latest 3
  holdfast snapshots --json | jq '.snapshots[-1].id'
)";
    if (command == "ls")
        return R"(Examples
  holdfast ls latest
  holdfast ls -l 1a2b3c4d /postgres
)";
    if (command == "restore")
        return R"(Examples
  holdfast restore latest --dry-run                what would be done, and what would be replaced
  holdfast restore latest                          into the stores that holdfast.toml names; asks first
  holdfast restore latest --only redis --yes       no question (needed where there is no terminal)
  holdfast restore latest --yes --replace          live stores are put aside and replaced; the old ones are kept
  holdfast restore 1a2b3c4d --target /tmp/back     as plain files: dumps, RDB, DuckDB files, configuration
  holdfast restore latest --target /tmp/back --include /etc/nginx
)";
    if (command == "check")
        return R"(Examples
  holdfast check                                   structure: every snapshot, tree and pack is there and fits
  holdfast check --read-data                       and every byte is read, decrypted and hashed
)";
    if (command == "completion")
        return R"(Examples
  source <(holdfast completion bash)
  holdfast completion zsh > "${fpath[1]}/_holdfast"
  holdfast completion fish > ~/.config/fish/completions/holdfast.fish
)";
    return {};
}

}    // namespace holdfast::cli
