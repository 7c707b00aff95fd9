#pragma once
// How much there is: what a restore would write, what is unique, what is stored. The four ways restic counts.
//
//   restore_size       every snapshot restored by itself; names of one inode count their bytes once. `files` counts
//                      folders and all other nodes, too, as restic's does
//   files_by_contents  each content once
//   blobs_per_file     each blob of each path once
//   raw_data           blobs as they lie in packs, each once
//   memory             restore_size: some 60 bytes a tree; files_by_contents, blobs_per_file: 32 bytes a file and tree;
//                      raw_data: one bit a blob

#include <functional>
#include <string>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

enum class StatsMode { restore_size, files_by_contents, blobs_per_file, raw_data };

struct LargeFile {
    std::uint64_t size = 0;
    std::string path;
    Id snapshot;    // the newest that has it
};

struct StatsReport {
    std::uint64_t snapshots = 0, total_size = 0, files = 0;
    std::uint64_t blobs = 0;    // blobs_per_file, raw_data
    std::uint64_t uncompressed_size = 0;    // raw_data
    std::vector<LargeFile> largest;    // largest first, each path once
};

struct StatsOptions {
    StatsMode mode = StatsMode::restore_size;
    std::size_t largest = 0;    // how many of the largest files are wanted
};

/// The index must be loaded.
Result<StatsReport> stats(const Repository& repository, const std::vector<SnapshotEntry>& snapshots,
                          const StatsOptions& options = {});

}    // namespace holdfast::vault
