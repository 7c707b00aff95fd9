#pragma once
// Takes one file or folder tree of this machine into the snapshot: lists, compares with the parent snapshot, has changed
// files read, and stores each folder's tree as soon as all in it is done.
//
//   order    a folder is walked by names, several folders at a time; files finish in any order
//   memory   the nodes of the folders that are not finished yet

#include <sys/stat.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

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

    struct Listing;
    // A folder whose turn has not come.
    struct Waiting {
        std::shared_ptr<Listing> in;
        std::size_t place = 0;
        struct stat st{};
    };

    // Every name that comes in is settled in its folder, whatever becomes of it.
    Status walk_entry(const std::shared_ptr<Listing>& in, std::size_t place);
    Status walk_folder(const std::shared_ptr<Listing>& in, std::size_t place, const struct stat& st);
    void walk_file(Listing& in, std::size_t place, const struct stat& st);
    /// Leaves a folder to another thread if one has too little to do; else it is for the caller.
    bool hand_over(const std::shared_ptr<Listing>& in, std::size_t place, const struct stat& st);
    /// Walks folders that were handed over until there will be none any more.
    void walk_waiting();
    void stop_walking(Error error);
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

    std::mutex walk_mutex_;
    std::condition_variable walk_ready_;
    std::vector<Waiting> waiting_;
    std::size_t walking_ = 0;    // folders handed over and not done, and the walk of the top
    std::optional<Error> problem_;    // what ended the walk early

    std::mutex mutex_;
    std::condition_variable settled_;
    bool all_settled_ = false;
    PathSummary summary_;
};

}    // namespace holdfast::vault
