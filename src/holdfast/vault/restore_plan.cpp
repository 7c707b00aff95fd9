#include "holdfast/vault/restore_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <span>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/snapshot_tree.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using Standing = PathFilter::Standing;

class Planner {
public:
    Planner(const Repository& repository, const PathFilter& filter) : repository_(repository), filter_(filter) {
        plan_.folders.push_back({0, {}, filter.root()});
    }

    Status walk(const Id& tree, RestorePlan::FolderNumber in, const std::string& path, const Standing& above) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while planning a restore");
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(format::Tree here, read_tree(tree));
        for (std::size_t i = 0; i < here.nodes.size(); ++i) {
            format::Node& node = here.nodes[i];
            std::string below = path + '/' + node.name;
            const Standing standing = filter_.judge(below, above);
            if (node.type == format::NodeType::dir)
                read_ahead({here.nodes.begin() + static_cast<std::ptrdiff_t>(i), here.nodes.end()}, path, above);
            if (standing.wanted() || (standing.worth_a_walk() && node.type == format::NodeType::dir)) {
                HF_DO(take(std::move(node), in, below, standing));
            }
        }
        return {};
    }

    Status take(format::Node node, RestorePlan::FolderNumber in, const std::string& path, const Standing& standing) {
        switch (node.type) {
            case format::NodeType::dir: {
                const Id subtree = node.subtree;
                const auto number = static_cast<RestorePlan::FolderNumber>(plan_.folders.size());
                plan_.folders.push_back({in, std::move(node), standing});
                const std::size_t before = plan_.files.size() + plan_.others.size() + plan_.links.size();
                HF_DO(walk(subtree, number, path, standing));
                // A folder that only might have led to something is not made.
                if (!standing.wanted() && plan_.folders.size() == number + 1u &&
                    plan_.files.size() + plan_.others.size() + plan_.links.size() == before)
                    plan_.folders.pop_back();
                return {};
            }
            case format::NodeType::file:
                return take_file(std::move(node), in);
            default:
                plan_.others.push_back({in, std::move(node)});
                return {};
        }
    }

    RestorePlan finish() { return std::move(plan_); }

private:
    Result<format::Tree> read_tree(const Id& id) {
        const auto read = ahead_.find(id);
        if (read == ahead_.end()) return repository_.read_numbered_tree(id);
        format::Tree tree = std::move(read->second);
        ahead_.erase(read);
        return tree;
    }

    // Over a line each tree costs a round trip: those of the next folders are read side by side. A few wait on each level.
    void read_ahead(std::span<const format::Node> nodes, const std::string& path, const Standing& above) {
        if (repository_.backend().connections() < 2 || ahead_.contains(nodes.front().subtree)) return;
        const unsigned threads = reader_count(repository_.backend());
        std::vector<Id> ids;
        for (const format::Node& node : nodes) {
            if (node.type != format::NodeType::dir) continue;
            const Standing standing = filter_.judge(path + '/' + node.name, above);
            if (standing.wanted() || standing.worth_a_walk()) ids.push_back(node.subtree);
            if (ids.size() == 2 * threads) break;
        }
        if (ids.size() < 2) return;
        std::mutex mutex;
        static_cast<void>(for_each_of(ids.size(), threads, [&](std::size_t i) -> Status {
                              auto tree = repository_.read_numbered_tree(
                                  ids[i]);    // what fails is read again by its turn, which says why
                              if (!tree) return {};
                              const std::scoped_lock lock(mutex);
                              ahead_.insert_or_assign(ids[i], *std::move(tree));
                              return {};
                          }).has_value());
    }

    // 4 bytes a chunk instead of 32.
    std::vector<std::uint32_t> chunks_of(format::Node& node, std::optional<Id>& unknown) const {
        if (!node.numbers.empty()) return std::move(node.numbers);
        std::vector<std::uint32_t> chunks;
        chunks.reserve(node.content.size());
        for (const Id& id : node.content) {
            const auto number = repository_.state().index.number(format::BlobType::data, id);
            if (!number && !unknown) unknown = id;
            chunks.push_back(number.value_or(RestorePlan::k_unknown));
        }
        node.content = {};
        return chunks;
    }

    Status take_file(format::Node node, RestorePlan::FolderNumber in) {
        std::optional<Id> unknown;
        std::vector<std::uint32_t> chunks = chunks_of(node, unknown);
        if (node.links > 1 && node.inode != 0) {
            const auto [known, is_new] =
                linked_.try_emplace({node.device_id, node.inode}, static_cast<std::uint32_t>(plan_.files.size()));
            // The same inode with other content: it was written to between its two names' turns. Both are kept as saved.
            if (!is_new && plan_.files[known->second].chunks == chunks) {
                plan_.links.push_back({in, std::move(node.name), known->second});
                return {};
            }
        }
        plan_.bytes += node.size;
        if (unknown) plan_.unknown.emplace(static_cast<std::uint32_t>(plan_.files.size()), *unknown);
        plan_.files.push_back({in, std::move(node), std::move(chunks)});
        return {};
    }

    const Repository& repository_;
    const PathFilter& filter_;
    std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> linked_;
    std::map<Id, format::Tree> ahead_;
    RestorePlan plan_;
    unsigned depth_ = 0;
};

bool is_plain_path(const std::string& pattern) {
    return pattern.starts_with('/') && pattern.find_first_of("*?[\\") == std::string::npos;
}

}    // namespace

Result<RestorePlan> RestorePlan::make(const Repository& repository, const Id& tree, const RestoreOptions& options,
                                      const PathFilter& filter) {
    HF_TRY(format::Node root, find_numbered_node(repository, tree, options.subfolder));
    Planner planner(repository, filter);
    if (root.type != format::NodeType::dir) {
        const std::string path = '/' + root.name;
        const Standing standing = filter.judge(path, filter.root());
        if (standing.wanted()) HF_DO(planner.take(std::move(root), 0, path, standing));
        return planner.finish();
    }
    // What is named exactly has to be there: a typing error must not pass for an empty restore.
    for (const std::string& path : options.include) {
        HF_TRY([[maybe_unused]] const auto parts, snapshot_path(path));
        HF_TRY([[maybe_unused]] const auto node, find_numbered_node(repository, root.subtree, path));
    }
    for (const std::string& pattern : options.patterns.include) {
        if (!is_plain_path(pattern)) continue;
        HF_TRY([[maybe_unused]] const auto node, find_numbered_node(repository, root.subtree, pattern));
    }
    HF_DO(planner.walk(root.subtree, 0, "", filter.root()));
    RestorePlan plan = planner.finish();
    if (!options.patterns.empty() && plan.folders.size() == 1 && plan.files.empty() && plan.others.empty() &&
        !options.delete_others)
        return fail(
            ErrorCode::not_found, "no path of the snapshot is wanted by these patterns",
            "`holdfast ls` shows what it has; a pattern with a leading / fits from the root, others at any depth");
    return plan;
}

std::string RestorePlan::path_of(FolderNumber folder) const {
    std::string path;
    for (; folder != 0; folder = folders[folder].above) path = '/' + folders[folder].node.name + path;
    return path;
}

}    // namespace holdfast::vault
