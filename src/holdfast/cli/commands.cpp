#include "holdfast/cli/commands.hpp"

namespace holdfast::cli {

std::vector<std::unique_ptr<Command>> all_commands() {
    std::vector<std::unique_ptr<Command>> all;
    all.push_back(init_command());
    all.push_back(backup_command());
    all.push_back(snapshots_command());
    all.push_back(ls_command());
    all.push_back(restore_command());
    all.push_back(mount_command());
    all.push_back(check_command());
    all.push_back(serve_command());
    all.push_back(heal_command());
    all.push_back(status_command());
    for (auto& command : mirror_commands()) all.push_back(std::move(command));
    for (auto& command : parity_commands()) all.push_back(std::move(command));
    all.push_back(forget_command());
    all.push_back(prune_command());
    all.push_back(tag_command());
    all.push_back(rewrite_command());
    return all;
}

std::string_view group_help(std::string_view group) {
    if (group == "mirror") return "copies of the repository at other places";
    if (group == "parity") return "files beside the repository that repair it";
    return {};
}

std::string program_version() { return "holdfast " HF_VERSION; }

}    // namespace holdfast::cli
