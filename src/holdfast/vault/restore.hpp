#pragma once
// From the repository back: one file as a stream, or files and folders onto a disk.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// Hands the file's content to `sink` in order; blobs are fetched and opened ahead by other threads, at most `ahead`
/// bytes of them. An error of the sink stops the reading and is returned.
Status read_content(const Repository& repository, const format::Node& file, const std::function<Status(ByteView)>& sink,
                    std::size_t ahead = std::size_t(16) << 20);
/// The whole content of a small file; corrupt when it is longer than size_max.
Result<Bytes> read_small(const Repository& repository, const format::Node& file, std::size_t size_max = 64u << 20);

struct RestoreProgress {
    std::uint64_t files_done = 0, bytes_done = 0;
    std::uint64_t files_total = 0, bytes_total = 0;
};

struct RestoreOptions {
    std::string target;    // folder; made if absent. Must be empty unless `overwrite`
    std::vector<std::string> include;    // paths inside the snapshot (a file or a folder with all below); empty: all
    bool overwrite = false;    // replace what is in the way, leave other files alone
    bool strip_to_include = false;    // the content of the single included folder goes straight into the target
    bool dry_run = false;
    bool sync = true;    // everything is on disk when it returns
    unsigned workers = 0;
    std::function<void(const RestoreProgress&)> progress;    // called now and then, from one thread at a time
};

struct RestoreSummary {
    std::uint64_t files = 0, folders = 0, others = 0, bytes = 0;
    /// What could not be made as it was (owner, xattr as plain user), by path.
    std::vector<std::pair<std::string, Error>> warnings;
};

/// Content first, then metadata (owner, mode, xattrs, times) bottom-up; hard links are linked again. Never writes
/// outside the target whatever the trees say: every name is checked, and paths are walked by openat with O_NOFOLLOW.
/// A blob that is damaged stops nothing else: all files that need it are removed and listed in the error (corrupt).
/// A full disk: disk_full, and the partial files are removed.
Result<RestoreSummary> restore(const Repository& repository, const SnapshotEntry& snapshot,
                               const RestoreOptions& options);

}    // namespace holdfast::vault
