#pragma once
// Snapshots from one repository into another, which has its own master key: every blob is opened, checked, and sealed
// anew. Trees are copied as bytes, so that their IDs stay.
//
//   order     blobs durable → index → snapshots; a kill leaves a target that checks, and the next run finds what is there
//   existing  a snapshot is in the target already when one there has the same `original` (or ID) and equal content:
//             time, tree, host, user, paths, tags, excludes. As restic's copy
//   memory    one bit a blob of the source, the pipeline's limit, and some 64 MiB worth of places; never all trees
//   locks     shared, on both
//   errors    usage for copying onto itself; corrupt, naming the blob, when the source cannot give one

#include <functional>
#include <vector>

#include "holdfast/vault/backup.hpp"

namespace holdfast::vault {

struct CopyProgress {
    std::uint64_t blobs_done = 0, blobs_total = 0;    // of the present part of the snapshots
    std::uint64_t bytes_done = 0;
};

struct CopyOptions {
    BackupOptions storing{};    // pack size, compression, memory
    std::size_t snapshots_at_once = 64;    // the target shows them after each part
    std::function<void(const CopyProgress&)> progress{};
};

struct CopiedSnapshot {
    SnapshotEntry source;
    Id target;
    bool existed = false;
};
struct CopyReport {
    std::vector<CopiedSnapshot> snapshots;    // in the order given
    std::uint64_t blobs = 0, bytes_added = 0, bytes_stored = 0;    // new to the target
};

Result<CopyReport> copy_snapshots(Repository& from, Repository& to, const std::vector<SnapshotEntry>& snapshots,
                                  const CopyOptions& options = {});

/// Everything but parent and original is equal.
bool same_content(const format::Snapshot& a, const format::Snapshot& b);

}    // namespace holdfast::vault
