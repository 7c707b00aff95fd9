#pragma once
// Takes one file or folder tree of this machine into the snapshot: lists, compares with the parent snapshot, has changed
// files read, and stores each folder's tree as soon as all in it is done.
//
//   order    folders are walked by names, in one thread; files finish in any order
//   memory   the nodes of the folders that are not finished yet

#include <condition_variable>
#include <memory>
#include <mutex>

#include "holdfast/vault/file_readers.hpp"
#include "holdfast/vault/glob.hpp"

namespace holdfast::vault {

struct WalkCounters {
    std::atomic<std::uint64_t> files_found = 0, bytes_found = 0, files_done = 0, bytes_unchanged = 0, errors = 0;
    std::atomic<std::uint64_t> files_new = 0, files_changed = 0, files_unmodified = 0;
    std::atomic<std::uint64_t> dirs_new = 0, dirs_changed = 0, dirs_unmodified = 0;
};

class DiskWalk {
public:
    DiskWalk(Repository& repository, Pipeline& pipeline, FileReaders& readers, WalkCounters& counters,
             const PathOptions& options, bool with_atime);

    /// `path` is absolute; `before` is its node in the parent snapshot. nullopt: newer_than left nothing of it.
    Result<std::optional<format::Node>> run(const std::string& path, const std::optional<format::Node>& before);
    /// Complete after run().
    PathSummary take_summary() { return std::move(summary_); }

private:
    struct Folder;
    using FolderPtr = std::shared_ptr<Folder>;

    // Each returns whether anything was taken; a name that gives nothing still settles its place in the parent folder.
    Result<bool> walk_entry(int at, const std::string& name, const std::string& path, const FolderPtr& in,
                            std::size_t place, const format::Node* before);
    Result<bool> walk_folder(int at, const std::string& name, const std::string& path, const FolderPtr& in,
                             std::size_t place, const struct stat& st, const format::Node* before);
    Result<bool> walk_file(int at, const std::string& name, const std::string& path, const FolderPtr& in,
                           std::size_t place, const struct stat& st, const format::Node* before);
    bool has_content(const format::Node& file) const;
    /// The place is done: with a node, or with nothing.
    void settle(FolderPtr folder, std::size_t place, std::optional<format::Node> node);
    std::optional<format::Node> store(Folder& folder);
    void note(const std::string& path, Error error);

    Repository& repository_;
    Pipeline& pipeline_;
    FileReaders& readers_;
    WalkCounters& counters_;
    const PathOptions& options_;
    const GlobSet excludes_;
    const bool with_atime_;
    std::uint64_t device_ = 0;    // of the top, for one_file_system

    std::mutex mutex_;
    std::condition_variable settled_;
    bool all_settled_ = false;
    PathSummary summary_;
};

}    // namespace holdfast::vault
