#include "holdfast/cli/commands.hpp"

#include <algorithm>

namespace holdfast::cli {
namespace {

// By the first word of a name, so that one command can be made without the others.
struct Entry {
    std::string_view word;
    std::unique_ptr<Command> (*one)() = nullptr;
    std::vector<std::unique_ptr<Command>> (*several)() = nullptr;

    void make(std::vector<std::unique_ptr<Command>>& to) const {
        if (one) return to.push_back(one());
        for (auto& command : several()) to.push_back(std::move(command));
    }
};

constexpr Entry k_commands[] = {
    {"init", init_command},
    {"backup", backup_command},
    {"watch", watch_command},
    {"snapshots", snapshots_command},
    {"ls", ls_command},
    {"restore", restore_command},
    {"mount", mount_command},
    {"export", export_command},
    {"validate", validate_command},
    {"import", import_command},
    {"check", check_command},
    {"serve", serve_command},
    {"heal", heal_command},
    {"status", status_command},
    {"doctor", doctor_command},
    {"trade", nullptr, trade_commands},
    {"trade", trade_reconcile_command},
    {"trade", trade_exposure_command},
    {"mirror", nullptr, mirror_commands},
    {"parity", nullptr, parity_commands},
    {"forget", forget_command},
    {"prune", prune_command},
    {"tag", tag_command},
    {"rewrite", rewrite_command},
    {"diff", diff_command},
    {"stats", stats_command},
    {"find", find_command},
    {"dump", dump_command},
    {"cat", cat_command},
    {"list", list_command},
    {"unlock", unlock_command},
    {"key", key_list_command},
    {"key", key_add_command},
    {"key", key_passwd_command},
    {"key", key_remove_command},
    {"key", key_store_command},
    {"journal", nullptr, journal_commands},
    {"config", nullptr, config_commands},
    {"duckdb", nullptr, duckdb_commands},
    {"copy", copy_command},
    {"rekey", rekey_command},
    {"repair", repair_index_command},
    {"repair", repair_packs_command},
    {"repair", repair_snapshots_command},
    {"recover", recover_command},
};

}    // namespace

std::vector<std::unique_ptr<Command>> all_commands() {
    std::vector<std::unique_ptr<Command>> all;
    for (const Entry& entry : k_commands) entry.make(all);
    return all;
}

std::vector<std::unique_ptr<Command>> commands_named(const std::vector<std::string>& words) {
    std::vector<std::unique_ptr<Command>> named;
    for (const Entry& entry : k_commands)
        if (std::ranges::find(words, entry.word) != words.end()) entry.make(named);
    return named;
}

std::string_view group_help(std::string_view group) {
    if (group == "trade") return "the trade engine: run it, look at it, steer it";
    if (group == "mirror") return "copies of the repository at other places";
    if (group == "parity") return "files beside the repository that repair it";
    if (group == "key") return "the passwords of the repository";
    if (group == "journal") return "what a trading engine wrote down: look, check, export";
    if (group == "config") return "versions of configuration files: keep, check, compare, bring back";
    if (group == "duckdb") return "states of live DuckDB files: keep, list, bring back, repair, rebuild";
    if (group == "repair") return "mend a damaged repository: index, packs, snapshots";
    return {};
}

std::string program_version() { return "holdfast " HF_VERSION; }

}    // namespace holdfast::cli
