#pragma once
// The open orders, folded from facts: what the engine, each projection and every report see alike.
//
//   promises   the same facts give the same book, on every machine; a fact about an order that is not open (a late
//              execution of a closed one) changes nothing in it and is still handed on
//   memory     open orders only; what is closed leaves with the fact that closed it
//   threads    one at a time

#include <map>
#include <optional>
#include <unordered_map>

#include "holdfast/ledger/fact.hpp"

namespace holdfast::ledger {

/// Compares what several journals tell of the same order: by the fencing token of the session that noted it (milliseconds since
/// 1970, larger in each later session), then by the sequence. A later session's facts are the newer ones as long as it begins a
/// millisecond later for each four million facts before it.
inline std::uint64_t version_of(std::uint64_t token, Sequence sequence) { return (token << 22) + sequence; }

/// One fact and what it did.
struct Change {
    Sequence sequence = 0;
    std::uint64_t version = 0;    // as version_of
    Fact fact;
    /// The order after it (with its final state when this fact closed it); nothing for facts about no order or about one
    /// that is not in the book.
    std::optional<Order> order;
};

/// The next order for what `parent` leaves unfilled.
Order child_of(const Order& parent, Timestamp at);

class Book {
public:
    /// Folds one fact in. The pointer is the order after it, valid until the next call; null as above.
    const Order* apply(const Fact& fact);

    const Order* find(const Uuid& order) const;
    const std::unordered_map<Uuid, Order>& open() const { return open_; }

    /// Executions of orders that are not in the book: another instance sent them, and their signal may still come.
    struct Orphan {
        Decimal filled, filled_value;
    };
    const std::map<Uuid, Orphan>& orphans() const { return orphans_; }
    void add_orphan(const Uuid& order, Decimal filled, Decimal value);

private:
    /// Into the book, with what has been executed of it already.
    const Order* enter(Order order);
    const Order* close(std::unordered_map<Uuid, Order>::iterator at);
    std::unordered_map<Uuid, Order> open_;
    std::map<Uuid, Orphan> orphans_;
    Order closed_;    // the one that left with the last fact
};

}    // namespace holdfast::ledger
