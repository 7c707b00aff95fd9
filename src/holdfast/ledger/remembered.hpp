#pragma once
// What must not happen twice: the UUIDs of closed orders, with their outcome, and the IDs of executions that were counted.
//
//   memory     about 40 bytes an order and 24 an execution: 1,000,000 orders take less than 48 MB
//   horizon    the oldest leave first, when they are older than the horizon that the owner names
//   threads    one at a time

#include <array>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "holdfast/ledger/model.hpp"

namespace holdfast::ledger {

/// Finds entries of a store by key: open addressing over places of 32 bits. `Store` has key_at(place).
class PlaceTable {
public:
    template <class IsKey>
    std::optional<std::uint32_t> find(std::size_t hash, IsKey&& is_key) const {
        if (places_.empty()) return std::nullopt;
        for (std::size_t i = hash & mask(); places_[i] != 0; i = (i + 1) & mask())
            if (is_key(places_[i] - 1)) return places_[i] - 1;
        return std::nullopt;
    }
    /// `hash_of(place)` serves when the table grows.
    template <class HashOf>
    void insert(std::size_t hash, std::uint32_t place, HashOf&& hash_of) {
        if ((size_ + 1) * 4 > places_.size() * 3) {
            const std::vector<std::uint32_t> old(places_.empty() ? 1024 : places_.size() * 2);
            std::vector<std::uint32_t> before = std::exchange(places_, old);
            for (const std::uint32_t p : before)
                if (p != 0) put(hash_of(p - 1), p);
        }
        put(hash, place + 1);
        ++size_;
    }
    void clear() {
        places_.clear();
        size_ = 0;
    }

private:
    std::size_t mask() const { return places_.size() - 1; }
    void put(std::size_t hash, std::uint32_t entry) {
        std::size_t i = hash & mask();
        while (places_[i] != 0) i = (i + 1) & mask();
        places_[i] = entry;
    }
    std::vector<std::uint32_t> places_;    // place + 1; 0: free
    std::size_t size_ = 0;
};

/// What is still known of a closed order.
struct ClosedOrder {
    Uuid id;
    Decimal filled;
    std::uint32_t day = 0;    // of its closing, since 1970
    OrderState state = OrderState::filled;
};

class Remembered {
public:
    void add_order(const ClosedOrder& order);
    const ClosedOrder* find_order(const Uuid& id) const;
    /// False when it is there already.
    bool add_execution(std::string_view id, std::uint32_t day);
    bool has_execution(std::string_view id) const;

    /// Drops what was closed before these days.
    void forget_before(std::uint32_t orders_day, std::uint32_t executions_day);

    std::size_t orders() const { return orders_.size(); }
    std::size_t executions() const { return executions_.size(); }

    void append_to(Bytes& to) const;
    /// Takes what append_to() wrote off the front of `from`; false when it is damaged.
    bool read_from(ByteView& from);

private:
    /// SHA-256 cut to 16 bytes: two IDs of a broker never meet in it.
    using ExecutionKey = std::array<std::byte, 16>;
    struct SeenExecution {
        ExecutionKey key;
        std::uint32_t day;
    };
    static ExecutionKey key_of(std::string_view id);
    bool has_execution(const ExecutionKey& key) const;
    void index_orders();
    void index_executions();

    std::deque<ClosedOrder> orders_;    // oldest first
    std::deque<SeenExecution> executions_;
    PlaceTable order_places_, execution_places_;
    std::uint32_t orders_gone_ = 0, executions_gone_ = 0;    // taken off the front since the table was made
};

/// Days since 1970.
std::uint32_t day_of(Timestamp t);

}    // namespace holdfast::ledger
