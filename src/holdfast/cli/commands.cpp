#include "holdfast/cli/commands.hpp"

namespace holdfast::cli {

std::vector<std::unique_ptr<Command>> all_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(init_command());
    all.push_back(backup_command());
    all.push_back(watch_command());
    all.push_back(snapshots_command());
    all.push_back(ls_command());
    all.push_back(restore_command());
    all.push_back(mount_command());
    all.push_back(export_command());
    all.push_back(validate_command());
    all.push_back(import_command());
    all.push_back(check_command());
    all.push_back(serve_command());
    all.push_back(heal_command());
    all.push_back(status_command());
    all.push_back(doctor_command());
    for (auto& command : trade_commands()) all.push_back(std::move(command));
    all.push_back(trade_reconcile_command());
    all.push_back(trade_exposure_command());
    for (auto& command : mirror_commands()) all.push_back(std::move(command));
    for (auto& command : parity_commands()) all.push_back(std::move(command));
    all.push_back(forget_command());
    all.push_back(prune_command());
    all.push_back(tag_command());
    all.push_back(rewrite_command());
    all.push_back(diff_command());
    all.push_back(stats_command());
    all.push_back(find_command());
    all.push_back(dump_command());
    all.push_back(cat_command());
    all.push_back(list_command());
    all.push_back(unlock_command());
    all.push_back(key_list_command());
    all.push_back(key_add_command());
    all.push_back(key_passwd_command());
    all.push_back(key_remove_command());
    all.push_back(key_store_command());
    for (auto& command : journal_commands()) all.push_back(std::move(command));
    for (auto& command : config_commands()) all.push_back(std::move(command));
    for (auto& command : duckdb_commands()) all.push_back(std::move(command));
    all.push_back(copy_command());
    all.push_back(rekey_command());
    all.push_back(repair_index_command());
    all.push_back(repair_packs_command());
    all.push_back(repair_snapshots_command());
    all.push_back(recover_command());
    return all;
}

std::string_view group_help(std::string_view group) {
    if (group == "trade") return "the trade engine: run it, look at it, steer it";
    if (group == "mirror") return "copies of the repository at other places";
    if (group == "parity") return "files beside the repository that repair it";
    if (group == "key") return "the passwords of the repository";
    if (group == "journal") return "what a trading engine wrote down: look, check, export";
    if (group == "config") return "versions of configuration files: keep, check, compare, bring back";
    if (group == "duckdb") return "states of live DuckDB files: keep, list, bring back, repair";
    if (group == "repair") return "mend a damaged repository: index, packs, snapshots";
    return {};
}

std::string program_version() { return "holdfast " HF_VERSION; }

}    // namespace holdfast::cli
