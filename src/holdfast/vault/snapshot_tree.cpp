#include "holdfast/vault/snapshot_tree.hpp"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>

namespace holdfast::vault {

Result<std::vector<std::string>> snapshot_path(std::string_view path) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const std::string_view part = path.substr(at, end - at);
        at = end + 1;
        if (part.empty()) continue;
        if (part == "." || part == ".." || part.find('\0') != std::string_view::npos)
            return fail(ErrorCode::usage, fmt::format("\"{}\" is no path inside a snapshot", path));
        parts.emplace_back(part);
    }
    return parts;
}

format::Node SnapshotTree::plain_folder(const std::string& name) const {
    format::Node node;
    node.name = name;
    node.type = format::NodeType::dir;
    node.mode = format::go_mode(S_IFDIR | 0755);
    node.mtime = node.atime = node.ctime = time_;
    node.uid = ::geteuid();
    node.gid = ::getegid();
    return node;
}

Status SnapshotTree::put(const std::vector<std::string>& path, format::Node node,
                         const std::vector<format::Node>& folders) {
    const std::scoped_lock lock(mutex_);
    if (path.empty()) {
        if (!root_.items.empty())
            return fail(ErrorCode::usage,
                        "the whole root was to be put into a snapshot that holds other parts already");
        root_ = {std::move(node), false, {}};
        return {};
    }
    Item* at = &root_;
    for (std::size_t i = 0;; ++i) {
        if (!at->open)
            return fail(
                ErrorCode::usage,
                fmt::format("{} lies in {}, which is in the snapshot already", path.back(), i == 0 ? "/" : path[i - 1]),
                "name each path once: a folder holds all below it");
        Item& next = at->items[path[i]];
        if (i + 1 == path.size()) {
            node.name = path[i];
            next = {std::move(node), false, {}};
            return {};
        }
        if (next.node.name.empty()) {    // new
            next.node = i < folders.size() ? folders[i] : plain_folder(path[i]);
            next.node.name = path[i];
            next.open = true;
        }
        at = &next;
    }
}

Status SnapshotTree::put_folder(const std::vector<std::string>& path, format::Node node) {
    const std::scoped_lock lock(mutex_);
    Item* at = &root_;
    for (std::size_t i = 0; i < path.size(); ++i) {
        Item& next = at->items[path[i]];
        if (next.node.name.empty()) {    // new
            next.node = plain_folder(path[i]);
            next.open = true;
        } else if (!next.open) {
            return fail(ErrorCode::usage, fmt::format("{} is in the snapshot already, and whole", path[i]),
                        "name each path once: a folder holds all below it");
        }
        at = &next;
    }
    node.name = path.back();
    at->node = std::move(node);
    return {};
}

void SnapshotTree::remove(const std::vector<std::string>& path) {
    const std::scoped_lock lock(mutex_);
    std::vector<Item*> way{&root_};
    for (const std::string& part : path) {
        const auto found = way.back()->items.find(part);
        if (found == way.back()->items.end()) return;
        way.push_back(&found->second);
    }
    if (path.empty()) root_ = {.node = {}, .open = true, .items = {}};
    // Folders that only led there go, too.
    for (std::size_t i = path.size(); i > 0; --i) {
        way[i - 1]->items.erase(path[i - 1]);
        if (!way[i - 1]->items.empty()) break;
    }
}

Result<Id> SnapshotTree::store(Pipeline& pipeline) const {
    const std::scoped_lock lock(mutex_);
    return store_folder(root_, pipeline);
}

Result<Id> SnapshotTree::store_folder(const Item& folder, Pipeline& pipeline) const {
    if (!folder.open) return folder.node.subtree;
    std::vector<const format::Node*> nodes;
    std::deque<format::Node> folders;    // that get their trees here
    for (const auto& [name, item] : folder.items) {
        nodes.push_back(item.open ? &folders.emplace_back(item.node) : &item.node);
        if (item.open) {
            HF_TRY(folders.back().subtree, store_folder(item, pipeline));
        }
    }
    return pipeline.store_tree(nodes);
}

}    // namespace holdfast::vault
