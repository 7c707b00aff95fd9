#pragma once
// Cuts one file's bytes into chunks and hands them to the pipeline. Sources read straight into room(), so that nothing
// is copied but the start of a chunk that a buffer's end cuts off.
//
//   threads  one source a feeder

#include "holdfast/format/chunker.hpp"
#include "holdfast/vault/pipeline.hpp"

namespace holdfast::vault {

/// The chunkers of one repository; their tables are shared by all feeders.
struct Chunkers {
    explicit Chunkers(format::Polynomial p);
    /// What cuts a Redis dump at this offset. Its keys lie in the order of their hashes, so that any change touches all
    /// of it: of a dump with one per cent of its keys changed 87 % are new in chunks of 1.5 MiB, and 35 % in such of
    /// 8 KiB, for which it is stored 19 % larger at first. Each blob costs an entry in every index: the further into the
    /// dump, the longer the chunks. 1 GiB makes 130,000 blobs, 10 GiB half a million.
    const format::Chunker& redis(std::uint64_t offset) const;
    format::Chunker files, streams;

private:
    static constexpr unsigned k_redis_steps = 7;
    std::vector<format::Chunker> redis_;
};

class ChunkFeeder {
public:
    /// `expected_size` keeps the buffers of small files small; more may come.
    ChunkFeeder(Pipeline& pipeline, const Chunkers& chunkers, const Cut& cut, std::uint64_t expected_size);

    /// Where the next bytes go; never empty.
    ByteSpan room();
    /// That many bytes of room() have been filled. Waits while the pipeline is full.
    Status filled(std::size_t count);
    /// This blob comes next, as it is stored already; no chunk is open.
    Status add_stored(const Id& blob, std::size_t bytes);
    /// The last chunk. Returns the list that the workers are filling.
    Result<std::shared_ptr<Content>> end();
    std::uint64_t size() const { return size_; }

private:
    std::optional<std::size_t> next_cut();
    void look_at_start();
    Status hand_over(std::size_t length, bool last = false);

    Pipeline& pipeline_;
    const Chunkers& chunkers_;
    const format::Chunker* chunker_ = nullptr;    // null: blocks
    bool is_redis_dump_ = false;
    std::size_t block_size_ = 0, next_block_ = 0;
    std::size_t capacity_, capacity_usual_,
        capacity_full_;    // of the first buffer, the next ones, for the longest chunk
    std::shared_ptr<Buffer> buffer_;
    std::size_t start_ = 0, end_ = 0, seen_ = 0;    // the open chunk in the buffer, and how far it was searched
    std::uint64_t size_ = 0;
    std::shared_ptr<void> reserved_;
    std::shared_ptr<Content> content_ = std::make_shared<Content>();
};

}    // namespace holdfast::vault
