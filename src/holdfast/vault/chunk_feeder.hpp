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
    explicit Chunkers(format::Polynomial p)
        : files(p, format::k_chunks_of_files), streams(p, format::k_chunks_of_streams) {}
    format::Chunker files, streams;
};

class ChunkFeeder {
public:
    /// `expected_size` keeps the buffers of small files small; more may come.
    ChunkFeeder(Pipeline& pipeline, const Chunkers& chunkers, const Cut& cut, std::uint64_t expected_size);

    /// Where the next bytes go; never empty.
    ByteSpan room();
    /// That many bytes of room() have been filled. Waits while the pipeline is full.
    Status filled(std::size_t count);
    /// The last chunk. Returns the list that the workers are filling.
    Result<std::shared_ptr<Content>> end();
    std::uint64_t size() const { return size_; }

private:
    std::optional<std::size_t> next_cut();
    Status hand_over(std::size_t length);

    Pipeline& pipeline_;
    const format::Chunker* chunker_ = nullptr;    // null: blocks
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
