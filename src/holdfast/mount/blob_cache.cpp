#include "holdfast/mount/blob_cache.hpp"

namespace holdfast::mount {
namespace {

constexpr std::size_t k_queue_max = 16;

}    // namespace

BlobCache::BlobCache(const vault::Repository& repository, std::size_t bytes_max, unsigned fetchers)
    : repository_(repository), bytes_max_(bytes_max) {
    for (unsigned i = 0; i < fetchers; ++i) fetchers_.emplace_back([this] { fetch_loop(); });
}

BlobCache::~BlobCache() {
    {
        const std::scoped_lock lock(mutex_);
        ending_ = true;
    }
    wanted_.notify_all();
    for (std::thread& thread : fetchers_) thread.join();
}

Result<BlobCache::Blob> BlobCache::get(const Id& id) {
    {
        std::unique_lock lock(mutex_);
        for (;;) {
            const auto found = slots_.find(id);
            if (found == slots_.end()) break;
            if (found->second.blob) {
                order_.splice(order_.begin(), order_, found->second.used);
                return found->second.blob;
            }
            fetched_.wait(lock);    // somebody fetches it; if that fails, we try
        }
        slots_.try_emplace(id);
    }
    return fetch(id);
}

void BlobCache::prefetch(const Id& id) {
    {
        const std::scoped_lock lock(mutex_);
        if (slots_.contains(id) || queue_.size() == k_queue_max) return;
        queue_.push_back(id);
    }
    wanted_.notify_one();
}

std::size_t BlobCache::bytes_held() const {
    const std::scoped_lock lock(mutex_);
    return bytes_;
}

// The slot was taken by the caller.
Result<BlobCache::Blob> BlobCache::fetch(const Id& id) {
    auto read = repository_.read_blob(format::BlobType::data, id);
    Blob blob = read ? std::make_shared<const Bytes>(std::move(*read)) : nullptr;
    {
        const std::scoped_lock lock(mutex_);
        keep(id, blob);
    }
    fetched_.notify_all();
    if (!blob) return fail(std::move(read).error());
    return blob;
}

void BlobCache::keep(const Id& id, Blob blob) {
    if (!blob || blob->size() > bytes_max_) {
        slots_.erase(id);
        return;
    }
    bytes_ += blob->size();
    order_.push_front(id);
    slots_[id] = {std::move(blob), order_.begin()};
    while (bytes_ > bytes_max_) {
        const auto oldest = slots_.find(order_.back());
        bytes_ -= oldest->second.blob->size();
        slots_.erase(oldest);
        order_.pop_back();
    }
}

void BlobCache::fetch_loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wanted_.wait(lock, [&] { return ending_ || !queue_.empty(); });
        if (ending_) return;
        const Id id = queue_.front();
        queue_.pop_front();
        if (!slots_.try_emplace(id).second) continue;    // there, or on its way
        lock.unlock();
        static_cast<void>(fetch(id).has_value());    // who needs it will meet the error
        lock.lock();
    }
}

}    // namespace holdfast::mount
