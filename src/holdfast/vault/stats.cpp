#include "holdfast/vault/stats.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/reachable.hpp"
#include "holdfast/vault/repository_state.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::vault {
namespace {

using format::Node;
using format::NodeType;

Status check_stop() {
    if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while counting");
    return {};
}

class RestoreSize {
public:
    explicit RestoreSize(const Repository& repository) : repository_(repository) {}

    Status add(const SnapshotEntry& entry, StatsReport& report) {
        inodes_.clear();
        HF_TRY(const Sums sums, sums_of(entry.snapshot.tree));
        report.total_size += sums.size;
        report.files += sums.nodes;
        return {};
    }

private:
    struct Sums {
        std::uint64_t size = 0, nodes = 0;
        bool linked = false;    // names of one inode below: what they add depends on the rest of the snapshot
    };

    Result<Sums> sums_of(const Id& id) {
        if (const auto known = known_.find(id); known != known_.end() && !known->second.linked) return known->second;
        HF_DO(check_stop());
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(id));
        Sums sums;
        for (const Node& node : tree.nodes) {
            ++sums.nodes;
            if (node.type == NodeType::dir) {
                HF_TRY(const Sums below, sums_of(node.subtree));
                sums.size += below.size;
                sums.nodes += below.nodes;
                sums.linked |= below.linked;
            } else if (node.links > 1 && node.inode != 0) {
                sums.linked = true;
                if (inodes_.emplace(node.device_id, node.inode).second) sums.size += node.size;
            } else {
                sums.size += node.size;
            }
        }
        known_[id] = sums;
        return sums;
    }

    const Repository& repository_;
    unsigned depth_ = 0;
    std::unordered_map<Id, Sums> known_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> inodes_;    // of the present snapshot
};

class UniqueFiles {
public:
    UniqueFiles(const Repository& repository, StatsMode mode) : repository_(repository), mode_(mode) {}

    Status walk(const Id& id, const std::string& path, StatsReport& report) {
        if (!trees_.insert(id)) return {};    // all below has been counted
        HF_DO(check_stop());
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(id));
        for (const Node& node : tree.nodes) {
            const std::string node_path = path + '/' + node.name;
            format::Sha256 hash;
            for (const Id& blob : node.content) hash.update(blob.bytes);
            if (contents_.insert(hash.finish())) count(node, node_path, report);
            if (node.type == NodeType::dir) HF_DO(walk(node.subtree, node_path, report));
        }
        return {};
    }

private:
    void count(const Node& node, const std::string& path, StatsReport& report) {
        if (mode_ == StatsMode::files_by_contents) {
            report.total_size += node.size;
            ++report.files;
            return;
        }
        const Id path_id = format::sha256(as_bytes(path));
        for (const Id& blob : node.content) {
            if (paths_.insert(path_id)) ++report.files;
            format::Sha256 both;
            both.update(path_id.bytes);
            both.update(blob.bytes);
            if (!blobs_.insert(both.finish())) continue;
            ++report.blobs;
            if (const auto place = repository_.state().index.first_place(format::BlobType::data, blob))
                report.total_size +=
                    format::PackedBlob{blob, format::BlobType::data, 0, place->length, place->uncompressed_length}
                        .plain_length();
        }
    }

    const Repository& repository_;
    unsigned depth_ = 0;
    const StatsMode mode_;
    IdSet trees_, contents_, paths_, blobs_;
};

// The largest paths; of the files with one path the largest of the newest snapshot that has it.
class Largest {
public:
    Largest(const Repository& repository, std::size_t count) : repository_(repository), count_(count) {}

    Status walk(const Id& id, const std::string& path, const Id& snapshot) {
        HF_DO(check_stop());
        // The same tree at the same place says nothing new: newer snapshots come first.
        format::Sha256 hash;
        hash.update(id.bytes);
        hash.update(as_bytes(path));
        if (!seen_.insert(hash.finish())) return {};
        const TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(id));
        for (const Node& node : tree.nodes) {
            const std::string node_path = path + '/' + node.name;
            if (node.type == NodeType::dir) HF_DO(walk(node.subtree, node_path, snapshot));
            if (node.type == NodeType::file) take({node.size, node_path, snapshot});
        }
        return {};
    }
    std::vector<LargeFile> result() && { return std::move(files_); }

private:
    void take(LargeFile file) {
        if (files_.size() == count_ && file.size <= files_.back().size) return;
        const auto same = std::ranges::find(files_, file.path, &LargeFile::path);
        if (same != files_.end()) {
            if (same->size >= file.size) return;
            files_.erase(same);
        }
        const auto at = std::ranges::find_if(files_, [&](const LargeFile& f) { return f.size < file.size; });
        files_.insert(at, std::move(file));
        if (files_.size() > count_) files_.pop_back();
    }

    const Repository& repository_;
    unsigned depth_ = 0;
    const std::size_t count_;
    IdSet seen_;
    std::vector<LargeFile> files_;
};

Status raw_data(const Repository& repository, const std::vector<SnapshotEntry>& snapshots, StatsReport& report) {
    std::vector<Id> roots;
    for (const SnapshotEntry& entry : snapshots) roots.push_back(entry.snapshot.tree);
    HF_TRY(const Reachable needed, find_reachable(repository, roots));
    needed.for_each([&](const BlobPlace& place) {
        ++report.blobs;
        report.total_size += place.blob.length;
        report.uncompressed_size += place.blob.plain_length();
    });
    return {};
}

}    // namespace

Result<StatsReport> stats(const Repository& repository, const std::vector<SnapshotEntry>& snapshots,
                          const StatsOptions& options) {
    StatsReport report;
    report.snapshots = snapshots.size();
    switch (options.mode) {
        case StatsMode::restore_size: {
            RestoreSize sizes(repository);
            for (const SnapshotEntry& entry : snapshots) HF_DO(sizes.add(entry, report));
            break;
        }
        case StatsMode::files_by_contents:
        case StatsMode::blobs_per_file: {
            UniqueFiles files(repository, options.mode);
            for (const SnapshotEntry& entry : snapshots) HF_DO(files.walk(entry.snapshot.tree, "", report));
            break;
        }
        case StatsMode::raw_data:
            HF_DO(raw_data(repository, snapshots, report));
            break;
    }
    if (options.largest > 0) {
        Largest largest(repository, options.largest);
        for (auto entry = snapshots.rbegin(); entry != snapshots.rend(); ++entry)
            HF_DO(largest.walk(entry->snapshot.tree, "", entry->id));
        report.largest = std::move(largest).result();
    }
    return report;
}

}    // namespace holdfast::vault
