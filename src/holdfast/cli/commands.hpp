#pragma once
// All commands, in the order in which the help lists them.

#include <memory>
#include <string>
#include <vector>

#include "holdfast/cli/command.hpp"

namespace holdfast::cli {

std::unique_ptr<Command> init_command();
std::unique_ptr<Command> backup_command();
std::unique_ptr<Command> watch_command();
std::unique_ptr<Command> snapshots_command();
std::unique_ptr<Command> ls_command();
std::unique_ptr<Command> restore_command();
std::unique_ptr<Command> mount_command();
std::unique_ptr<Command> export_command();
std::unique_ptr<Command> validate_command();
std::unique_ptr<Command> import_command();
std::unique_ptr<Command> check_command();
std::unique_ptr<Command> serve_command();
std::unique_ptr<Command> heal_command();
std::unique_ptr<Command> status_command();
std::unique_ptr<Command> doctor_command();
std::vector<std::unique_ptr<Command>> trade_commands();
std::unique_ptr<Command> trade_reconcile_command();
std::unique_ptr<Command> trade_exposure_command();
std::vector<std::unique_ptr<Command>> mirror_commands();
std::vector<std::unique_ptr<Command>> parity_commands();
std::unique_ptr<Command> forget_command();
std::unique_ptr<Command> prune_command();
std::unique_ptr<Command> tag_command();
std::unique_ptr<Command> rewrite_command();
std::unique_ptr<Command> diff_command();
std::unique_ptr<Command> stats_command();
std::unique_ptr<Command> find_command();
std::unique_ptr<Command> dump_command();
std::unique_ptr<Command> cat_command();
std::unique_ptr<Command> list_command();
std::unique_ptr<Command> unlock_command();
std::unique_ptr<Command> key_list_command();
std::unique_ptr<Command> key_add_command();
std::unique_ptr<Command> key_passwd_command();
std::unique_ptr<Command> key_remove_command();
std::unique_ptr<Command> key_store_command();
std::vector<std::unique_ptr<Command>> journal_commands();
std::vector<std::unique_ptr<Command>> config_commands();
std::vector<std::unique_ptr<Command>> duckdb_commands();
std::unique_ptr<Command> duckdb_rebuild_command();
std::unique_ptr<Command> copy_command();
std::unique_ptr<Command> rekey_command();
std::unique_ptr<Command> repair_index_command();
std::unique_ptr<Command> repair_packs_command();
std::unique_ptr<Command> repair_snapshots_command();
std::unique_ptr<Command> recover_command();

std::vector<std::unique_ptr<Command>> all_commands();
/// Those of them whose name begins with one of the words.
std::vector<std::unique_ptr<Command>> commands_named(const std::vector<std::string>& words);
/// What a group of commands is about, for "key" of "key add"; empty if there is no such group.
std::string_view group_help(std::string_view group);

/// `holdfast internal errors`: docs/errors.md, from the error table.
Result<int> run_internal(const std::vector<std::string>& arguments);

std::string program_version();    // "holdfast 0.1.0"

}    // namespace holdfast::cli
