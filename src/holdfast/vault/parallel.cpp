#include "holdfast/vault/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "holdfast/os/host.hpp"

namespace holdfast::vault {

unsigned worker_count() { return std::max(2u, os::processor_count()); }

unsigned reader_count(const storage::Backend& backend) {
    return std::max(worker_count(), std::min(backend.connections(), 16u));
}

bool is_far(const storage::Backend& backend) { return reader_count(backend) > worker_count(); }

Status for_each_of(std::size_t count, unsigned threads, const std::function<Status(std::size_t)>& each) {
    std::atomic<std::size_t> next = 0;
    std::atomic<bool> failed = false;
    std::mutex mutex;
    std::optional<Error> error;
    const auto loop = [&] {
        for (std::size_t at = next++; at < count && !failed; at = next++) {
            auto status = os::stop_requested() ? Status(fail(ErrorCode::cancelled, "stopped")) : each(at);
            if (status) continue;
            const std::scoped_lock lock(mutex);
            if (!error) error = std::move(status).error();
            failed = true;
        }
    };
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < std::min<std::size_t>(threads, count); ++i) others.emplace_back(loop);
    loop();
    for (std::thread& other : others) other.join();
    if (error) return fail(*std::move(error));
    return {};
}

}    // namespace holdfast::vault
