#pragma once
// What the steps of one restore share: the plan, the target, and how each file stands. Private to vault/'s restore.
//
//   steps     restore.cpp (folders, links, metadata) -> restore_existing.cpp (what may stay) -> restore_content.cpp
//             -> restore_delete.cpp -> restore_verify.cpp
//   threads   the note_* calls, report and a File under its mutex from any; the rest is set before threads start

#include <sys/stat.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/os/direct_file.hpp"
#include "holdfast/vault/restore_plan.hpp"
#include "holdfast/vault/restore_target.hpp"

namespace holdfast::vault {

class RestoreJob {
public:
    RestoreJob(const Repository& repository, const RestoreOptions& options, const PathFilter& filter, RestorePlan plan,
               RestoreTarget& target);

    enum class How : std::uint8_t {
        anew,    // created, after what is in the way went
        in_place,    // only chunks that differ are written
        unchanged,    // size and time say that the content is right
        left,    // skipped by Overwrite::never or if_newer
    };
    struct File {
        std::mutex mutex;
        std::shared_ptr<os::DirectFile> fd;    // while open
        How how = How::anew;
        bool created = false, finished = false, damaged = false;    // damaged: by the repository or by the target
        std::uint32_t open_pieces = 0;
        std::uint64_t size = 0;    // of its chunks together
        std::uint64_t unwritten = 0;    // since writing out was last begun
        std::unique_ptr<os::PartEnds> ends;    // while it is written past the cache
        std::unique_ptr<bool[]> right;    // in_place: chunks that lie there already
    };

    const Repository& repository;
    const RestoreOptions& options;
    const PathFilter& filter;
    const RestorePlan plan;
    RestoreTarget& target;
    std::vector<RestoreTarget::FolderNumber> folders;    // of the plan's folders in the target
    std::vector<char> blocked, was_there;    // by the plan's folders: could not be made; were there before
    std::atomic<std::size_t> ends_held = 0;    // by all of them
    std::deque<File> files;

    unsigned workers() const;
    std::string path_of(const RestorePlan::Entry& entry) const {
        return target.path_of(folders[entry.in], entry.node.name);
    }

    /// The file cannot be restored as the repository is damaged, or as the target refuses. The rest goes on.
    void note_damage(std::uint32_t file, Error why);
    void note_failed(std::string path, Error why);
    void warn(const std::string& path, Error error);
    /// The whole restore ends.
    void stop_with(Error error);
    bool stopped() const { return stopped_.load(); }
    /// True for errors of one entry that need not keep the others from being restored.
    static bool is_of_one_entry(const Error& error) {
        return error.code == ErrorCode::denied || error.code == ErrorCode::exists || error.code == ErrorCode::not_found;
    }

    void item(RestoreItem::Action action, const std::string& path, format::NodeType type, std::uint64_t size);
    void add_bytes(std::uint64_t n) { bytes_done_ += n; }
    void report(bool last);
    /// The error that ended the restore, or the list of what could not be restored.
    Status outcome();

    std::mutex mutex;    // below
    RestoreSummary summary;

private:
    Error failure_report();

    std::vector<std::pair<std::string, Error>> failed_;
    std::optional<Error> error_;
    std::mutex progress_mutex_, item_mutex_;
    std::atomic<std::uint64_t> bytes_done_ = 0;
    std::atomic<bool> stopped_ = false;
};

/// A run of chunks of one file: what one thread reads and hashes at a time.
struct ChunkRange {
    std::uint32_t file = 0, first = 0, last = 0;
    std::uint64_t offset = 0;    // of `first`
};

/// Ranges of at most 16 MiB. A file with a chunk that no index knows is noted as damaged and left out.
void append_ranges(RestoreJob& job, std::uint32_t file, std::vector<ChunkRange>& to);
/// A chunk of the plan; nothing if no index knows it.
std::optional<format::PackedBlob> chunk_of(const Repository& repository, std::uint32_t number);
/// Its plain length.
std::optional<std::uint64_t> chunk_length(const Repository& repository, std::uint32_t number);
/// Calls `each(chunk, equal)` for the chunks of the range, as they are in `fd`. Equal: there, and with the right hash.
Status compare_chunks(const RestoreJob& job, const ChunkRange& range, int fd, Bytes& scratch,
                      const std::function<void(std::uint32_t chunk, std::uint64_t length, bool equal)>& each);
/// `each(i)` for i below `count`, on the job's threads (or `threads` of them), until the job is stopped.
void run_parallel(RestoreJob& job, std::size_t count, const std::function<void(std::size_t)>& each,
                  unsigned threads = 0);

/// Whether new content may be written into the file that lies there, as it is.
bool may_write_in_place(const struct stat& st, const format::Node& node);
/// Decides for every file how it is restored (in job.files), from what lies in the target.
Status look_at_existing(RestoreJob& job);
/// The same for a link, device or pipe, or another name of a file: true when it may be (re)made.
Result<bool> may_replace(RestoreJob& job, RestorePlan::FolderNumber in, const std::string& name,
                         const format::Node& node);
void write_contents(RestoreJob& job);
Status delete_others(RestoreJob& job);
Status verify_contents(RestoreJob& job);

}    // namespace holdfast::vault
