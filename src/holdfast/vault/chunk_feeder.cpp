#include "holdfast/vault/chunk_feeder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace holdfast::vault {
namespace {

// One step of reading: still in the processor's cache when it is searched for a cut.
constexpr std::size_t k_step = 512u << 10;
constexpr std::size_t k_block_buffer_min = 2u << 20;
// Up to here a Redis dump is cut into the smallest chunks; each further step is twice as long, and so are its chunks.
constexpr std::uint64_t k_redis_first_step = std::uint64_t(1) << 30;

bool starts_with(ByteView bytes, std::string_view start) {
    return bytes.size() >= start.size() && as_text(bytes.first(start.size())) == start;
}

}    // namespace

Chunkers::Chunkers(format::Polynomial p)
    : files(p, format::k_chunks_of_files), streams(p, format::k_chunks_of_streams) {
    for (unsigned step = 0; step < k_redis_steps; ++step)
        redis_.emplace_back(p,
                            format::ChunkSizes{(4u << 10) << step, std::min((64u << 10) << step, 2u << 20), 12 + step});
}

const format::Chunker& Chunkers::redis(std::uint64_t offset) const {
    // Steps end at 1, 3, 7, … GiB.
    const auto step = static_cast<unsigned>(std::bit_width(offset / k_redis_first_step + 1)) - 1;
    return redis_[std::min(step, k_redis_steps - 1)];
}

ChunkFeeder::ChunkFeeder(Pipeline& pipeline, const Chunkers& chunkers, const Cut& cut, std::uint64_t expected_size)
    : pipeline_(pipeline), chunkers_(chunkers) {
    switch (cut.kind) {
        case Cut::Kind::content:
            chunker_ = &chunkers.files;
            break;
        case Cut::Kind::small_content:
            chunker_ = &chunkers.streams;
            break;
        case Cut::Kind::blocks:
            HF_ASSERT(cut.block_size > 0);
            block_size_ = cut.block_size;
            next_block_ = cut.first_block ? cut.first_block : block_size_;
            break;
    }
    capacity_full_ = chunker_ ? chunker_->sizes().max : std::max({k_block_buffer_min, block_size_, next_block_});
    // Half of what the longest chunk needs is enough for 97 of 100 chunks. One byte more than expected, so that the end
    // of the file is seen in the same read.
    capacity_usual_ = chunker_ ? capacity_full_ / 2 : capacity_full_;
    capacity_ = static_cast<std::size_t>(
        std::min<std::uint64_t>(capacity_usual_, std::max<std::uint64_t>(expected_size, 4095) + 1));
    reserved_ = pipeline.reserve(capacity_);
}

ByteSpan ChunkFeeder::room() {
    // A buffer for the longest chunk is left when that is cut: filled to its end, it would be twice the memory of others.
    const auto left = [&] { return buffer_->capacity() > capacity_usual_ && start_ > 0 && end_ >= capacity_usual_; };
    if (!buffer_ || end_ == buffer_->capacity() || left()) {
        const std::size_t open = end_ - start_;
        auto fresh = pipeline_.buffers().get(!buffer_                     ? capacity_
                                             : open * 2 > capacity_usual_ ? capacity_full_
                                                                          : capacity_usual_);
        HF_ASSERT(open < fresh->capacity());
        if (buffer_) std::memcpy(fresh->data(), buffer_->data() + start_, open);
        end_ = open;
        start_ = 0;
        buffer_ = std::move(fresh);
    }
    return {buffer_->data() + end_, std::min(k_step, buffer_->capacity() - end_)};
}

// Some content is told by its first bytes and cut as it deserves.
void ChunkFeeder::look_at_start() {
    const ByteView start(buffer_->data(), end_);
    is_redis_dump_ = starts_with(start, "REDIS0");
    if (is_redis_dump_)
        chunker_ = &chunkers_.redis(0);
    else if (starts_with(start, "--\n-- PostgreSQL database"))
        chunker_ = &chunkers_.streams;
}

std::optional<std::size_t> ChunkFeeder::next_cut() {
    const ByteView open(buffer_->data() + start_, end_ - start_);
    if (chunker_) return chunker_->cut(open, seen_);
    if (open.size() < next_block_) return std::nullopt;
    return std::exchange(next_block_, block_size_);
}

Status ChunkFeeder::filled(std::size_t count) {
    end_ += count;
    if (size_ == 0 && chunker_) look_at_start();
    size_ += count;
    while (end_ > start_) {
        const auto length = next_cut();
        if (!length) break;
        HF_DO(hand_over(*length));
    }
    seen_ = end_ - start_;
    return {};
}

Status ChunkFeeder::hand_over(std::size_t length, bool last) {
    HF_ASSERT(length > 0 && start_ + length <= end_);
    Chunk chunk{buffer_, {buffer_->data() + start_, length}, content_, content_->expect(length), last};
    start_ += length;
    seen_ = 0;
    if (is_redis_dump_) chunker_ = &chunkers_.redis(size_ - (end_ - start_));
    return pipeline_.submit(std::move(chunk));
}

Status ChunkFeeder::add_stored(const Id& blob, std::size_t bytes) {
    HF_ASSERT(end_ == start_ && !is_redis_dump_);
    HF_DO(pipeline_.status());
    size_ += bytes;
    content_->stored(content_->expect(bytes), blob, 0);
    return {};
}

Result<std::shared_ptr<Content>> ChunkFeeder::end() {
    if (end_ > start_) HF_DO(hand_over(end_ - start_, true));
    buffer_.reset();
    reserved_.reset();
    return content_;
}

}    // namespace holdfast::vault
