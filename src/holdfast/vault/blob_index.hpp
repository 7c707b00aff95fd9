#pragma once
// Where each blob of the repository lies: all index files, merged, in memory.
//
//   shape    one entry of 48 bytes a blob and an open-addressing table of 4-byte slots, at most three quarters full:
//            53 to 59 bytes a blob. No nodes, no pointers: five million blobs take about 280 MB.
//   threads  find and has from any thread at once, also beside add() (a shared mutex)

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "holdfast/format/documents.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

class BlobIndex {
public:
    using PackNumber = std::uint32_t;

    /// A pack that is known already adds only places that are new. Returns how many places were known.
    std::size_t add(const format::IndexPack& pack);
    void clear();

    bool has(format::BlobType type, const Id& id) const;
    std::vector<BlobPlace> places(format::BlobType type, const Id& id) const;

    /// One place without its pack's name: what a restore keeps for every blob.
    struct Place {
        PackNumber pack = 0;
        std::uint32_t offset = 0, length = 0, uncompressed_length = 0;
    };
    std::optional<Place> first_place(format::BlobType type, const Id& id) const;
    Id pack_id(PackNumber pack) const;

    /// Entries are numbered from 0 in the order in which they came; a number stays until clear(). Of several copies of a
    /// blob the first one's number stands for the blob, so that a set of blobs is one bit an entry.
    std::optional<std::uint32_t> number(format::BlobType type, const Id& id) const;
    struct Numbered {
        PackNumber pack = 0;
        format::PackedBlob blob;
        std::uint32_t first = 0;    // the number that stands for the blob
    };
    /// entry_number < blob_count(), which counts copies.
    Numbered at(std::uint32_t entry_number) const;
    std::size_t pack_count() const;
    std::optional<PackNumber> pack_number(const Id& pack) const;

    /// The packs with their blobs, in the order in which they were added; blobs sorted by offset. For check.
    std::vector<format::IndexPack> packs() const;
    std::size_t blob_count() const;

private:
    struct Entry {
        Id id;
        PackNumber pack_and_type = 0;    // the pack's number times two, plus one for a tree
        std::uint32_t offset = 0, length = 0, uncompressed_length = 0;
    };
    static constexpr std::size_t k_block = 4096;
    using Block = std::unique_ptr<Entry[]>;    // growing never copies entries

    const Entry& entry(std::uint32_t number) const { return blocks_[number / k_block][number % k_block]; }
    template <class Visit>
    void visit(format::BlobType type, const Id& id, Visit&& visit_entry) const;
    template <class Visit>
    void visit_numbers(format::BlobType type, const Id& id, Visit&& visit_number) const;
    void insert_slot(std::uint32_t number);
    void grow();

    mutable std::shared_mutex mutex_;
    std::vector<Block> blocks_;
    std::uint32_t count_ = 0;
    std::vector<std::uint32_t> slots_;    // entry number plus one; 0: free
    std::vector<Id> pack_ids_;
    std::unordered_map<Id, PackNumber> pack_numbers_;
};

}    // namespace holdfast::vault
