#include "holdfast/ledger/model.hpp"

#include <gtest/gtest.h>

#include <set>

namespace holdfast::ledger {
namespace {

TEST(Uuid, ReadsAnyVersionInEitherCaseAndWritesLowerCase) {
    const auto id = Uuid::parse("0192F0C1-7b2e-7ABC-8def-0123456789AB");
    ASSERT_TRUE(id);
    EXPECT_EQ(id->text(), "0192f0c1-7b2e-7abc-8def-0123456789ab");
    EXPECT_FALSE(id->is_nil());
    EXPECT_TRUE(Uuid::parse("00000000-0000-0000-0000-000000000000")->is_nil());
}

TEST(Uuid, RefusesWhatIsNotOne) {
    for (const char* text : {"", "0192f0c1-7b2e-7abc-8def-0123456789a", "0192f0c1-7b2e-7abc-8def-0123456789abc",
                             "0192f0c17b2e-7abc-8def-0123456789ab-", "0192f0c1-7b2e-7abc-8def-0123456789ag",
                             "{192f0c1-7b2e-7abc-8def-0123456789ab", "0192f0c1 7b2e-7abc-8def-0123456789ab"})
        EXPECT_FALSE(Uuid::parse(text)) << text;
}

TEST(Uuid, ChildrenAreTheSameForAllWhoWorkThemOutAndDifferFromEachOther) {
    const Uuid parent = *Uuid::parse("0192f0c1-7b2e-7abc-8def-0123456789ab");
    std::set<Uuid> ids{parent};
    for (std::uint32_t n = 1; n <= 1000; ++n) {
        EXPECT_EQ(child_id(parent, n), child_id(parent, n));
        EXPECT_TRUE(ids.insert(child_id(parent, n)).second);
    }
    EXPECT_EQ(child_id(parent, 1).text()[14], '8');
    // Written down: journals and brokers hold these.
    EXPECT_EQ(child_id(parent, 1).text(), "57341909-42e0-871d-98ef-81bbe125d19d");
}

TEST(Decimal, IsExact) {
    for (const char* text : {"0", "1", "-1", "0.1", "12.5", "0.00000001", "-0.00000001", "9999999999.99999999",
                             "-9999999999.99999999", "1.23456789"}) {
        const auto value = Decimal::parse(text);
        ASSERT_TRUE(value) << text;
        EXPECT_EQ(value->text(), text);
    }
    EXPECT_EQ(Decimal::parse("007.50")->text(), "7.5");
    EXPECT_EQ(Decimal::parse("1.000000000000")->units, Decimal::k_one);
    EXPECT_EQ(Decimal::parse("0.1")->units + Decimal::parse("0.2")->units, Decimal::parse("0.3")->units);
}

TEST(Decimal, RefusesWhatItCannotHold) {
    for (const char* text : {"",
                             "-",
                             ".",
                             "1.",
                             ".5",
                             "NaN",
                             "nan",
                             "inf",
                             "-inf",
                             "1e5",
                             "0x10",
                             "1,5",
                             " 1",
                             "1 ",
                             "+1",
                             "--1",
                             "10000000000",
                             "99999999999999999999",
                             "0.000000001",
                             "1.123456789"})
        EXPECT_FALSE(Decimal::parse(text)) << text;
}

TEST(Model, NamesGoBothWays) {
    for (const Side side : {Side::buy, Side::sell}) EXPECT_EQ(side_of(name_of(side)), side);
    for (const OrderType type : {OrderType::market, OrderType::limit, OrderType::stop})
        EXPECT_EQ(order_type_of(name_of(type)), type);
    for (int n = 1; n <= 10; ++n) {
        const auto state = static_cast<OrderState>(n);
        EXPECT_EQ(order_state_of(name_of(state)), state);
        EXPECT_EQ(is_closed(state), n >= 6);
    }
    EXPECT_FALSE(side_of("hold"));
}

TEST(Model, ASignalThatIsWrongIsToldWhy) {
    Signal good;
    good.id = *Uuid::parse("0192f0c1-7b2e-7abc-8def-0123456789ab");
    good.symbol = "EURUSD";
    good.quantity = Decimal::whole(1);
    EXPECT_FALSE(fault_of(good));
    const auto wrong = [&](auto change) {
        Signal signal = good;
        change(signal);
        return fault_of(signal).value_or("");
    };
    EXPECT_NE(wrong([](Signal& s) { s.id = {}; }), "");
    EXPECT_NE(wrong([](Signal& s) { s.symbol.clear(); }), "");
    EXPECT_NE(wrong([](Signal& s) { s.symbol = "EUR USD"; }), "");
    EXPECT_NE(wrong([](Signal& s) { s.symbol = "EUR\x01"; }), "");
    EXPECT_NE(wrong([](Signal& s) { s.symbol.assign(33, 'X'); }), "");
    EXPECT_NE(wrong([](Signal& s) { s.quantity = {}; }), "");
    EXPECT_NE(wrong([](Signal& s) { s.quantity = {-1}; }), "");
    EXPECT_NE(wrong([](Signal& s) { s.price = Decimal::whole(1); }), "");    // a market order has none
    EXPECT_NE(wrong([](Signal& s) { s.type = OrderType::limit; }), "");    // a limit order needs one
    EXPECT_NE(wrong([](Signal& s) { s.stop_loss = {-1}; }), "");
    EXPECT_NE(wrong([](Signal& s) { s.strategy.assign(65, 'x'); }), "");
    EXPECT_NE(wrong([](Signal& s) { s.deadline = {-1}; }), "");
}

}    // namespace
}    // namespace holdfast::ledger
