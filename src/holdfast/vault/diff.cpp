#include "holdfast/vault/diff.hpp"

#include "holdfast/os/host.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/reachable.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;
using format::Node;
using format::NodeType;

struct Blobs {
    IdSet data, trees;
    void add(const Node& node) {
        if (node.type == NodeType::dir) trees.insert(node.subtree);
        if (node.type == NodeType::file)
            for (const Id& id : node.content) data.insert(id);
    }
};

bool equal(const Node& a, const Node& b) {
    std::string left, right;
    format::append_node(left, a);
    format::append_node(right, b);
    return left == right;
}

class Differ {
public:
    Differ(const Repository& repository, const DiffOptions& options) : repository_(repository), options_(options) {}

    Result<DiffReport> run(const Id& before, const Id& after) {
        before_.trees.insert(before);
        after_.trees.insert(after);
        if (before != after) HF_DO(diff_trees(before, after, "/"));
        HF_TRY(const Reachable common, find_reachable(repository_, common_));
        count_blobs(before_, after_, common, report_.removed);
        count_blobs(after_, before_, common, report_.added);
        return report_;
    }

private:
    Status tell(std::string path, std::string modifier) {
        return options_.changed ? options_.changed({std::move(path), std::move(modifier)}) : Status();
    }

    Status diff_trees(const Id& before, const Id& after, const std::string& prefix) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while comparing");
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree left, repository_.read_tree(before));
        HF_TRY(const format::Tree right, repository_.read_tree(after));
        auto a = left.nodes.begin();
        auto b = right.nodes.begin();
        while (a != left.nodes.end() || b != right.nodes.end()) {
            const bool has_a = a != left.nodes.end() && (b == right.nodes.end() || a->name <= b->name);
            const bool has_b = b != right.nodes.end() && (a == left.nodes.end() || b->name <= a->name);
            if (has_a) before_.add(*a);
            if (has_b) after_.add(*b);
            HF_DO(has_a && has_b ? diff_nodes(*a, *b, prefix)
                  : has_a        ? whole(*a, prefix, "-", report_.removed, before_)
                                 : whole(*b, prefix, "+", report_.added, after_));
            if (has_a) ++a;
            if (has_b) ++b;
        }
        return {};
    }

    Status diff_nodes(const Node& a, const Node& b, const std::string& prefix) {
        std::string modifier;
        if (a.type != b.type) modifier += 'T';
        const std::string path = prefix + b.name + (b.type == NodeType::dir ? "/" : "");
        if (a.type == NodeType::file && b.type == NodeType::file && a.content != b.content) {
            modifier += 'M';
            ++report_.changed_files;
        } else if (options_.metadata && !equal(a, b)) {
            modifier += 'U';
        }
        if (!modifier.empty()) HF_DO(tell(path, modifier));
        if (a.type != NodeType::dir || b.type != NodeType::dir) return {};
        if (a.subtree != b.subtree) return diff_trees(a.subtree, b.subtree, path);
        common_.push_back(a.subtree);
        return {};
    }

    // A node that only one side has, with all below it.
    Status whole(const Node& node, const std::string& prefix, const char* modifier, DiffCounts& counts, Blobs& blobs) {
        const bool folder = node.type == NodeType::dir;
        const std::string path = prefix + node.name + (folder ? "/" : "");
        HF_DO(tell(path, modifier));
        ++(folder ? counts.dirs : node.type == NodeType::file ? counts.files : counts.others);
        if (!folder) return {};
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while comparing");
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(node.subtree));
        for (const Node& child : tree.nodes) {
            blobs.add(child);
            HF_DO(whole(child, path, modifier, counts, blobs));
        }
        return {};
    }

    void count_blobs(const Blobs& of, const Blobs& other, const Reachable& common, DiffCounts& counts) const {
        const BlobIndex& index = repository_.state().index;
        const auto count = [&](BlobType type, const IdSet& ids, const IdSet& others, std::uint64_t& blobs) {
            ids.for_each([&](const Id& id) {
                if (others.contains(id) || common.contains(type, id)) return;
                ++blobs;
                if (const auto place = index.first_place(type, id))
                    counts.bytes +=
                        format::PackedBlob{id, type, 0, place->length, place->uncompressed_length}.plain_length();
            });
        };
        count(BlobType::data, of.data, other.data, counts.data_blobs);
        count(BlobType::tree, of.trees, other.trees, counts.tree_blobs);
    }

    const Repository& repository_;
    const DiffOptions& options_;
    DiffReport report_;
    unsigned depth_ = 0;
    Blobs before_, after_;
    std::vector<Id> common_;    // folders that both have: nothing in them is new or gone
};

}    // namespace

Result<DiffReport> diff(const Repository& repository, const Id& before, const Id& after, const DiffOptions& options) {
    return Differ(repository, options).run(before, after);
}

}    // namespace holdfast::vault
