#pragma once
// One run that ends in one snapshot. Files and streams go in from any number of threads; a bounded pipeline
// (read, chunk | hash, dedup, compress, encrypt, pack | fsync) takes them; commit() makes trees and the snapshot.
//
//   order      packs durable → index naming them → snapshot; a kill at any instant leaves a repository that checks, and
//              what was indexed by then (every 15 s) is found by the next run
//   memory     bounded by BackupOptions::memory_max, whatever the sources do: write() waits
//   threads    add_path(), start_stream() and each StreamWriter may be used from different threads at once
//   errors     the first failure of the repository (disk full, lock lost) makes every later call return it

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// Counters for progress; read from any thread.
struct BackupProgress {
    std::uint64_t files_done = 0, bytes_done = 0;    // processed, whether new or known
    std::uint64_t files_found = 0, bytes_found = 0;    // seen so far by the walk; grows
    std::uint64_t bytes_added = 0, bytes_stored = 0;    // new plain bytes, and what they took in the repository
    std::uint64_t errors = 0;
};

struct BackupOptions {
    std::string hostname;    // empty: this host's
    std::optional<Timestamp> time;    // of the snapshot; nullopt: the run's start
    std::vector<std::string> paths;    // what the snapshot says was backed up
    std::vector<std::string> tags;
    std::optional<SnapshotEntry> parent;    // unchanged files are taken from it without being read
    std::string program_version;    // "holdfast 0.1.0"
    std::size_t memory_max = std::size_t(48) << 20;    // bytes of content in flight
    std::uint32_t pack_size_target = 16u << 20;
    int compression_level = 1;    // zstd; 0: store plain
    unsigned workers = 0;    // 0: one per processor, at least 2
    bool with_atime = false;
    /// Decrypt, decompress and hash each blob before it is written: finds faulty memory, costs 43 % more CPU.
    bool verify_writes = false;
};

/// How a stream is cut into blobs.
struct Cut {
    enum class Kind { content, small_content, blocks } kind = Kind::content;
    std::uint32_t block_size = 0;    // blocks: each chunk is one block …
    std::uint32_t first_block = 0;    // … but the first one has this many bytes (a header); 0: as the others
    static Cut content() { return {}; }
    static Cut dump() { return {Kind::small_content, 0, 0}; }    // k_chunks_of_streams
    static Cut blocks(std::uint32_t size, std::uint32_t first = 0) { return {Kind::blocks, size, first}; }
};

struct StreamOptions {
    Cut cut;
    std::uint32_t mode = 0644;
    std::optional<Timestamp> mtime;    // nullopt: the run's start
    std::optional<std::pair<std::uint32_t, std::uint32_t>> owner = std::nullopt;    // user and group; nullopt: ours
    std::uint64_t size_expected = ~std::uint64_t(0) - 1;    // keeps the buffers of small files small; more may come
};

struct StreamReceipt {
    std::uint64_t size = 0;    // plain bytes
    std::uint64_t bytes_added = 0;    // of them new to the repository
    std::vector<Id> blobs;    // of its content, in order
};

/// One file of the snapshot, written as a stream. Leaving without finish() leaves nothing in the snapshot.
class StreamWriter {
public:
    virtual ~StreamWriter() = default;
    /// Waits while the pipeline is full.
    virtual Status write(ByteView bytes) = 0;
    /// A blob that Backup::has_blob() knows comes next: nothing is read, hashed or stored. Only where a blob begins: with
    /// Cut::blocks at the beginning or behind whole blocks.
    virtual Status add_stored(const Id& blob, std::size_t bytes) = 0;
    /// No more will come. The content may still be on its way: who writes many files ends each at once, and finishes it
    /// some files later, so that nothing waits.
    virtual Status end() = 0;
    /// Ends it, waits until the content is stored, and puts the file into the snapshot, replacing one that an earlier attempt put at the same path.
    virtual Result<StreamReceipt> finish() = 0;
};

struct PathOptions {
    std::vector<std::string> excludes;    // glob patterns, as restic's --exclude
    bool one_file_system = false;
    /// Where the path appears in the snapshot: "" keeps its absolute path (as restic does), "config" puts that absolute
    /// path below: /etc/app.toml becomes config/etc/app.toml. So two files of one name never collide.
    std::string under;
    /// Only files changed at or after this time (logs of the last 7 days); folders without any are left out.
    std::optional<Timestamp> newer_than;
    /// The folder of this machine that stands for "/": with "/tmp/x", /tmp/x/etc/app.toml goes where /etc/app.toml would.
    std::string base = {};
};

struct PathSummary {
    std::uint64_t files = 0, folders = 0, bytes = 0;
    std::uint64_t bytes_added = 0;    // of them new to the repository
    std::uint64_t files_unchanged = 0;
    /// Files and folders that could not be read: path and why. Not empty makes the run incomplete.
    std::vector<std::pair<std::string, Error>> unreadable;
    /// What was listed but gone when its turn came (rotated logs): no failure.
    std::vector<std::string> vanished;
};

class Backup {
public:
    /// Takes the shared lock, loads the index, starts the threads.
    static Result<std::unique_ptr<Backup>> start(Repository& repository, BackupOptions options);
    ~Backup();    // abandons: what is stored stays (and is found by the next run), no snapshot appears

    /// Adds a file or a whole folder tree of this machine. Unchanged files (type, size, mtime, ctime, inode equal to the
    /// parent's) are not read. Unreadable files are reported, not fatal. A path that is not there: not_found.
    /// Files that are DuckDB databases are cut on their blocks.
    Result<PathSummary> add_path(const std::string& path, const PathOptions& options = {});

    /// `path` is relative to the snapshot's root: "postgres/trading.dump". Folders on the way appear by themselves (0755).
    Result<std::unique_ptr<StreamWriter>> start_stream(const std::string& path, const StreamOptions& options = {});
    /// A small file at once.
    Status add_file(const std::string& path, ByteView content, std::uint32_t mode = 0644);
    /// A folder with its mode and owner, whether or not something lies in it, before or after what does.
    Status add_folder(const std::string& path, const StreamOptions& options);
    Status add_link(const std::string& path, const std::string& target, const StreamOptions& options = {});
    /// Takes a file or folder of the parent snapshot into this one as it is (nothing is read). not_found if it has none.
    Status reuse(const std::string& path_in_parent, const std::string& path);
    /// The same out of any snapshot, by its tree.
    Status reuse(const Id& tree, const std::string& path_in_tree, const std::string& path);
    /// Whether the repository holds it, or this run has just stored it.
    bool has_blob(const Id& id) const;
    /// Drops what was put at or below this path (a component that failed half-way).
    void forget_path(const std::string& path);

    BackupProgress progress() const;
    /// What was new to the repository of the files put at or below this path, which is at most two names deep, so far.
    std::uint64_t bytes_added_below(const std::string& path) const;

    struct Outcome {
        Id snapshot;
        format::SnapshotSummary summary;
    };
    /// Waits for the pipeline, writes trees, index and snapshot. `tags` are added to those of the options.
    Result<Outcome> commit(const std::vector<std::string>& tags = {});

    struct State;

private:
    explicit Backup(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::vault
