#include "holdfast/vault/buffer_pool.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "holdfast/base/result.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_large = 256u << 10;
constexpr std::size_t k_huge_page = 2u << 20;

std::byte* map(std::size_t size) {
    void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HF_ASSERT(mapped != MAP_FAILED);    // as new does when memory is out
    return static_cast<std::byte*>(mapped);
}

// From a page's beginning, or none of them is huge.
std::byte* map_huge(std::size_t size) {
    std::byte* const mapped = map(size + k_huge_page);
    const std::size_t before = (0 - reinterpret_cast<std::uintptr_t>(mapped)) % k_huge_page;
    if (before > 0) ::munmap(mapped, before);
    if (before < k_huge_page) ::munmap(mapped + before + size, k_huge_page - before);
    ::madvise(mapped + before, size, MADV_HUGEPAGE);    // as many as there are
    return mapped + before;
}

}    // namespace

Buffer::Buffer(std::size_t capacity, Pages pages) : capacity_(capacity) {
    if (pages == Pages::huge) capacity_ = (capacity + k_huge_page - 1) / k_huge_page * k_huge_page;
    bytes_ = pages == Pages::huge ? map_huge(capacity_) : is_large() ? map(capacity_) : new std::byte[capacity_];
}

Buffer::~Buffer() {
    if (is_large())
        ::munmap(bytes_, capacity_);
    else
        delete[] bytes_;
}

bool Buffer::is_large() const { return capacity_ >= k_large; }

LongRoom::Turn LongRoom::take(std::size_t size) {
    std::unique_lock lock(mutex_);
    if (!buffer_ || buffer_->capacity() < size || (size <= k_usual && buffer_->capacity() > k_usual)) {
        buffer_.reset();    // first: never both
        buffer_ = std::make_unique<Buffer>(std::max(size, k_usual), pages_);
    }
    return {std::move(lock), {buffer_->data(), size}};
}

std::shared_ptr<Buffer> BufferPool::get(std::size_t capacity) {
    std::unique_ptr<Buffer> buffer = state_->take(capacity);
    if (!buffer) buffer = std::make_unique<Buffer>(capacity);
    return {buffer.release(), [state = state_](Buffer* used) { state->give(std::unique_ptr<Buffer>(used)); }};
}

std::unique_ptr<Buffer> BufferPool::State::take(std::size_t capacity) {
    const std::scoped_lock lock(mutex);
    for (auto& one : idle) {
        if (one->capacity() < capacity || one->capacity() / 2 > capacity) continue;
        std::swap(one, idle.back());
        auto buffer = std::move(idle.back());
        idle.pop_back();
        kept -= buffer->capacity();
        return buffer;
    }
    return nullptr;
}

void BufferPool::State::give(std::unique_ptr<Buffer> buffer) {
    if (!buffer->is_large()) return;
    const std::scoped_lock lock(mutex);
    if (kept + buffer->capacity() > keep_max) return;
    kept += buffer->capacity();
    idle.push_back(std::move(buffer));
}

}    // namespace holdfast::vault
