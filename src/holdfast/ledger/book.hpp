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

/// One fact and what it did.
struct Change {
    Sequence sequence = 0;
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
