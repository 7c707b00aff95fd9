#pragma once
// The writing half of a backup: chunks and trees in, packs and index files out.
//
//   submit() ─▶ queue ─▶ workers: hash ▸ claim ▸ compress ▸ encrypt ▸ own open pack ─▶ syncers: seal ▸ fsync ▸ index
//
//   order    a pack is safe before an index names it; sync() lies between them
//   memory   submit() waits while the chunks in the queue and in work exceed the limit; packs stream out
//   threads  submit, store_tree and the counters from any thread; finish once
//   errors   the first failure stays: every later call returns it, and waiting calls wake

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "holdfast/vault/backup.hpp"
#include "holdfast/vault/buffer_pool.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/pack_builder.hpp"

namespace holdfast::vault {

/// The list of blobs of one file, filled in by the workers in whatever order they finish.
class Content {
public:
    /// Room for one more chunk; its number.
    std::size_t expect(std::size_t length);
    void stored(std::size_t number, const Id& id, std::uint64_t bytes_added);
    /// No more chunks will come. `done` is called once, by whoever finishes last.
    void end(std::function<void(Content&)> done);

    // Stable once done.
    std::vector<Id> ids;
    std::uint64_t size = 0, bytes_added = 0;

private:
    void finished_one(std::unique_lock<std::mutex> lock);
    std::mutex mutex_;
    std::size_t open_ = 1;    // chunks in work, and the source
    std::function<void(Content&)> done_;
};

struct Chunk {
    std::shared_ptr<Buffer> buffer;
    ByteView bytes;    // inside the buffer
    std::shared_ptr<Content> content;
    std::size_t number = 0;
    bool last = false;    // of its content: somebody may wait for it
};

class Pipeline {
public:
    Pipeline(Repository& repository, const RepositoryLock& lock, const BackupOptions& options);
    ~Pipeline();

    /// Waits for room. The chunk's Content hears of it in any case, also after a failure.
    Status submit(Chunk chunk);
    /// Hashes and, if it is new, stores a tree at once, in the calling thread.
    Result<Id> store_tree(std::string_view json);
    /// The same of nodes, sorted by name; their numbers, if they have any, are the index's. A long text is not held in memory: it
    /// is written once for the hash, and once more if the tree is new.
    Result<Id> store_tree(std::span<const format::Node* const> nodes);

    /// The repository has it, or this run stores it.
    bool has(format::BlobType type, const Id& id);
    /// Everything submitted is stored, every pack safe and named by an index. Nothing may be submitted any more.
    Status finish();
    /// The first failure.
    Status status() const;
    void fail_with(Error error);

    BufferPool& buffers() { return buffers_; }
    /// A source fills a buffer of `bytes` while this lives, and its last one may still wait for its last chunk: twice
    /// as much less may wait in the queue.
    std::shared_ptr<void> reserve(std::size_t bytes);

    struct Counters {
        std::atomic<std::uint64_t> bytes_done = 0, bytes_added = 0, bytes_stored = 0, data_blobs = 0, tree_blobs = 0;
    };
    const Counters& counters() const { return counters_; }

private:
    struct Worker;
    struct Sealer;    // cipher and compressor of one thread

    void work(Worker& worker);
    /// No time to wait for more chunks. Under queue_mutex_.
    bool is_urgent() const;
    /// Chunks for one worker; none when no more will come. Waits.
    std::vector<Chunk> next_batch();
    /// Returns how much of it is new to the repository.
    Result<std::uint64_t> store(Worker& worker, const Chunk& chunk, const Id& id);
    bool claim(format::BlobType type, const Id& id);
    void drop_claims(IdSet& claimed, const IdSet& indexed);
    /// Appends to `pack`; a full pack goes to the syncer and `pack` becomes a fresh one.
    Status append(Sealer& sealer, PackBuilder& pack, format::BlobType type, const Id& id, ByteView plain);
    Status append_stored(Sealer& sealer, PackBuilder& pack, const format::PackedBlob& blob, ByteView stored);
    Status append_pieces(Sealer& sealer, PackBuilder& pack, const Id& tree, std::uint32_t size,
                         const std::function<Status(const PackBuilder::Take&)>& compress);
    Status appended(PackBuilder& pack, std::uint64_t plain_length, std::uint32_t length);
    Status hand_over(PackBuilder pack);
    void sync_loop();
    bool index_is_due();
    Status write_index();
    Status write_index_of(std::vector<format::IndexPack>& sealed);
    bool failed() const { return failed_.load(std::memory_order_acquire); }

    Repository& repository_;
    const RepositoryLock& lock_;
    const std::uint64_t memory_max_;
    const std::uint32_t pack_size_target_;
    const int compression_level_;
    const bool verify_writes_;
    BufferPool buffers_;
    Counters counters_;

    std::mutex queue_mutex_;
    std::condition_variable chunk_ready_, room_;
    std::deque<Chunk> chunks_;
    std::uint64_t in_flight_ = 0, reserved_ = 0;
    std::uint64_t queued_ = 0;    // bytes of chunks_
    std::size_t gathering_ = 0;    // workers that wait for more chunks
    std::size_t waiting_ = 0, last_ones_ = 0;    // sources that wait for room, chunks that are their content's last
    bool no_more_chunks_ = false;

    std::mutex claim_mutex_;
    IdSet claimed_data_, claimed_trees_;    // stored by this run, and in no index yet

    std::mutex tree_mutex_;
    std::unique_ptr<Sealer> tree_sealer_;
    PackBuilder tree_pack_;

    std::mutex pack_mutex_;
    std::condition_variable pack_ready_, pack_room_;
    std::deque<PackBuilder> full_packs_;
    bool no_more_packs_ = false;

    std::mutex sealed_mutex_;
    std::vector<format::IndexPack> unindexed_;    // safe, but in no index yet
    std::size_t unindexed_blobs_ = 0;
    Instant indexed_at_;
    std::mutex index_mutex_;    // one index at a time

    mutable std::mutex error_mutex_;
    std::optional<Error> error_;
    std::atomic<bool> failed_ = false;
    bool finished_ = false;

    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::thread> syncers_;    // as many as the storage has connections
};

}    // namespace holdfast::vault
