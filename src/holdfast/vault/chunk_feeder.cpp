#include "holdfast/vault/chunk_feeder.hpp"

#include <algorithm>
#include <cstring>

namespace holdfast::vault {
namespace {

// One step of reading: still in the processor's cache when it is searched for a cut.
constexpr std::size_t k_step = 512u << 10;
constexpr std::size_t k_block_buffer_min = 2u << 20;

}    // namespace

ChunkFeeder::ChunkFeeder(Pipeline& pipeline, const Chunkers& chunkers, const Cut& cut, std::uint64_t expected_size)
    : pipeline_(pipeline) {
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
    if (!buffer_ || end_ == buffer_->capacity()) {
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

std::optional<std::size_t> ChunkFeeder::next_cut() {
    const ByteView open(buffer_->data() + start_, end_ - start_);
    if (chunker_) return chunker_->cut(open, seen_);
    if (open.size() < next_block_) return std::nullopt;
    return std::exchange(next_block_, block_size_);
}

Status ChunkFeeder::filled(std::size_t count) {
    end_ += count;
    size_ += count;
    while (end_ > start_) {
        const auto length = next_cut();
        if (!length) break;
        HF_DO(hand_over(*length));
    }
    seen_ = end_ - start_;
    return {};
}

Status ChunkFeeder::hand_over(std::size_t length) {
    HF_ASSERT(length > 0 && start_ + length <= end_);
    Chunk chunk{buffer_, {buffer_->data() + start_, length}, content_, content_->expect(length)};
    start_ += length;
    seen_ = 0;
    return pipeline_.submit(std::move(chunk));
}

Result<std::shared_ptr<Content>> ChunkFeeder::end() {
    if (end_ > start_) HF_DO(hand_over(end_ - start_));
    buffer_.reset();
    reserved_.reset();
    return content_;
}

}    // namespace holdfast::vault
