#include "holdfast/vault/recover.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "holdfast/base/log.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using format::BlobType;

}    // namespace

Result<RecoverReport> recover(Repository& repository, const BackupOptions& storing) {
    HF_TRY(const auto lock, repository.lock(LockMode::shared));
    HF_TRY(const auto snapshots, repository.snapshots([](const Id& id, const Error& error) {
        log_warning("a snapshot cannot be read; its tree counts as lost",
                    {{"snapshot", id.brief()}, {"why", error.message}});
    }));
    HF_DO(repository.load_index(true));
    const BlobIndex& index = repository.state().index;

    // In the order of the packs, so that reads go forward through them.
    std::vector<Id> trees;
    for (std::uint32_t i = 0; i < index.blob_count(); ++i)
        if (const auto at = index.at(i); at.blob.type == BlobType::tree && index.first_of(i) == i)
            trees.push_back(at.blob.id);
    HF_DO(index.status());
    RecoverReport report;
    IdSet named;
    for (const SnapshotEntry& entry : snapshots) named.insert(entry.snapshot.tree);
    IdSet unreadable;
    std::mutex mutex;
    HF_DO(for_each_of(trees.size(), worker_count(), [&](std::size_t i) -> Status {
        const auto tree = repository.read_tree(trees[i]);
        const std::scoped_lock guard(mutex);
        ++report.trees_read;
        if (!tree) {
            if (tree.error().code != ErrorCode::corrupt) return fail(Error(tree.error()));
            ++report.unreadable;
            unreadable.insert(trees[i]);
            log_warning("a tree cannot be read and is left out",
                        {{"tree", trees[i].brief()}, {"why", tree.error().message}});
            return {};
        }
        for (const format::Node& node : tree->nodes)
            if (node.type == format::NodeType::dir) named.insert(node.subtree);
        return {};
    }));
    for (const Id& id : trees)
        if (!named.contains(id) && !unreadable.contains(id)) report.roots.push_back(id);
    if (report.roots.empty()) return report;
    std::sort(report.roots.begin(), report.roots.end());

    const Timestamp now = repository.clock().now();
    format::Tree top;
    for (const Id& id : report.roots) {
        format::Node node;
        node.name = id.brief();
        // Two IDs with the same first digits: the second takes its whole name.
        if (top.find(node.name)) node.name = id.hex();
        node.type = format::NodeType::dir;
        node.mode = format::go_mode(S_IFDIR | 0755);
        node.mtime = node.atime = node.ctime = now;
        node.uid = ::geteuid();
        node.gid = ::getegid();
        node.subtree = id;
        top.nodes.push_back(std::move(node));
    }
    std::ranges::sort(top.nodes, {}, &format::Node::name);
    format::Snapshot snapshot;
    {
        Pipeline pipeline(repository, *lock, storing);
        HF_TRY(snapshot.tree, pipeline.store_tree(format::encode(top)));
        HF_DO(pipeline.finish());
    }
    snapshot.time = now;
    snapshot.paths = {"/recover"};
    snapshot.tags = {"recovered"};
    snapshot.hostname = os::host_name();
    snapshot.username = os::user_name();
    snapshot.uid = ::geteuid();
    snapshot.gid = ::getegid();
    snapshot.program_version = storing.program_version;
    HF_DO(lock->still_held());
    HF_DO(repository.backend().sync());
    os::crash_point("recover.tree_safe");
    HF_TRY(report.snapshot, repository.write_document(storage::FileKind::snapshot, format::encode(snapshot)));
    os::crash_point("recover.snapshot_written");
    HF_DO(repository.backend().sync());
    return report;
}

}    // namespace holdfast::vault
