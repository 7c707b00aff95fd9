#pragma once
// Opened blobs, the ones used last, within a bound; and a few threads that fetch what a reader will want next.
//
//   threads  any
//   errors   those of Repository::read_blob; a failure is not kept: the next reader tries again
//   bound    what readers hold at the moment comes on top: one blob each

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::mount {

class BlobCache {
public:
    using Blob = std::shared_ptr<const Bytes>;

    BlobCache(const vault::Repository& repository, std::size_t bytes_max, unsigned fetchers);
    ~BlobCache();
    BlobCache(const BlobCache&) = delete;
    BlobCache& operator=(const BlobCache&) = delete;

    /// Two readers of one blob cause one fetch.
    Result<Blob> get(const Id& id);
    /// Soon wanted. Forgotten when too much is asked for at once.
    void prefetch(const Id& id);
    std::size_t bytes_held() const;

private:
    struct Slot {
        Blob blob;    // null: being fetched
        std::list<Id>::iterator used;    // in order_, once fetched
    };
    Result<Blob> fetch(const Id& id);
    void keep(const Id& id, Blob blob);
    void fetch_loop();

    const vault::Repository& repository_;
    const std::size_t bytes_max_;
    mutable std::mutex mutex_;
    std::condition_variable fetched_, wanted_;
    std::unordered_map<Id, Slot> slots_;
    std::list<Id> order_;    // used last: front
    std::deque<Id> queue_;
    std::size_t bytes_ = 0;
    bool ending_ = false;
    std::vector<std::thread> fetchers_;
};

}    // namespace holdfast::mount
