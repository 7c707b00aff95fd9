#pragma once
// Changes for tests: orders that live and end in every way, always the same for the same numbers.

#include <fmt/core.h>

#include <limits>
#include <vector>

#include "holdfast/ledger/book.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::trade {

inline ledger::Uuid test_id(std::uint64_t n) {
    ledger::Uuid id;
    store_le(id.bytes.data(), n);
    id.bytes[15] = std::byte{7};
    return id;
}

/// The machine's clock, moved.
class ShiftedClock final : public Clock {
public:
    Timestamp now() const override { return clock_.now() + shift; }
    Instant instant() const override { return clock_.instant() + shift; }
    void sleep(Duration d) override { clock_.sleep(d); }
    Duration shift{};

private:
    os::SystemClock clock_;
};

class History {
public:
    /// Stores drop what is old by their own clocks, so it has just happened: at the full second in which the test began.
    static std::int64_t start() {
        static const std::int64_t at = os::SystemClock().now().nanoseconds / 1'000'000'000 * 1'000'000'000;
        return at;
    }

    const ledger::Change& note(ledger::FactData data) {
        ledger::Fact fact{Timestamp{start() + static_cast<std::int64_t>(changes_.size()) * 1'000'000}, std::move(data)};
        if (const auto* session = std::get_if<ledger::SessionStarted>(&fact.data)) token_ = session->token;
        const ledger::Sequence sequence = changes_.size() + 1;
        ledger::Change change{sequence, ledger::version_of(token_, sequence), std::move(fact), std::nullopt};
        if (const ledger::Order* order = book_.apply(change.fact)) change.order = *order;
        changes_.push_back(std::move(change));
        return changes_.back();
    }
    void accept(std::uint64_t n) {
        ledger::Signal signal;
        signal.id = test_id(n);
        signal.symbol = "EURUSD";
        signal.quantity = ledger::Decimal::whole(10);
        signal.strategy = "it's a\ttest \\ \n";
        note(ledger::SignalAccepted{signal});
    }
    void send(std::uint64_t n) {
        note(ledger::OrderIntended{test_id(n), 1, 0, {}, {}});
        note(ledger::OrderSent{test_id(n), 1});
        note(ledger::OrderAcked{test_id(n), fmt::format("B{}", n)});
    }
    void fill(std::uint64_t n, std::int64_t quantity, unsigned part = 0) {
        ledger::Execution execution;
        execution.id = fmt::format("E{}-{}", n, part);
        execution.order = execution.signal = test_id(n);
        execution.symbol = "EURUSD";
        execution.quantity = ledger::Decimal::whole(quantity);
        execution.price = {123'456'789};
        execution.executed_at = Timestamp{start() + static_cast<std::int64_t>(changes_.size()) * 1'000'000};
        note(ledger::OrderExecuted{execution});
    }
    /// One order, whose number says how it ends: filled at once or in two parts, rejected, failed, parked, still open.
    void order(std::uint64_t n) {
        accept(n);
        switch (n % 6) {
            case 0:
            case 1:
                send(n);
                return fill(n, 10);
            case 2:
                send(n);
                fill(n, 4, 0);
                return fill(n, 6, 1);
            case 3:
                send(n);
                note(ledger::OrderClosed{test_id(n), ledger::OrderState::rejected, "no money"});
                return;
            case 4:
                note(ledger::OrderParked{test_id(n), "the broker is away"});
                if (n % 12 == 4) return;
                note(ledger::OrderClosed{test_id(n), ledger::OrderState::failed, "too old"});
                return;
            default:
                send(n);
                return fill(n, 3);
        }
    }
    void orders(std::uint64_t from, std::uint64_t count) {
        for (std::uint64_t n = from; n < from + count; ++n) order(n);
    }

    /// What a hostile producer and a careless broker can bring through every check before the stores.
    void extremes() {
        ledger::Signal signal;
        signal.id = test_id(9'000'001);
        signal.symbol = "'\\\"`{}";
        signal.quantity = {ledger::Decimal::k_units_max};
        signal.strategy = std::string("\0\xff'\\\n\t", 6);
        signal.created_at.nanoseconds = signal.deadline.nanoseconds = std::numeric_limits<std::int64_t>::max();
        note(ledger::SignalAccepted{signal});
        note(ledger::OrderAcked{signal.id, std::string(64, '\'')});
        for (const std::int64_t at :
             {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::numeric_limits<std::int64_t>::max()}) {
            ledger::Execution execution;
            execution.id = fmt::format("'\\E{}", at);
            execution.order = execution.signal = signal.id;
            execution.symbol = signal.symbol;
            execution.quantity = {1};
            execution.price = {ledger::Decimal::k_units_max};
            execution.executed_at.nanoseconds = at;
            note(ledger::OrderExecuted{execution});
        }
        note(ledger::OrderParked{signal.id, std::string(60'000, '\x80')});
    }

    const std::vector<ledger::Change>& changes() const { return changes_; }
    /// Those with sequences in (after, to].
    std::span<const ledger::Change> part(ledger::Sequence after, ledger::Sequence to) const {
        return std::span(changes_).subspan(after, to - after);
    }
    ledger::Sequence last() const { return changes_.size(); }
    const ledger::Book& book() const { return book_; }

private:
    ledger::Book book_;
    std::uint64_t token_ = 0;
    std::vector<ledger::Change> changes_;
};

}    // namespace holdfast::trade
