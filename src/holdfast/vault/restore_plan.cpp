#include "holdfast/vault/restore_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/snapshot_tree.hpp"

namespace holdfast::vault {
namespace {

using Path = std::vector<std::string>;

class Planner {
public:
    explicit Planner(const Repository& repository) : repository_(repository) {}

    Status include(const std::string& path) {
        HF_TRY(auto parts, snapshot_path(path));
        includes_.push_back(std::move(parts));
        return {};
    }

    // `depth` parts of the includes in `live` were matched on the way here; `all`: everything below is wanted.
    Status walk(const Id& tree, RestorePlan::FolderNumber in, std::size_t depth, const std::vector<const Path*>& live,
                bool all) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while planning a restore");
        HF_TRY(format::Tree here, repository_.read_tree(tree));
        for (format::Node& node : here.nodes) {
            bool wanted = all;
            std::vector<const Path*> next;
            if (!all) {
                for (const Path* path : live) {
                    if ((*path)[depth] != node.name) continue;
                    if (path->size() == depth + 1)
                        wanted = true;
                    else
                        next.push_back(path);
                }
                if (!wanted && next.empty()) continue;
            }
            HF_DO(take(std::move(node), in, depth + 1, next, wanted));
        }
        return {};
    }

    Status take(format::Node node, RestorePlan::FolderNumber in, std::size_t depth,
                const std::vector<const Path*>& live, bool all) {
        switch (node.type) {
            case format::NodeType::dir: {
                const Id subtree = node.subtree;
                plan_.folders.push_back({in, std::move(node)});
                return walk(subtree, static_cast<RestorePlan::FolderNumber>(plan_.folders.size() - 1), depth, live,
                            all);
            }
            case format::NodeType::file:
                return take_file(std::move(node), in);
            default:
                plan_.others.push_back({in, std::move(node)});
                return {};
        }
    }

    std::vector<const Path*> all_includes() const {
        std::vector<const Path*> all;
        for (const Path& path : includes_) all.push_back(&path);
        return all;
    }
    RestorePlan finish() { return std::move(plan_); }

private:
    Status take_file(format::Node node, RestorePlan::FolderNumber in) {
        if (node.links > 1 && node.inode != 0) {
            const auto [known, is_new] =
                linked_.try_emplace({node.device_id, node.inode}, static_cast<std::uint32_t>(plan_.files.size()));
            // The same inode with other content: it was written to between its two names' turns. Both are kept as saved.
            if (!is_new && plan_.files[known->second].node.content == node.content) {
                plan_.links.push_back({in, std::move(node.name), known->second});
                return {};
            }
        }
        plan_.bytes += node.size;
        plan_.files.push_back({in, std::move(node)});
        return {};
    }

    const Repository& repository_;
    std::vector<Path> includes_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> linked_;
    RestorePlan plan_;
};

}    // namespace

Result<RestorePlan> RestorePlan::make(const Repository& repository, const Id& tree, const RestoreOptions& options) {
    Planner planner(repository);
    if (options.strip_to_include) {
        if (options.include.size() != 1)
            return fail(ErrorCode::usage, "exactly one path must be included when its folders are left out");
        HF_TRY(auto node, repository.find_node(tree, options.include[0]));
        if (node.type == format::NodeType::dir) {
            HF_DO(planner.walk(node.subtree, 0, 0, {}, true));
        } else {
            HF_DO(planner.take(std::move(node), 0, 0, {}, true));
        }
        return planner.finish();
    }
    bool all = options.include.empty();
    for (const std::string& path : options.include) {
        HF_TRY(const auto node, repository.find_node(tree, path));
        all = all || node.name.empty();    // "/" names the root
        if (!all) HF_DO(planner.include(path));
    }
    HF_DO(planner.walk(tree, 0, 0, planner.all_includes(), all));
    return planner.finish();
}

}    // namespace holdfast::vault
