#pragma once
// From the repository back: one file as a stream, or files and folders onto a disk.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/vault/path_filter.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// spare_one: somebody else computes meanwhile, and is waited for longer.
enum class Processors { all, spare_one };
/// Hands the file's content to `sink` in order; blobs are fetched and opened ahead by other threads, at most `ahead`
/// bytes of them. An error of the sink stops the reading and is returned.
Status read_content(const Repository& repository, const format::Node& file, const std::function<Status(ByteView)>& sink,
                    Processors processors = Processors::all, std::size_t ahead = std::size_t(16) << 20);
/// Parts of one file, in any order, by several threads at once.
class FileRanges {
public:
    /// corrupt: the index does not know one of its blobs.
    static Result<FileRanges> of(const Repository& repository, const format::Node& file);
    /// As read_content(), for these bytes only; corrupt when the file ends before them.
    Status read(std::uint64_t offset, std::uint64_t size, const std::function<Status(ByteView)>& sink,
                std::size_t ahead = std::size_t(8) << 20) const;

private:
    explicit FileRanges(const Repository& repository, const format::Node& file)
        : repository_(&repository), file_(&file) {}
    const Repository* repository_;
    const format::Node* file_;    // both outlive us
    std::vector<std::uint64_t> starts_;    // of each blob, and the end
};

/// The whole content of a small file; corrupt when it is longer than size_max.
Result<Bytes> read_small(const Repository& repository, const format::Node& file, std::size_t size_max = 64u << 20);

/// What happens to a file (link, device …) that is there already.
enum class Overwrite {
    never,    // it stays
    if_newer,    // it stays unless the snapshot's modification time is later
    if_changed,    // equal size and time: taken for equal; else its content is read and only chunks that differ are written
    always,    // it goes, and is made anew
};

struct RestoreProgress {
    std::uint64_t files_done = 0, bytes_done = 0;
    std::uint64_t files_total = 0, bytes_total = 0;
};

/// One path and what was done with it (or would be, with dry_run).
struct RestoreItem {
    enum class Action { restored, updated, unchanged, skipped, deleted };
    Action action = Action::restored;
    std::string path;    // with the target in front
    format::NodeType type = format::NodeType::file;
    std::uint64_t size = 0;
};

struct RestoreOptions {
    std::string target;    // folder; made if absent. Must be empty unless `overwrite` says what may happen
    std::string subfolder;    // of the snapshot: its content goes straight into the target (a file: the file itself)
    std::vector<std::string> include;    // exact paths below subfolder (with all below them); empty: all
    PathPatterns patterns;    // and these, below subfolder, too
    std::optional<Overwrite> overwrite;
    bool delete_others = false;    // inside restored folders, what `include` and `patterns` want and the snapshot lacks
    bool sparse = false;    // long runs of zeros become holes
    bool verify = false;    // at the end, what lies on disk is read again and compared by its hashes
    bool dry_run = false;
    /// Of at least so many bytes in all, long files go past the page cache. Whoever reads the files next, and wants them
    /// there, sets an eighth of the memory: that much the cache takes without making anybody wait.
    std::uint64_t past_cache_min = std::uint64_t(128) << 20;
    bool sync = true;    // everything is on disk when it returns; without, only on its way there
    unsigned workers = 0;
    std::function<void(const RestoreProgress&)> progress;    // called now and then, from one thread at a time
    std::function<void(const RestoreItem&)> each;    // from one thread at a time
};

struct RestoreSummary {
    std::uint64_t files = 0, folders = 0, others = 0, bytes = 0;    // all that is there now and equal to the snapshot
    std::uint64_t files_unchanged = 0, bytes_reused = 0;    // of them: what was there before
    std::uint64_t skipped = 0, deleted = 0;
    std::uint64_t files_verified = 0, bytes_verified = 0;
    /// What could not be made as it was (owner, xattr as plain user), by path.
    std::vector<std::pair<std::string, Error>> warnings;
};

/// Content first, then metadata (owner, mode, xattrs, times) bottom-up; hard links are linked again. Never writes
/// outside the target whatever the trees say or lies there: every name is checked, paths are walked by openat with
/// O_NOFOLLOW, and a file is written in place only if it has one name and lets nobody in whom the snapshot would not.
///
/// A blob that is damaged, or a target that cannot be replaced (immutable, a folder full of other things), stops nothing
/// else: all files that suffer are listed in the error (corrupt, denied, exists), and new ones among them are removed.
/// A full disk: disk_full, and the new partial files are removed. Stopped by the user: they stay, and the same restore
/// with if_changed goes on from them. mismatch when `verify` finds a difference.
Result<RestoreSummary> restore(const Repository& repository, const SnapshotEntry& snapshot,
                               const RestoreOptions& options);

}    // namespace holdfast::vault
