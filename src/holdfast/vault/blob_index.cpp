#include "holdfast/vault/blob_index.hpp"

#include <algorithm>
#include <bit>
#include <mutex>

namespace holdfast::vault {
namespace {

constexpr std::size_t k_slots_min = 1024;
constexpr std::size_t k_expected_max = 4 << 20;    // blobs; beyond it the table grows as they come

format::BlobType type_of(const BlobEntry& entry) {
    return entry.pack_and_type & 1 ? format::BlobType::tree : format::BlobType::data;
}
format::PackedBlob blob_of(const BlobEntry& e) { return {e.id, type_of(e), e.offset, e.length, e.uncompressed_length}; }

}    // namespace

// The first half of the hash says where, the other half is the tag.
std::size_t BlobIndex::slot_of(const Id& id) const {
    return (std::uint64_t(static_cast<std::uint32_t>(std::hash<Id>()(id))) * slots_.size()) >> 32;
}
std::uint32_t BlobIndex::tag_of(const Id& id) const {
    return static_cast<std::uint32_t>(std::hash<Id>()(id) >> 32) >> number_bits_ << number_bits_;
}

// `visit_entry(number, entry)`, in the order of the numbers; until it returns false.
template <class Visit>
void BlobIndex::visit(format::BlobType type, const Id& id, Visit&& visit_entry) const {
    if (slots_.empty()) return;
    const std::uint32_t tag = tag_of(id), number_mask = (1u << number_bits_) - 1;
    for (std::size_t at = slot_of(id); slots_[at] != 0; at = at + 1 == slots_.size() ? 0 : at + 1) {
        if ((slots_[at] & ~number_mask) != tag) continue;
        const std::uint32_t number = (slots_[at] & number_mask) - 1;
        const BlobEntry entry = entries_.at(number);
        if (entry.id == id && type_of(entry) == type && !visit_entry(number, entry)) return;
    }
}

void BlobIndex::insert_slot(const Id& id, std::uint32_t number) {
    std::size_t at = slot_of(id);
    while (slots_[at] != 0) at = at + 1 == slots_.size() ? 0 : at + 1;
    slots_[at] = tag_of(id) | (number + 1);
}

void BlobIndex::resize(std::size_t slots) {
    HF_ASSERT(slots > entries_.size());
    std::vector<std::uint32_t>().swap(slots_);    // before the new one takes room
    slots_.resize(slots, 0);
    number_bits_ = static_cast<unsigned>(std::bit_width(slots));
    HF_ASSERT(number_bits_ < 32);
    entries_.for_each([&](std::uint32_t number, const BlobEntry& entry) { insert_slot(entry.id, number); });
}

void BlobIndex::expect(std::size_t blobs) {
    const std::unique_lock lock(mutex_);
    // Told by sizes that a storage lists: nothing is to be believed beyond what memory can bear.
    if (const std::size_t wanted = std::min(blobs, k_expected_max) / 2 * 3;
        wanted > std::max(slots_.size(), k_slots_min))
        resize(wanted);
}

std::size_t BlobIndex::add(const format::IndexPack& pack) {
    const std::unique_lock lock(mutex_);
    const auto [found, is_new] = pack_numbers_.try_emplace(pack.id, static_cast<PackNumber>(pack_ids_.size()));
    if (is_new) pack_ids_.push_back(pack.id);
    const PackNumber number = found->second;
    std::size_t known = 0;
    for (const format::PackedBlob& blob : pack.blobs) {
        const PackNumber pack_and_type = number * 2 + (blob.type == format::BlobType::tree ? 1 : 0);
        bool there = false;
        if (!is_new)
            visit(blob.type, blob.id, [&](std::uint32_t, const BlobEntry& e) {
                there = e.pack_and_type == pack_and_type && e.offset == blob.offset;
                return !there;
            });
        if (there) {
            ++known;
            continue;
        }
        // At most three quarters full.
        if ((std::size_t(entries_.size()) + 1) * 4 > slots_.size() * 3)
            resize(std::max(k_slots_min, slots_.size() / 2 * 3));
        insert_slot(blob.id, entries_.size());
        entries_.add({blob.id, pack_and_type, blob.offset, blob.length, blob.uncompressed_length});
    }
    return known;
}

void BlobIndex::clear() {
    const std::unique_lock lock(mutex_);
    entries_.clear();
    std::vector<std::uint32_t>().swap(slots_);
    pack_ids_.clear();
    pack_numbers_.clear();
}

Status BlobIndex::status() const {
    const std::shared_lock lock(mutex_);
    return entries_.status();
}

bool BlobIndex::has(format::BlobType type, const Id& id) const { return number(type, id).has_value(); }

std::vector<BlobPlace> BlobIndex::places(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    std::vector<BlobPlace> all;
    visit(type, id, [&](std::uint32_t, const BlobEntry& e) {
        all.push_back({pack_ids_[e.pack_and_type / 2], blob_of(e)});
        return true;
    });
    return all;
}

std::optional<BlobIndex::Place> BlobIndex::first_place(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    std::optional<Place> place;
    visit(type, id, [&](std::uint32_t, const BlobEntry& e) {
        place = {e.pack_and_type / 2, e.offset, e.length, e.uncompressed_length};
        return false;
    });
    return place;
}

Id BlobIndex::pack_id(PackNumber pack) const {
    const std::shared_lock lock(mutex_);
    return pack_ids_[pack];
}

// Copies of a blob lie in one probe sequence, in the order in which they came, also after resize(): the first one met is
// the first one added.
std::optional<std::uint32_t> BlobIndex::number(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    std::optional<std::uint32_t> first;
    visit(type, id, [&](std::uint32_t number, const BlobEntry&) {
        first = number;
        return false;
    });
    return first;
}

BlobIndex::Numbered BlobIndex::at(std::uint32_t entry_number) const {
    const std::shared_lock lock(mutex_);
    const BlobEntry e = entries_.at(entry_number);
    return {e.pack_and_type / 2, blob_of(e)};
}

std::uint32_t BlobIndex::first_of(std::uint32_t entry_number) const {
    const std::shared_lock lock(mutex_);
    const BlobEntry e = entries_.at(entry_number);
    std::uint32_t first = entry_number;
    visit(type_of(e), e.id, [&](std::uint32_t number, const BlobEntry&) {
        first = number;
        return false;
    });
    return first;
}

std::size_t BlobIndex::pack_count() const {
    const std::shared_lock lock(mutex_);
    return pack_ids_.size();
}

std::optional<BlobIndex::PackNumber> BlobIndex::pack_number(const Id& pack) const {
    const std::shared_lock lock(mutex_);
    const auto found = pack_numbers_.find(pack);
    if (found == pack_numbers_.end()) return std::nullopt;
    return found->second;
}

std::vector<format::IndexPack> BlobIndex::packs() const {
    const std::shared_lock lock(mutex_);
    std::vector<format::IndexPack> all(pack_ids_.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i].id = pack_ids_[i];
    entries_.for_each([&](std::uint32_t, const BlobEntry& e) { all[e.pack_and_type / 2].blobs.push_back(blob_of(e)); });
    for (format::IndexPack& pack : all)
        std::sort(pack.blobs.begin(), pack.blobs.end(),
                  [](const auto& a, const auto& b) { return a.offset < b.offset; });
    return all;
}

std::size_t BlobIndex::blob_count() const {
    const std::shared_lock lock(mutex_);
    return entries_.size();
}

}    // namespace holdfast::vault
