#pragma once
// Buffers for content on its way from a source to the workers. Chunks are views into them; a buffer goes back when its
// last chunk is done. Large ones are kept for the next use: fresh memory costs a page fault every 4 KiB.

#include <memory>
#include <mutex>
#include <vector>

#include "holdfast/base/bytes.hpp"

namespace holdfast::vault {

struct Buffer {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t capacity = 0;
};

class BufferPool {
public:
    explicit BufferPool(std::size_t keep_max) : state_(std::make_shared<State>(keep_max)) {}

    /// At least `capacity` bytes.
    std::shared_ptr<Buffer> get(std::size_t capacity) {
        std::unique_ptr<Buffer> buffer;
        if (capacity >= k_pooled_min) buffer = state_->take(capacity);
        if (!buffer) buffer = std::make_unique<Buffer>(Buffer{std::make_unique_for_overwrite<std::byte[]>(capacity), capacity});
        return {buffer.release(), [state = state_](Buffer* used) { state->give(std::unique_ptr<Buffer>(used)); }};
    }

private:
    static constexpr std::size_t k_pooled_min = 1u << 20;

    struct State {
        explicit State(std::size_t max) : keep_max(max) {}
        std::unique_ptr<Buffer> take(std::size_t capacity) {
            const std::scoped_lock lock(mutex);
            for (auto& one : idle) {
                if (one->capacity < capacity || one->capacity > capacity * 2) continue;
                std::swap(one, idle.back());
                auto buffer = std::move(idle.back());
                idle.pop_back();
                kept -= buffer->capacity;
                return buffer;
            }
            return nullptr;
        }
        void give(std::unique_ptr<Buffer> buffer) {
            const std::scoped_lock lock(mutex);
            if (buffer->capacity < k_pooled_min || kept + buffer->capacity > keep_max) return;
            kept += buffer->capacity;
            idle.push_back(std::move(buffer));
        }
        const std::size_t keep_max;
        std::mutex mutex;
        std::vector<std::unique_ptr<Buffer>> idle;
        std::size_t kept = 0;
    };
    std::shared_ptr<State> state_;
};

}    // namespace holdfast::vault
