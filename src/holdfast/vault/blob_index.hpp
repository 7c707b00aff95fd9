#pragma once
// Where each blob of the repository lies: all index files, merged.
//
//   shape    an open-addressing table of 4-byte slots, half to three quarters full, in memory: 5.3 to 8 bytes a blob. A slot is
//            an entry's number and, in the bits that it leaves, a tag of the ID: who looks for what is not there hardly ever
//            reads an entry. The entries (48 bytes) lie in a file (blob_entries.hpp) once they are more than some thousand
//   errors   if that file cannot be read, status() says so for good, and every blob that is not found is no proof: whoever
//            removes anything asks status() after his last look
//   threads  find and has from any thread at once, also beside add() (a shared mutex)

#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "holdfast/format/documents.hpp"
#include "holdfast/vault/blob_entries.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

class BlobIndex {
public:
    using PackNumber = std::uint32_t;

    /// `folder` of the temporary file; empty: $TMPDIR, else /var/tmp.
    explicit BlobIndex(std::string folder = {}) : entries_(std::move(folder)) {}

    /// A pack that is known already adds only places that are new. Returns how many places were known.
    std::size_t add(const format::IndexPack& pack);
    /// About so many blobs will come: spares growing, and changes nothing else.
    void expect(std::size_t blobs);
    void clear();
    Status status() const;

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
    };
    /// entry_number < blob_count(), which counts copies. Zeros once status() is an error.
    Numbered at(std::uint32_t entry_number) const;
    /// The number that stands for the blob of this entry.
    std::uint32_t first_of(std::uint32_t entry_number) const;
    std::size_t pack_count() const;
    std::optional<PackNumber> pack_number(const Id& pack) const;

    /// The packs with their blobs, in the order in which they were added; blobs sorted by offset. In memory, all at once.
    std::vector<format::IndexPack> packs() const;
    std::size_t blob_count() const;

private:
    std::uint32_t tag_of(const Id& id) const;
    std::size_t slot_of(const Id& id) const;
    template <class Visit>
    void visit(format::BlobType type, const Id& id, Visit&& visit_entry) const;
    void insert_slot(const Id& id, std::uint32_t number);
    void resize(std::size_t slots);

    mutable std::shared_mutex mutex_;
    BlobEntries entries_;
    std::vector<std::uint32_t> slots_;    // tag, entry number plus one; 0: free
    unsigned number_bits_ = 0;
    std::vector<Id> pack_ids_;
    std::unordered_map<Id, PackNumber> pack_numbers_;
};

}    // namespace holdfast::vault
