#pragma once
// Buffers for content on its way from a source to the workers. Chunks are views into them; a buffer goes back when its
// last chunk is done. Some large ones are kept for the next use: fresh memory costs a page fault every 4 KiB.
//
// Large ones are mapped, not allocated: malloc answers the first free() of an 8 MiB buffer by serving all such sizes from
// its heaps from then on, and keeps them there: 145 MiB resident instead of 70 in a backup of 1.5 GB.

#include <memory>
#include <mutex>
#include <vector>

#include "holdfast/base/bytes.hpp"

namespace holdfast::vault {

class Buffer {
public:
    /// Huge pages take 2 MiB at the first touch; where there are some, filling and reading them is cheaper, and above all
    /// writing them past the page cache: each is one piece for the disk's driver instead of 512.
    enum class Pages { usual, huge };
    explicit Buffer(std::size_t capacity, Pages pages = Pages::usual);
    ~Buffer();
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    std::byte* data() const { return bytes_; }
    std::size_t capacity() const { return capacity_; }
    bool is_large() const;

private:
    std::byte* bytes_ = nullptr;
    std::size_t capacity_;
};

/// Memory for one of the longest chunks at a time: several at once are what makes a run's peak grow with the data.
class LongRoom {
public:
    /// Enough for a chunk as restic and we cut it, and its envelope; what is more is not kept.
    static constexpr std::size_t k_usual = 18u << 20;
    explicit LongRoom(Buffer::Pages pages) : pages_(pages) {}

    /// `bytes` are the holder's while it lives; who else wants some waits.
    struct Turn {
        std::unique_lock<std::mutex> lock;
        ByteSpan bytes;
    };
    Turn take(std::size_t size);

private:
    const Buffer::Pages pages_;
    std::mutex mutex_;
    std::unique_ptr<Buffer> buffer_;
};

class BufferPool {
public:
    /// At most `keep_max` bytes lie idle.
    explicit BufferPool(std::size_t keep_max) : state_(std::make_shared<State>(keep_max)) {}
    /// At least `capacity` bytes.
    std::shared_ptr<Buffer> get(std::size_t capacity);

private:
    struct State {
        explicit State(std::size_t max) : keep_max(max) {}
        std::unique_ptr<Buffer> take(std::size_t capacity);
        void give(std::unique_ptr<Buffer> buffer);
        const std::size_t keep_max;
        std::mutex mutex;
        std::vector<std::unique_ptr<Buffer>> idle;
        std::size_t kept = 0;
    };
    std::shared_ptr<State> state_;
};

}    // namespace holdfast::vault
