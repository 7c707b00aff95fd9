#pragma once
// A set of IDs in one flat table: 32 bytes and a quarter to a half more an ID, no nodes. Not thread-safe.

#include <cstdint>
#include <vector>

#include "holdfast/base/id.hpp"

namespace holdfast::vault {

class IdSet {
public:
    /// True if it was not in the set.
    bool insert(const Id& id) {
        // The all-zero ID marks a free slot and is kept beside the table.
        if (id == Id{}) return !std::exchange(has_zero_, true);
        if ((count_ + 1) * 4 > slots_.size() * 3) grow();
        if (!place(id)) return false;
        ++count_;
        return true;
    }
    bool contains(const Id& id) const {
        if (id == Id{}) return has_zero_;
        if (slots_.empty()) return false;
        for (std::size_t at = std::hash<Id>()(id) & (slots_.size() - 1); slots_[at] != Id{};
             at = (at + 1) & (slots_.size() - 1))
            if (slots_[at] == id) return true;
        return false;
    }
    template <class Each>
    void for_each(Each&& each) const {
        if (has_zero_) each(Id{});
        for (const Id& id : slots_)
            if (id != Id{}) each(id);
    }
    std::size_t size() const { return count_ + (has_zero_ ? 1 : 0); }

private:
    bool place(const Id& id) {
        std::size_t at = std::hash<Id>()(id) & (slots_.size() - 1);
        while (slots_[at] != Id{}) {
            if (slots_[at] == id) return false;
            at = (at + 1) & (slots_.size() - 1);
        }
        slots_[at] = id;
        return true;
    }
    void grow() {
        std::vector<Id> old(slots_.empty() ? 64 : slots_.size() * 2);
        old.swap(slots_);
        for (const Id& id : old)
            if (id != Id{}) place(id);
    }

    std::vector<Id> slots_;
    std::size_t count_ = 0;
    bool has_zero_ = false;
};

}    // namespace holdfast::vault
