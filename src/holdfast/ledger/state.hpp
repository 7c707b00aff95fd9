#pragma once
// All that the engine knows that outlives it: the fold of the journal's facts.
//
//   promises   the same facts in the same order give the same state; a snapshot gives back the state that wrote it
//   threads    one at a time
//   source     docs/formats/journal.md (snapshots)

#include <array>

#include "holdfast/ledger/book.hpp"
#include "holdfast/ledger/remembered.hpp"

namespace holdfast::ledger {

/// How far back duplicates are recognised.
struct Horizon {
    std::uint32_t orders_days = 90;
    std::uint32_t executions_days = 14;
};

class State {
public:
    explicit State(Horizon horizon = {}) : horizon_(horizon) {}

    /// The order after the fact; null as Book::apply says.
    const Order* apply(Sequence sequence, const Fact& fact);

    const Book& book() const { return book_; }
    const Remembered& remembered() const { return remembered_; }
    Sequence sequence() const { return sequence_; }
    bool trading_on() const { return trading_on_; }
    /// Of the newest session; 0: none.
    std::uint64_t token() const { return token_; }
    /// Others may have traded before this: a signal not younger is asked for at the broker before it is sent.
    Timestamp foreign_until() const { return foreign_until_; }
    /// Others may have traded, and not all stores have told yet what.
    bool stores_due() const { return stores_due_; }
    Sequence confirmed(Sink sink) const { return confirmed_[static_cast<std::size_t>(sink) - 1]; }

    void append_snapshot(Bytes& to) const;
    /// corrupt, or unsupported when it is of another version.
    static Result<State> read_snapshot(ByteView bytes, Horizon horizon = {});

private:
    Horizon horizon_;
    Book book_;
    Remembered remembered_;
    Sequence sequence_ = 0;
    bool trading_on_ = true;
    bool stores_due_ = false;
    std::uint64_t token_ = 0;
    Timestamp foreign_until_;
    std::array<Sequence, std::size(k_sinks)> confirmed_{};
    std::uint32_t day_ = 0;
};

}    // namespace holdfast::ledger
