#include "holdfast/vault/find.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/glob.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;
using format::Node;
using format::NodeType;

// Only ASCII: names are bytes, and what they mean is not ours to say.
std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

std::vector<std::string> prepared(const FindOptions& options) {
    std::vector<std::string> patterns = options.patterns;
    if (options.ignore_case)
        for (std::string& pattern : patterns) pattern = lower(std::move(pattern));
    return patterns;
}

class FileFinder {
public:
    FileFinder(const Repository& repository, const FindOptions& options, const FoundFile& found)
        : repository_(repository), options_(options), found_(found), globs_(prepared(options)) {}

    Status run(const SnapshotEntry& entry) {
        HF_TRY(const bool any, walk(entry, entry.snapshot.tree, "", false));
        static_cast<void>(any);
        return {};
    }

private:
    // Whether anything was found. `below`: a folder above fits.
    Result<bool> walk(const SnapshotEntry& entry, const Id& id, const std::string& path, bool below) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while searching");
        format::Sha256 hash;
        hash.update(id.bytes);
        hash.update(as_bytes(path));
        const Id here = hash.finish();
        if (nothing_in_.contains(here)) return false;
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(id));
        bool any = false;
        for (const Node& node : tree.nodes) {
            const std::string node_path = path + '/' + node.name;
            const bool fits = below || globs_.matches(options_.ignore_case ? lower(node_path) : node_path);
            if (fits && in_time(node)) {
                any = true;
                HF_DO(found_(entry, node_path, node));
            }
            if (node.type != NodeType::dir) continue;
            HF_TRY(const bool inside, walk(entry, node.subtree, node_path, fits));
            any |= inside;
        }
        if (!any) nothing_in_.insert(here);
        return any;
    }
    bool in_time(const Node& node) const {
        return (!options_.oldest || node.mtime >= *options_.oldest) &&
               (!options_.newest || node.mtime <= *options_.newest);
    }

    const Repository& repository_;
    const FindOptions& options_;
    const FoundFile& found_;
    const GlobSet globs_;
    IdSet nothing_in_;
    unsigned depth_ = 0;
};

class ObjectFinder {
public:
    using Found = std::function<Status(const SnapshotEntry&, const ObjectHit&)>;
    ObjectFinder(const Repository& repository, const Found& found) : repository_(repository), found_(found) {}

    Status want(ObjectKind kind, const std::vector<std::string>& ids) {
        for (const std::string& id : ids)
            if (id.size() < 4 || id.size() > 64 || id.find_first_not_of("0123456789abcdef") != std::string::npos)
                return fail(ErrorCode::usage, fmt::format("\"{}\" is no ID", id), "give at least 4 hex digits");
        const BlobIndex& index = repository_.state().index;
        for (std::uint32_t i = 0; i < index.blob_count(); ++i) {
            const auto at = index.at(i);
            const bool tree = at.blob.type == BlobType::tree;
            if ((kind == ObjectKind::blob && tree) || (kind == ObjectKind::tree && !tree)) continue;
            const std::string hex = kind == ObjectKind::pack ? index.pack_id(at.pack).hex() : at.blob.id.hex();
            if (std::ranges::any_of(ids, [&](const std::string& id) { return hex.starts_with(id); }))
                (tree ? trees_ : data_).insert(at.blob.id);
        }
        HF_DO(index.status());
        if (data_.size() + trees_.size() == 0)
            return fail(ErrorCode::not_found, fmt::format("nothing in the index begins with {}", ids.front()),
                        "`holdfast list blobs` and `holdfast list packs` show what there is");
        return {};
    }

    Status run(const SnapshotEntry& entry) {
        const Id& root = entry.snapshot.tree;
        if (trees_.contains(root)) HF_DO(found_(entry, {BlobType::tree, root, "/", Id{}}));
        HF_TRY(const bool any, walk(entry, root, ""));
        static_cast<void>(any);
        return {};
    }

private:
    Result<bool> walk(const SnapshotEntry& entry, const Id& id, const std::string& path) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while searching");
        if (nothing_in_.contains(id)) return false;
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(id));
        bool any = false;
        for (const Node& node : tree.nodes) {
            const std::string node_path = path + '/' + node.name;
            if (node.type == NodeType::file && data_.size() > 0)
                for (const Id& blob : node.content)
                    if (data_.contains(blob)) {
                        any = true;
                        HF_DO(found_(entry, {BlobType::data, blob, node_path, id}));
                    }
            if (node.type != NodeType::dir) continue;
            if (trees_.contains(node.subtree)) {
                any = true;
                HF_DO(found_(entry, {BlobType::tree, node.subtree, node_path, id}));
            }
            HF_TRY(const bool inside, walk(entry, node.subtree, node_path));
            any |= inside;
        }
        if (!any) nothing_in_.insert(id);
        return any;
    }

    const Repository& repository_;
    const Found& found_;
    IdSet data_, trees_, nothing_in_;
    unsigned depth_ = 0;
};

}    // namespace

Status find_files(const Repository& repository, const std::vector<SnapshotEntry>& snapshots, const FindOptions& options,
                  const FoundFile& found) {
    FileFinder finder(repository, options, found);
    for (const SnapshotEntry& entry : snapshots) HF_DO(finder.run(entry));
    return {};
}

Status find_objects(const Repository& repository, const std::vector<SnapshotEntry>& snapshots, ObjectKind kind,
                    const std::vector<std::string>& ids,
                    const std::function<Status(const SnapshotEntry&, const ObjectHit&)>& found) {
    if (ids.empty()) return fail(ErrorCode::usage, "no ID was given");
    ObjectFinder finder(repository, found);
    HF_DO(finder.want(kind, ids));
    for (const SnapshotEntry& entry : snapshots) HF_DO(finder.run(entry));
    return {};
}

}    // namespace holdfast::vault
