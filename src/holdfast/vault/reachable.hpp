#pragma once
// Which blobs do these snapshots need? The mark phase of prune, copy, stats and repair: every tree below the given roots
// is read once, by several threads.
//
//   memory   one bit an entry of the index for the answer, and 4 bytes for each tree that still waits to be read: for
//            five million blobs some 600 KB, and no list of IDs
//   errors   a tree that cannot be read stops the walk, unless MarkOptions::unreadable takes it. Blobs that no index
//            names do not: they are listed in missing()
//   threads  contains() from any thread; the index must be loaded and may grow meanwhile, but not be cleared

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

class BlobIndex;

class Reachable {
public:
    explicit Reachable(const BlobIndex& index);

    bool contains(format::BlobType type, const Id& id) const;
    /// By the number that BlobIndex gives the blob's first copy.
    bool contains(std::uint32_t number) const {
        return number < size_ && (bits_[number / 64].load(std::memory_order_relaxed) >> (number % 64) & 1) != 0;
    }
    /// True if it was not marked before.
    bool mark(std::uint32_t number);

    /// Calls `each` for every blob that is needed, once, with the place of its first copy.
    void for_each(const std::function<void(const BlobPlace&)>& each) const;

    std::uint64_t tree_count() const { return trees_; }
    std::uint64_t data_count() const { return data_; }

    /// Needed, but named by no index.
    struct Missing {
        format::BlobType type = format::BlobType::data;
        Id id;
        Id needed_by;    // the tree that names it; all zero for the root of a snapshot
    };
    const std::vector<Missing>& missing() const { return missing_; }

private:
    friend class Marker;
    const BlobIndex* index_;
    std::size_t size_;    // entries of the index when the walk began
    std::unique_ptr<std::atomic<std::uint64_t>[]> bits_;
    std::uint64_t trees_ = 0, data_ = 0;
    std::vector<Missing> missing_;
};

struct MarkOptions {
    unsigned threads = 0;    // 0: one per processor, at least 2
    std::function<void(std::uint64_t trees)> progress;    // trees read so far; from one thread at a time
    /// Called for every tree that was read, from several threads at once, in no order.
    std::function<Status(const Id& id, const format::Tree& tree)> visit;
    /// Called, from one thread at a time, for a tree that cannot be read; without it the walk ends with the error.
    std::function<void(const Id& id, const Error& error)> unreadable;
};

/// The trees at `roots`, all below them and all content that they name. `roots` may repeat.
Result<Reachable> find_reachable(const Repository& repository, std::span<const Id> roots,
                                 const MarkOptions& options = {});

}    // namespace holdfast::vault
