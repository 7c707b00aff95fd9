#include "holdfast/broker/paper_book.hpp"

#include <gmock/gmock.h>

namespace holdfast::broker {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr Timestamp k_start{1'795'000'000'000'000'000};

ledger::Order order_of(std::uint64_t number, const std::string& quantity = "10",
                       ledger::OrderType type = ledger::OrderType::market, const std::string& price = {}) {
    ledger::Order order;
    store_le(order.id.bytes.data() + 8, number);
    order.signal = order.id;
    order.symbol = "EURUSD";
    order.quantity = Decimal::parse(quantity).value();
    order.type = type;
    if (!price.empty()) order.price = Decimal::parse(price).value();
    return order;
}

Tick tick_of(const std::string& bid, const std::string& ask, const std::string& size = "0") {
    return {"EURUSD", Decimal::parse(bid).value(), Decimal::parse(ask).value(), Decimal::parse(size).value()};
}

std::vector<std::string> lines_of(const PaperBook& book) {
    std::vector<std::string> lines;
    for (const PaperEvent& event : book.events()) lines.push_back(book.encode(event));
    return lines;
}

std::vector<std::string> fills_of(const PaperBook& book) {
    std::vector<std::string> fills;
    for (const PaperEvent& event : book.events())
        if (event.kind == PaperEvent::Kind::executed)
            fills.push_back(event.execution.quantity.text() + " at " + event.execution.price.text());
    return fills;
}

PaperRules lively() {
    PaperRules rules;
    rules.seed = 7;
    rules.delay_min = 1ms;
    rules.delay_max = 30ms;
    rules.partial = 0.5;
    rules.reject = 0.1;
    rules.walk_step = 100ms;
    return rules;
}

// 200 orders of all kinds within ten seconds, one every 50 ms, and some cancelled. `step`: how often time is passed between.
PaperBook traded(Duration step) {
    PaperBook book(lively());
    Timestamp now = k_start;
    for (std::uint64_t i = 0; i < 200; ++i) {
        const auto type = static_cast<ledger::OrderType>(1 + i % 3);
        ledger::Order order = order_of(i, "10", type, type == ledger::OrderType::market ? "" : "100");
        if (i % 2 == 1) order.side = ledger::Side::sell;
        book.submit(order, now);
        if (i % 7 == 0 && i > 0) book.cancel(order_of(i - 1).id, now);
        const Timestamp next = now + 50ms;
        while (now + step < next) {
            now = now + step;
            book.advance(now);
        }
        now = next;
    }
    book.advance(now + 10s);
    return book;
}

// Requirement: EA-16
TEST(PaperBook, GivesTheSameEventsHoweverOftenTimeIsPassed) {
    const auto often = lines_of(traded(1ms)), seldom = lines_of(traded(1h));
    EXPECT_EQ(often, seldom);
    EXPECT_GT(often.size(), 600u);
    std::set<PaperEvent::Kind> kinds;
    const PaperBook book = traded(1h);
    for (const PaperEvent& event : book.events()) kinds.insert(event.kind);
    EXPECT_EQ(kinds.size(), 6u) << "all but duplicate";
}

TEST(PaperBook, IsTheSameAfterItWasSavedAndRestored) {
    const PaperBook book = traded(1h);
    PaperBook again(lively());
    for (const std::string& line : lines_of(book)) {
        const Status status = again.restore(line);
        ASSERT_TRUE(status) << status.error().message << ": " << line;
    }
    EXPECT_EQ(lines_of(again), lines_of(book));
    ASSERT_EQ(again.orders().size(), book.orders().size());
    for (std::size_t i = 0; i < book.orders().size(); ++i) {
        EXPECT_EQ(again.orders()[i].state, book.orders()[i].state);
        EXPECT_EQ(again.orders()[i].filled, book.orders()[i].filled);
    }
    EXPECT_FALSE(again.restore(lines_of(book)[0])) << "a number that was there before";
    EXPECT_FALSE(again.restore("{}"));
    EXPECT_FALSE(again.restore("no JSON"));
}

TEST(PaperBook, GoesOnWithOpenOrdersAfterARestore) {
    PaperRules rules;
    rules.delay_min = rules.delay_max = 10ms;
    PaperBook book(rules);
    book.submit(order_of(1, "10", ledger::OrderType::limit, "1.2"), k_start);
    book.advance(k_start + 20ms);
    book.submit(order_of(2, "3", ledger::OrderType::limit, "1.2"), k_start + 20ms);
    book.cancel(order_of(2).id, k_start + 20ms);    // not decided yet: cancelled once it is
    PaperBook again(rules);
    for (const std::string& line : lines_of(book)) ASSERT_TRUE(again.restore(line));
    again.resume(k_start + 1h);
    EXPECT_EQ(again.orders()[1].state, PaperOrder::State::cancelled);
    again.tick(tick_of("1.0999", "1.1001"), k_start + 1h);
    EXPECT_THAT(fills_of(again), ElementsAre("10 at 1.1001"));
}

TEST(PaperBook, TakesThePriceThatAnOrderAllows) {
    PaperBook book(PaperRules{});
    book.tick(tick_of("1.0999", "1.1001"), k_start);
    book.submit(order_of(1), k_start);    // at once, at the ask
    book.submit(order_of(2, "2", ledger::OrderType::limit, "1.09"), k_start);
    book.submit(order_of(3, "3", ledger::OrderType::stop, "1.15"), k_start);
    EXPECT_THAT(fills_of(book), ElementsAre("10 at 1.1001"));
    book.tick(tick_of("1.0898", "1.0899"), k_start + 1s);
    EXPECT_THAT(fills_of(book), ElementsAre("10 at 1.1001", "2 at 1.0899"));
    book.tick(tick_of("1.1500", "1.1502"), k_start + 2s);
    EXPECT_THAT(fills_of(book), ElementsAre("10 at 1.1001", "2 at 1.0899", "3 at 1.1502"));
}

TEST(PaperBook, TradesNoMoreOnATickThanItsSize) {
    PaperBook book(PaperRules{});
    book.tick(tick_of("1.0999", "1.1001", "4"), k_start);
    book.submit(order_of(1, "3"), k_start);
    book.submit(order_of(2, "3"), k_start);
    EXPECT_THAT(fills_of(book), ElementsAre("3 at 1.1001", "1 at 1.1001"));
    book.tick(tick_of("1.0999", "1.1005", "4"), k_start + 1s);
    EXPECT_THAT(fills_of(book), ElementsAre("3 at 1.1001", "1 at 1.1001", "2 at 1.1005"));
}

TEST(PaperBook, RefusesAnIdThatItKnows) {
    PaperBook book(PaperRules{});
    book.submit(order_of(1), k_start);
    book.submit(order_of(1), k_start);
    EXPECT_EQ(book.duplicates(), 1u);
    EXPECT_EQ(book.orders().size(), 1u);

    PaperRules careless;
    careless.refuse_duplicates = false;
    PaperBook other(careless);
    other.tick(tick_of("1.0999", "1.1001"), k_start);
    other.submit(order_of(1), k_start);
    other.submit(order_of(1), k_start);
    EXPECT_EQ(fills_of(other).size(), 2u) << "the broker of a test that looks for orders sent twice";
    EXPECT_NE(other.events()[2].execution.id, other.events()[5].execution.id);
}

TEST(PaperBook, WalksWithoutJumpsAndStaysTheSame) {
    const PaperBook book(lively());
    std::optional<Tick> last;
    std::set<std::int64_t> prices;
    for (int i = 0; i < 1000; ++i) {
        const auto tick = book.quote("EURUSD", k_start + i * 100ms);
        ASSERT_TRUE(tick);
        EXPECT_LT(tick->bid, tick->ask);
        EXPECT_EQ(book.quote("EURUSD", k_start + i * 100ms + 99ms)->bid, tick->bid);
        if (last) {
            EXPECT_LT(std::abs(tick->bid.units - last->bid.units), last->bid.units / 100) << "over 1 % in one step";
        }
        last = tick;
        prices.insert(tick->bid.units);
    }
    EXPECT_GT(prices.size(), 100u);
    EXPECT_NE(book.quote("GBPUSD", k_start)->bid, book.quote("EURUSD", k_start)->bid);
}

}    // namespace
}    // namespace holdfast::broker
