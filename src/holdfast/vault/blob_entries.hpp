#pragma once
// The entries of a BlobIndex by their numbers. The newest are in memory; the others lie in a file without a name (os::unnamed_file),
// which holds IDs and places, no content. Memory does not follow their count: two blocks of 192 KiB, and a cache of as much.
//
//   errors   where the file cannot be made or is full, entries stay in memory: a warning in the log, once. What was written and
//            cannot be read any more makes status() an error for good, and at() then answers with entries of all zeros
//   threads  at() and for_each() from any, but not beside add() and clear()

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::vault {

struct BlobEntry {
    Id id;
    std::uint32_t pack_and_type = 0;    // the pack's number times two, plus one for a tree
    std::uint32_t offset = 0, length = 0, uncompressed_length = 0;
    bool operator==(const BlobEntry&) const = default;
};
static_assert(std::has_unique_object_representations_v<BlobEntry>);    // written as it lies in memory

class BlobEntries {
public:
    /// `folder` of the file; empty: $TMPDIR, else /var/tmp.
    explicit BlobEntries(std::string folder = {});
    ~BlobEntries();

    std::uint32_t size() const { return count_; }
    void add(const BlobEntry& entry);
    void clear();
    BlobEntry at(std::uint32_t number) const;
    /// In the order of their numbers, by long reads.
    void for_each(const std::function<void(std::uint32_t number, const BlobEntry&)>& each) const;
    Status status() const;

private:
    static constexpr std::uint32_t k_block = 4096;    // entries that are written, or kept, together
    static constexpr std::uint32_t k_piece = 64;    // that are read together
    static constexpr std::size_t k_cached = 64;    // pieces
    using Block = std::unique_ptr<BlobEntry[]>;
    struct Cached {
        std::mutex mutex;
        std::optional<std::uint32_t> number;    // of the piece
        std::array<BlobEntry, k_piece> entries;
    };

    void write_out(std::uint32_t block);
    bool read(std::uint32_t first, std::span<BlobEntry> to) const;

    const std::string folder_;
    std::vector<Block> blocks_;    // null: in the file
    Block spare_;
    std::uint32_t count_ = 0;
    os::Fd file_;
    bool stay_ = false;    // the file was refused or is full
    std::unique_ptr<std::array<Cached, k_cached>> cache_;
    mutable std::mutex error_mutex_;
    mutable std::optional<Error> error_;
};

}    // namespace holdfast::vault
