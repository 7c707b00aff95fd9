#include "holdfast/vault/repair_snapshots.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/replace_snapshots.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;

constexpr const char* k_tag = "repaired";

class SnapshotRepair {
public:
    SnapshotRepair(Repository& repository, const RepairSnapshotsOptions& options)
        : repository_(repository), options_(options) {}

    Result<RepairSnapshotsReport> run(const std::vector<SnapshotEntry>& snapshots) {
        HF_TRY(const auto lock, repository_.lock(LockMode::exclusive));
        if (options_.forget && !options_.dry_run) HF_DO(check_removal_allowed(repository_));
        HF_DO(repository_.load_index(true));
        std::vector<std::pair<std::size_t, Id>> to_write;
        {
            if (!options_.dry_run) pipeline_.emplace(repository_, *lock, options_.storing);
            for (const SnapshotEntry& entry : snapshots) {
                lost_.clear();
                HF_TRY(const auto tree, repaired(entry.snapshot.tree, "", 0));
                if (lost_.empty()) {
                    ++report_.whole;
                    continue;
                }
                report_.repaired.push_back({entry, std::nullopt, std::move(lost_)});
                if (tree) to_write.emplace_back(report_.repaired.size() - 1, *tree);
            }
            if (pipeline_) HF_DO(pipeline_->finish());
            pipeline_.reset();
        }
        if (options_.dry_run || report_.repaired.empty()) return std::move(report_);
        HF_DO(lock->still_held());
        HF_DO(repository_.backend().sync());
        os::crash_point("repair_snapshots.trees_safe");
        // What an earlier run that was killed has written is not written again.
        HF_TRY(const auto known, repository_.snapshots([](const Id&, const Error&) {}));
        std::vector<Replacement> replacements;
        for (const auto& [number, tree] : to_write)
            replacements.push_back({report_.repaired[number].source, fresh(report_.repaired[number].source, tree), {}});
        HF_DO(replace_snapshots(repository_, *lock, known, replacements, options_.forget));
        for (std::size_t i = 0; i < to_write.size(); ++i)
            report_.repaired[to_write[i].first].target = replacements[i].id;
        if (options_.forget) HF_DO(remove_unreadable(*lock));
        return std::move(report_);
    }

private:
    // The tree without what is lost: its own ID when it is whole, nullopt when it cannot be read.
    Result<std::optional<Id>> repaired(const Id& id, const std::string& path, std::size_t depth) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while looking at trees");
        if (whole_.contains(id)) return std::optional<Id>(id);
        const auto lose = [&](std::string why) -> std::optional<Id> {
            lost_.push_back({path.empty() ? "/" : path, std::move(why)});
            return std::nullopt;
        };
        if (depth > k_tree_depth_max) return lose("it is nested too deep");
        auto tree = repository_.read_tree(id);
        if (!tree) {
            if (tree.error().code != ErrorCode::corrupt) return fail(std::move(tree).error());
            return lose(tree.error().message);
        }
        const std::size_t lost_before = lost_.size();
        format::Tree kept;
        for (format::Node& node : tree->nodes) {
            const std::string node_path = path + '/' + node.name;
            if (node.type == format::NodeType::dir) {
                HF_TRY(const auto subtree, repaired(node.subtree, node_path, depth + 1));
                if (!subtree) continue;
                node.subtree = *subtree;
            } else if (node.type == format::NodeType::file) {
                const auto missing = std::ranges::find_if(
                    node.content, [&](const Id& blob) { return !repository_.has_blob(format::BlobType::data, blob); });
                if (missing != node.content.end()) {
                    lost_.push_back({node_path, fmt::format("blob {} is in no index", missing->brief())});
                    continue;
                }
            }
            kept.nodes.push_back(std::move(node));
        }
        if (lost_.size() == lost_before) {
            whole_.insert(id);
            return std::optional<Id>(id);
        }
        const std::string json = format::encode(kept);
        if (!pipeline_) return std::optional<Id>(format::sha256(as_bytes(json)));
        HF_TRY(const Id stored, pipeline_->store_tree(json));
        return std::optional<Id>(stored);
    }

    static format::Snapshot fresh(const SnapshotEntry& source, const Id& tree) {
        format::Snapshot snapshot = source.snapshot;
        snapshot.tree = tree;
        snapshot.original = snapshot.original.value_or(source.id);
        if (std::ranges::find(snapshot.tags, k_tag) == snapshot.tags.end()) snapshot.tags.emplace_back(k_tag);
        return snapshot;
    }

    // Of those whose top folder is lost nothing can be kept.
    Status remove_unreadable(const RepositoryLock& lock) {
        std::vector<storage::FileName> gone;
        for (const RepairedSnapshot& repaired : report_.repaired)
            if (!repaired.target) gone.push_back({FileKind::snapshot, repaired.source.id});
        return remove_files(repository_, lock, gone);
    }

    Repository& repository_;
    const RepairSnapshotsOptions& options_;
    std::optional<Pipeline> pipeline_;
    RepairSnapshotsReport report_;
    IdSet whole_;
    std::vector<RepairedSnapshot::Lost> lost_;    // of the present snapshot
};

}    // namespace

Result<RepairSnapshotsReport> repair_snapshots(Repository& repository, const std::vector<SnapshotEntry>& snapshots,
                                               const RepairSnapshotsOptions& options) {
    return SnapshotRepair(repository, options).run(snapshots);
}

}    // namespace holdfast::vault
