#include "holdfast/vault/blob_index.hpp"

#include <algorithm>
#include <mutex>

namespace holdfast::vault {
namespace {

std::size_t slot_of(const Id& id, std::size_t slot_count) { return std::hash<Id>()(id) & (slot_count - 1); }

}    // namespace

template <class Visit>
void BlobIndex::visit(format::BlobType type, const Id& id, Visit&& visit_entry) const {
    visit_numbers(type, id, [&](std::uint32_t number) { return visit_entry(entry(number)); });
}

template <class Visit>
void BlobIndex::visit_numbers(format::BlobType type, const Id& id, Visit&& visit_number) const {
    if (slots_.empty()) return;
    const PackNumber type_bit = type == format::BlobType::tree ? 1 : 0;
    for (std::size_t at = slot_of(id, slots_.size()); slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
        const Entry& e = entry(slots_[at] - 1);
        if (e.id == id && (e.pack_and_type & 1) == type_bit && !visit_number(slots_[at] - 1)) return;
    }
}

void BlobIndex::insert_slot(std::uint32_t number) {
    std::size_t at = slot_of(entry(number).id, slots_.size());
    while (slots_[at] != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = number + 1;
}

void BlobIndex::grow() {
    // In halves and quarters a table would waste less; doubling keeps the mask cheap, and 4 bytes a slot is little.
    const std::size_t wanted = slots_.empty() ? 1024 : slots_.size() * 2;
    slots_.clear();
    slots_.resize(wanted, 0);
    for (std::uint32_t i = 0; i < count_; ++i) insert_slot(i);
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
            visit(blob.type, blob.id, [&](const Entry& e) {
                there = e.pack_and_type == pack_and_type && e.offset == blob.offset;
                return !there;
            });
        if (there) {
            ++known;
            continue;
        }
        if ((std::size_t(count_) + 1) * 4 > slots_.size() * 3) grow();
        if (count_ / k_block == blocks_.size()) blocks_.push_back(std::make_unique_for_overwrite<Entry[]>(k_block));
        blocks_[count_ / k_block][count_ % k_block] = {blob.id, pack_and_type, blob.offset, blob.length,
                                                       blob.uncompressed_length};
        insert_slot(count_++);
    }
    return known;
}

void BlobIndex::clear() {
    const std::unique_lock lock(mutex_);
    blocks_.clear();
    slots_.clear();
    pack_ids_.clear();
    pack_numbers_.clear();
    count_ = 0;
}

bool BlobIndex::has(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    bool found = false;
    visit(type, id, [&](const Entry&) {
        found = true;
        return false;
    });
    return found;
}

std::vector<BlobPlace> BlobIndex::places(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    std::vector<BlobPlace> all;
    visit(type, id, [&](const Entry& e) {
        all.push_back({pack_ids_[e.pack_and_type / 2], {e.id, type, e.offset, e.length, e.uncompressed_length}});
        return true;
    });
    return all;
}

std::optional<BlobIndex::Place> BlobIndex::first_place(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    std::optional<Place> place;
    visit(type, id, [&](const Entry& e) {
        place = {e.pack_and_type / 2, e.offset, e.length, e.uncompressed_length};
        return false;
    });
    return place;
}

Id BlobIndex::pack_id(PackNumber pack) const {
    const std::shared_lock lock(mutex_);
    return pack_ids_[pack];
}

// Copies of a blob lie in one probe sequence, in the order in which they came, also after grow(): the first one met is
// the first one added.
std::optional<std::uint32_t> BlobIndex::number(format::BlobType type, const Id& id) const {
    const std::shared_lock lock(mutex_);
    std::optional<std::uint32_t> first;
    visit_numbers(type, id, [&](std::uint32_t number) {
        first = number;
        return false;
    });
    return first;
}

BlobIndex::Numbered BlobIndex::at(std::uint32_t entry_number) const {
    const std::shared_lock lock(mutex_);
    HF_ASSERT(entry_number < count_);
    const Entry& e = entry(entry_number);
    const auto type = e.pack_and_type & 1 ? format::BlobType::tree : format::BlobType::data;
    Numbered found{e.pack_and_type / 2, {e.id, type, e.offset, e.length, e.uncompressed_length}, entry_number};
    visit_numbers(type, e.id, [&](std::uint32_t number) {
        found.first = number;
        return false;
    });
    return found;
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
    for (std::uint32_t i = 0; i < count_; ++i) {
        const Entry& e = entry(i);
        const auto type = e.pack_and_type & 1 ? format::BlobType::tree : format::BlobType::data;
        all[e.pack_and_type / 2].blobs.push_back({e.id, type, e.offset, e.length, e.uncompressed_length});
    }
    for (format::IndexPack& pack : all)
        std::sort(pack.blobs.begin(), pack.blobs.end(),
                  [](const auto& a, const auto& b) { return a.offset < b.offset; });
    return all;
}

std::size_t BlobIndex::blob_count() const {
    const std::shared_lock lock(mutex_);
    return count_;
}

}    // namespace holdfast::vault
