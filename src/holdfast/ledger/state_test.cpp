#include "holdfast/ledger/state.hpp"

#include <gtest/gtest.h>

#include <fstream>

namespace holdfast::ledger {
namespace {

Uuid id_of(std::uint64_t n) {
    Uuid id;
    id.bytes[6] = std::byte{0x70};
    store_le(id.bytes.data() + 8, n + 1);
    return id;
}

Signal signal_of(std::uint64_t n, std::int64_t quantity = 10) {
    Signal signal;
    signal.id = id_of(n);
    signal.symbol = "EURUSD";
    signal.quantity = Decimal::whole(quantity);
    signal.strategy = "breakout";
    signal.deadline = {1'000};
    return signal;
}

Execution fill_of(std::uint64_t order, std::string id, std::int64_t quantity, std::int64_t price = 2) {
    Execution execution;
    execution.id = std::move(id);
    execution.order = execution.signal = id_of(order);
    execution.symbol = "EURUSD";
    execution.quantity = Decimal::whole(quantity);
    execution.price = Decimal::whole(price);
    execution.executed_at = {77};
    return execution;
}

/// One of each kind.
std::vector<FactData> all_kinds() {
    Order order;
    order.id = id_of(9);
    order.signal = id_of(8);
    order.child = 1;
    order.state = OrderState::acked;
    order.symbol = "X";
    order.quantity = Decimal::whole(4);
    order.broker_id = "b";
    order.parked = true;
    return {SignalAccepted{signal_of(1)},
            OrderIntended{id_of(2), 3, 1, id_of(1), Decimal::whole(5)},
            OrderSent{id_of(2), 3},
            OrderAcked{id_of(2), "B-1"},
            OrderExecuted{fill_of(2, "E-1", 3)},
            OrderClosed{id_of(2), OrderState::rejected, "no money"},
            AttemptFailed{id_of(2), 4, "no link"},
            OrderParked{id_of(2), "no link"},
            CancelRequested{id_of(2)},
            SessionStarted{"host-1", 7, true},
            TradingSwitched{false, "ann"},
            SinkConfirmed{Sink::clickhouse, 99},
            OrderFound{order, {"E-7", "E-8"}, "redis"},
            StoresAsked{7}};
}

TEST(Fact, EveryKindComesBack) {
    const auto kinds = all_kinds();
    ASSERT_EQ(kinds.size(), std::variant_size_v<FactData>);
    for (std::size_t i = 0; i < kinds.size(); ++i) {
        Bytes bytes, again;
        append_fact(bytes, {{123}, kinds[i]});
        const auto fact = parse_fact(bytes);
        ASSERT_TRUE(fact) << i << ": " << fact.error().message;
        EXPECT_EQ(fact->at.nanoseconds, 123);
        EXPECT_EQ(fact->data.index(), i);
        append_fact(again, *fact);
        EXPECT_EQ(bytes, again) << kind_of(*fact);
    }
}

TEST(Fact, OneThatIsCutOrHasSomethingBehindItIsDamage) {
    for (const FactData& kind : all_kinds()) {
        Bytes bytes;
        append_fact(bytes, {{123}, kind});
        for (std::size_t size = 0; size < bytes.size(); ++size)
            EXPECT_FALSE(parse_fact(ByteView(bytes).first(size))) << kind_of({{}, kind}) << " cut at " << size;
        bytes.push_back(std::byte{0});
        EXPECT_FALSE(parse_fact(bytes)) << kind_of({{}, kind});
    }
    Bytes unknown(10);
    std::ranges::fill(unknown, std::byte{0});
    unknown[0] = std::byte{200};
    unknown[1] = std::byte{1};
    EXPECT_EQ(parse_fact(unknown).error().code, ErrorCode::corrupt);
    unknown[1] = std::byte{2};
    EXPECT_EQ(parse_fact(unknown).error().code, ErrorCode::unsupported);
}

TEST(Book, AnOrderRunsThroughItsLife) {
    Book book;
    const Order* order = book.apply({{1}, SignalAccepted{signal_of(1)}});
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->state, OrderState::accepted);
    EXPECT_EQ(book.apply({{2}, OrderIntended{id_of(1), 1, 0, {}, {}}})->state, OrderState::intended);
    EXPECT_EQ(book.apply({{3}, OrderSent{id_of(1), 1}})->state, OrderState::sent);
    EXPECT_EQ(book.apply({{4}, OrderAcked{id_of(1), "B"}})->state, OrderState::acked);
    order = book.apply({{5}, OrderExecuted{fill_of(1, "a", 4, 3)}});
    EXPECT_EQ(order->state, OrderState::partially_filled);
    EXPECT_EQ(order->remainder(), Decimal::whole(6));
    // An acknowledgement that comes late takes nothing back.
    EXPECT_EQ(book.apply({{6}, OrderAcked{id_of(1), "B"}})->state, OrderState::partially_filled);
    order = book.apply({{7}, OrderExecuted{fill_of(1, "b", 6, 5)}});
    EXPECT_EQ(order->state, OrderState::filled);
    EXPECT_EQ(order->filled_value, Decimal::whole(42));
    EXPECT_TRUE(book.open().empty());
}

// Requirement: MT-08.
TEST(Book, AChildTakesOverTheRemainder) {
    Book book;
    book.apply({{1}, SignalAccepted{signal_of(1)}});
    book.apply({{2}, OrderIntended{id_of(1), 1, 0, {}, {}}});
    book.apply({{3}, OrderExecuted{fill_of(1, "a", 4)}});
    const Uuid child = child_id(id_of(1), 1);
    const Order* order = book.apply({{4}, OrderIntended{child, 1, 1, id_of(1), Decimal::whole(6)}});
    ASSERT_NE(order, nullptr);
    EXPECT_EQ(order->id, child);
    EXPECT_EQ(order->signal, id_of(1));
    EXPECT_EQ(order->quantity, Decimal::whole(6));
    EXPECT_EQ(order->filled, Decimal{});
    EXPECT_EQ(order->symbol, "EURUSD");
    EXPECT_EQ(order->strategy, "breakout");
    book.apply({{5}, OrderClosed{id_of(1), OrderState::cancelled, "goes on"}});
    EXPECT_EQ(book.open().size(), 1u);
}

TEST(Book, WhatWasExecutedBeforeItsSignalCameIsCounted) {
    Book book;
    EXPECT_EQ(book.apply({{1}, OrderExecuted{fill_of(1, "a", 4)}}), nullptr);
    const Order* order = book.apply({{2}, SignalAccepted{signal_of(1)}});
    EXPECT_EQ(order->filled, Decimal::whole(4));
    EXPECT_EQ(book.apply({{3}, OrderExecuted{fill_of(2, "b", 10)}}), nullptr);
    order = book.apply({{4}, SignalAccepted{signal_of(2)}});
    EXPECT_EQ(order->state, OrderState::filled);
    EXPECT_TRUE(book.orphans().empty());
}

std::vector<Fact> a_session() {
    std::vector<Fact> facts{{{1}, SessionStarted{"a", 3, true}}};
    for (std::uint64_t n = 0; n < 50; ++n) {
        facts.push_back({{10}, SignalAccepted{signal_of(n)}});
        facts.push_back({{11}, OrderIntended{id_of(n), 1, 0, {}, {}}});
        if (n % 5 == 0) facts.push_back({{12}, OrderClosed{id_of(n), OrderState::rejected, "no"}});
        if (n % 5 == 1) facts.push_back({{12}, OrderExecuted{fill_of(n, "E" + std::to_string(n), 10)}});
        if (n % 5 == 2) facts.push_back({{12}, OrderExecuted{fill_of(n, "E" + std::to_string(n), 3)}});
    }
    facts.push_back({{13}, OrderExecuted{fill_of(1000, "orphan", 3)}});
    facts.push_back({{14}, TradingSwitched{false, "ann"}});
    facts.push_back({{15}, SinkConfirmed{Sink::duckdb, 40}});
    return facts;
}

// What was paid for an order may be far more than an order may ask for.
TEST(Fact, AnOrderComesBackWhateverItsValue) {
    Order order;
    order.id = order.signal = id_of(9);
    order.quantity = order.filled = Decimal::whole(2'000'000);
    order.filled_value = {INT64_MAX};
    Bytes bytes;
    append_fact(bytes, {{123}, OrderFound{order, {}, {}}});
    const auto fact = parse_fact(bytes);
    ASSERT_TRUE(fact) << fact.error().message;
    EXPECT_EQ(std::get<OrderFound>(fact->data).order.filled_value.units, INT64_MAX);
}

// Requirements: MT-15, HA-05. A host that dies between its session's first fact and the end of the import asks again.
TEST(State, StoresAreDueUntilTheyHaveToldOfThisSession) {
    State state;
    EXPECT_FALSE(state.stores_due());
    state.apply(1, {{1}, SessionStarted{"a", 3, true}});
    EXPECT_TRUE(state.stores_due());
    // The next session follows its own, but nobody has asked the stores yet.
    state.apply(2, {{2}, SessionStarted{"a", 4, false}});
    state.apply(3, {{3}, StoresAsked{3}});
    EXPECT_TRUE(state.stores_due());
    Bytes bytes;
    state.append_snapshot(bytes);
    EXPECT_TRUE(State::read_snapshot(bytes)->stores_due());
    state.apply(4, {{4}, StoresAsked{4}});
    EXPECT_FALSE(state.stores_due());
}

TEST(State, ASnapshotGivesBackTheStateThatWroteIt) {
    State whole;
    Sequence sequence = 0;
    const auto facts = a_session();
    for (const Fact& fact : facts) whole.apply(++sequence, fact);
    Bytes bytes, again;
    whole.append_snapshot(bytes);
    const auto back = State::read_snapshot(bytes);
    ASSERT_TRUE(back) << back.error().message;
    back->append_snapshot(again);
    EXPECT_EQ(bytes, again);
    EXPECT_EQ(back->sequence(), sequence);
    EXPECT_FALSE(back->trading_on());
    EXPECT_EQ(back->token(), 3u);
    EXPECT_EQ(back->confirmed(Sink::duckdb), 40u);
    EXPECT_EQ(back->confirmed(Sink::redis), 0u);
    EXPECT_EQ(back->book().open().size(), 30u);
    EXPECT_EQ(back->remembered().find_order(id_of(0))->state, OrderState::rejected);
    EXPECT_TRUE(back->remembered().has_execution("E2"));
    EXPECT_EQ(back->book().orphans().size(), 1u);
    // Replayed in part, from a snapshot in the middle: the same.
    for (std::size_t cut = 0; cut <= facts.size(); cut += 7) {
        State part;
        for (std::size_t i = 0; i < cut; ++i) part.apply(i + 1, facts[i]);
        Bytes middle, end;
        part.append_snapshot(middle);
        auto rest = State::read_snapshot(middle);
        ASSERT_TRUE(rest);
        for (std::size_t i = cut; i < facts.size(); ++i) rest->apply(i + 1, facts[i]);
        rest->append_snapshot(end);
        EXPECT_EQ(end, bytes) << cut;
    }
}

TEST(State, ASnapshotThatIsCutIsDamage) {
    State state;
    Sequence sequence = 0;
    for (const Fact& fact : a_session()) state.apply(++sequence, fact);
    Bytes bytes;
    state.append_snapshot(bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_FALSE(State::read_snapshot(ByteView(bytes).first(size))) << size;
    bytes.push_back(std::byte{});
    EXPECT_FALSE(State::read_snapshot(bytes));
}

constexpr std::int64_t k_day = std::int64_t{86'400} * 1'000'000'000;

TEST(State, DuplicatesAreKnownAsFarAsTheHorizonReaches) {
    State state({30, 2});
    Sequence sequence = 0;
    const auto day = [](std::int64_t n) { return Timestamp{n * k_day + 5}; };
    state.apply(++sequence, {day(100), SignalAccepted{signal_of(1)}});
    state.apply(++sequence, {day(100), OrderExecuted{fill_of(1, "E", 10)}});
    state.apply(++sequence, {day(102), SignalAccepted{signal_of(2)}});
    EXPECT_TRUE(state.remembered().has_execution("E"));
    state.apply(++sequence, {day(103), CancelRequested{id_of(2)}});
    EXPECT_FALSE(state.remembered().has_execution("E"));
    state.apply(++sequence, {day(130), CancelRequested{id_of(2)}});
    EXPECT_NE(state.remembered().find_order(id_of(1)), nullptr);
    state.apply(++sequence, {day(131), CancelRequested{id_of(2)}});
    EXPECT_EQ(state.remembered().find_order(id_of(1)), nullptr);
}

std::uint64_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::uint64_t size = 0, resident = 0;
    statm >> size >> resident;
    return resident * 4096;
}

TEST(Remembered, AMillionOrdersTakeLessThan64Megabytes) {
    const std::uint64_t before = resident_bytes();
    Remembered remembered;
    for (std::uint64_t n = 0; n < 1'000'000; ++n)
        remembered.add_order({id_of(n), Decimal::whole(1), static_cast<std::uint32_t>(n / 10'000), OrderState::filled});
    EXPECT_EQ(remembered.orders(), 1'000'000u);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    EXPECT_LT(resident_bytes() - before, std::uint64_t{64} << 20);
#else
    static_cast<void>(before);
#endif
    for (std::uint64_t n = 0; n < 1'000'000; n += 997) EXPECT_NE(remembered.find_order(id_of(n)), nullptr);
    EXPECT_EQ(remembered.find_order(id_of(1'000'000)), nullptr);
    // The oldest go, the rest is still found, also while more come.
    remembered.forget_before(60, 0);
    EXPECT_EQ(remembered.orders(), 400'000u);
    for (std::uint64_t n = 1'000'000; n < 1'100'000; ++n)
        remembered.add_order({id_of(n), Decimal::whole(1), 100, OrderState::filled});
    EXPECT_EQ(remembered.find_order(id_of(599'999)), nullptr);
    for (std::uint64_t n = 600'000; n < 1'100'000; n += 997) EXPECT_NE(remembered.find_order(id_of(n)), nullptr) << n;
}

}    // namespace
}    // namespace holdfast::ledger
