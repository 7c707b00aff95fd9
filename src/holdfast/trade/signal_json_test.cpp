#include "holdfast/trade/signal_json.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/trade/intake.hpp"

namespace holdfast::trade {
namespace {

using ledger::Decimal;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* k_id = "0197b8e4-7b6a-7c3e-9d3f-1a2b3c4d5e6f";

// A good signal with `more` at its end.
std::string with(std::string_view more) {
    return fmt::format(R"({{"id":"{}","symbol":"EURUSD","side":"buy","quantity":0.1{}{}}})", k_id,
                       more.empty() ? "" : ",", more);
}
std::string refusal(std::string_view json) {
    const auto parsed = parse_signals(json);
    if (parsed) return "taken";
    EXPECT_EQ(parsed.error().code, ErrorCode::usage);
    return parsed.error().message;
}
std::string quantity(std::string_view text) {
    return fmt::format(R"({{"id":"{}","symbol":"EURUSD","side":"buy","quantity":{}}})", k_id, text);
}

TEST(SignalJson, ReadsEveryFieldExactly) {
    const auto signals = parse_signals(fmt::format(
        R"([{{"id":"{}","symbol":"EURUSD","side":"sell","type":"limit","quantity":0.10000001,"price":"9999999999.12345678",
            "stop_loss":1.1,"take_profit":null,"strategy":"Mean \u20ac \"x\"","created_at":"2026-11-27T12:00:00.5+01:00",
            "deadline":"2026-11-27T11:00:10Z"}}])",
        k_id));
    ASSERT_TRUE(signals) << signals.error().message;
    ASSERT_EQ(signals->size(), 1u);
    const ledger::Signal& signal = signals->front();
    EXPECT_EQ(signal.id.text(), k_id);
    EXPECT_EQ(signal.side, ledger::Side::sell);
    EXPECT_EQ(signal.type, ledger::OrderType::limit);
    EXPECT_EQ(signal.quantity.text(), "0.10000001");
    EXPECT_EQ(signal.price.text(), "9999999999.12345678");
    EXPECT_EQ(signal.stop_loss.text(), "1.1");
    EXPECT_EQ(signal.take_profit.units, 0);
    EXPECT_EQ(signal.strategy, "Mean € \"x\"");
    EXPECT_EQ(to_rfc3339(signal.created_at), "2026-11-27T11:00:00.5Z");
    EXPECT_EQ(signal.deadline - signal.created_at, std::chrono::milliseconds(9500));
    EXPECT_EQ(parse_signals(signal_json(signal)).value().front().price, signal.price);
}

TEST(SignalJson, TakesNumbersAsTextAndExponentsWithoutRounding) {
    for (const auto& [text, value] : {std::pair("0.1", "0.1"),
                                      {"\"0.1\"", "0.1"},
                                      {"1e-8", "0.00000001"},
                                      {"1E2", "100"},
                                      {"1.25e+1", "12.5"},
                                      {"123.456e-5", "0.00123456"},
                                      {"100000000e-8", "1"},
                                      {"0.00012e4", "1.2"},
                                      {"1.000000000000", "1"},
                                      {"0.1  ", "0.1"},
                                      {"9007199254740993e-8", "90071992.54740993"}}) {
        const auto parsed = parse_signals(quantity(text));
        ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
        EXPECT_EQ(parsed->front().quantity.text(), value) << text;
    }
    for (const char* text : {"0.30000000000000004",
                             "1e-9",
                             "1e10",
                             "10000000000",
                             "\"1e\"",
                             "\"e1\"",
                             "\"1e+-1\"",
                             "\"1e999999999999\"",
                             "\"\"",
                             "\".5\"",
                             "\"1.\"",
                             "\"+1\"",
                             "\" 1\"",
                             "\"1,5\"",
                             "\"0x10\"",
                             "\"1.e3\"",
                             "\"NaN\"",
                             "\"Infinity\"",
                             "true",
                             "[1]",
                             "{}",
                             "\"--1\""})
        EXPECT_THAT(refusal(quantity(text)), HasSubstr("quantity")) << text;
    for (const char* text : {"NaN", "-NaN", "Infinity", "01", "1.", ".5", "+1", "0x10", "1e", "1 2", "-", "nul", ""})
        EXPECT_THAT(refusal(quantity(text)), HasSubstr("not JSON")) << text;
}

// Hostile intake: each is refused by a sentence that names the field.
TEST(SignalJson, RefusesWhatItDoesNotUnderstand) {
    EXPECT_THAT(refusal(with("\"prize\":1")), HasSubstr("unknown key \"prize\"; did you mean \"price\"?"));
    EXPECT_THAT(refusal(with("\"zzz\":{\"a\":[1]}")), HasSubstr("unknown key \"zzz\""));
    EXPECT_THAT(refusal(with("\"symbol\":\"X\"")), HasSubstr("symbol is there twice"));
    EXPECT_THAT(refusal(with("\"price\":null,\"price\":1")), HasSubstr("price is there twice"));
    EXPECT_THAT(refusal(with("\"strategy\":5")), HasSubstr("strategy must be a string"));
    EXPECT_THAT(refusal(with("\"strategy\":\"a\\u0000b\"")), HasSubstr("control character"));
    EXPECT_THAT(refusal(with("\"strategy\":\"" + std::string(65, 'x') + "\"")), HasSubstr("longer than 64"));
    EXPECT_THAT(refusal(with("\"created_at\":\"yesterday\"")), HasSubstr("created_at is not a time"));
    EXPECT_THAT(refusal(with("\"created_at\":1795778762551")), HasSubstr("created_at must be a string"));
    EXPECT_THAT(refusal(with("\"deadline\":\"1969-12-31T23:59:59Z\"")), HasSubstr("before 1970"));
    EXPECT_THAT(refusal(with("\"price\":1")), HasSubstr("a market order has no price"));
    EXPECT_THAT(refusal(with("\"type\":\"limit\"")), HasSubstr("price"));
    EXPECT_THAT(refusal(with("\"type\":\"iceberg\"")), HasSubstr("\"iceberg\""));
    EXPECT_THAT(refusal(quantity("-1")), HasSubstr("quantity must be positive"));
    EXPECT_THAT(refusal(quantity("0")), HasSubstr("quantity must be positive"));
    EXPECT_THAT(refusal(R"({"id":"not-a-uuid","symbol":"X","side":"buy","quantity":1})"), HasSubstr("not a UUID"));
    EXPECT_THAT(refusal(R"({"id":"00000000-0000-0000-0000-000000000000","symbol":"X","side":"buy","quantity":1})"),
                HasSubstr("all zeros"));
    EXPECT_THAT(refusal(R"({"symbol":"X","side":"buy","quantity":1})"), HasSubstr("id is missing"));
    EXPECT_THAT(refusal(R"({"id":null,"symbol":"X","side":"buy","quantity":1})"), HasSubstr("id is missing"));
    for (const char* text : {"[]", "{}", "5", "\"x\"", "null", "[5]", "[[]]", "[null]"})
        EXPECT_NE(refusal(text), "taken") << text;
    for (const char* text : {"", " ", "{", "[{}", "{}{}", "[,]", "{\"id\"}", "{\"id\":}", "\xff\xfe",
                             "{\"id\":\"\xff\"}", "{\"id\":\"\\ud800\"}"})
        EXPECT_THAT(refusal(text), HasSubstr("not JSON")) << text;
    EXPECT_THAT(refusal(with("") + "x"), HasSubstr("not JSON"));
    EXPECT_THAT(refusal(std::string(5000, '[') + std::string(5000, ']')), HasSubstr("not JSON"));
    EXPECT_THAT(refusal("[" + with("") + "," + quantity("-1") + "]"), HasSubstr("signal 2: the quantity"));
    std::string many = "[" + with("");
    for (std::size_t i = 0; i < k_signals_max; ++i) many += "," + with("");
    EXPECT_THAT(refusal(many + "]"), HasSubstr("more than 256"));
}

TEST(SignalJson, ShowsLittleOfWhatItRefuses) {
    const std::string message = refusal(quantity("\"" + std::string(10000, '9') + "\\u001b[31m\""));
    EXPECT_LT(message.size(), 150u);
    EXPECT_THAT(message, Not(HasSubstr("\x1b")));
}

TEST(SignalJson, ReadsTheFieldsOfAStreamEntryAlike) {
    using Pair = std::pair<std::string_view, std::string_view>;
    const std::vector<Pair> fields = {
        {"id", k_id}, {"symbol", "BTCUSDT"}, {"side", "sell"}, {"quantity", "0.00000001"}};
    EXPECT_EQ(signal_from_fields(fields).value().quantity.units, 1);
    auto with_more = [&](Pair pair) {
        auto more = fields;
        more.push_back(pair);
        const auto parsed = signal_from_fields(more);
        return parsed ? std::string("taken") : parsed.error().message;
    };
    EXPECT_THAT(with_more({"strateggy", "x"}), HasSubstr("did you mean \"strategy\""));
    EXPECT_THAT(with_more({"strategy", "\xff"}), HasSubstr("UTF-8"));
    EXPECT_THAT(with_more({"price", ""}), HasSubstr("price"));
    EXPECT_THAT(with_more({"id", k_id}), HasSubstr("twice"));
    EXPECT_EQ(signal_from_fields({}).error().message, "id is missing");
}

TEST(SignalJson, WritesWhatIsKnownOfAnOrder) {
    ledger::Order order;
    order.id = *ledger::Uuid::parse(k_id);
    order.state = ledger::OrderState::filled;
    order.filled = Decimal::whole(2);
    EXPECT_EQ(order_json(order), fmt::format(R"({{"id":"{}","state":"filled","filled":"2"}})", k_id));
    order.symbol = "EURUSD";
    order.quantity = Decimal::whole(2);
    order.reason = "say \"x\"";
    EXPECT_THAT(order_json(order), HasSubstr(R"("symbol":"EURUSD","side":"buy","type":"market","quantity":"2")"));
    EXPECT_THAT(order_json(order), HasSubstr(R"("reason":"say \"x\"")"));
}

TEST(AsksFor, ComparesAllButTheTimeOfCreation) {
    ledger::Signal signal = parse_signals(with("")).value().front();
    ledger::Order order;
    EXPECT_TRUE(asks_for(signal, order));    // known in outline only
    order.symbol = signal.symbol;
    order.quantity = signal.quantity;
    EXPECT_TRUE(asks_for(signal, order));
    signal.created_at = Timestamp{5};
    EXPECT_TRUE(asks_for(signal, order));
    for (const auto& change : std::vector<void (*)(ledger::Signal&)>{
             [](ledger::Signal& s) { s.side = ledger::Side::sell; }, [](ledger::Signal& s) { s.quantity.units++; },
             [](ledger::Signal& s) { s.symbol = "X"; }, [](ledger::Signal& s) { s.type = ledger::OrderType::limit; },
             [](ledger::Signal& s) { s.stop_loss.units++; }, [](ledger::Signal& s) { s.deadline = Timestamp{1}; }}) {
        ledger::Signal other = signal;
        change(other);
        EXPECT_FALSE(asks_for(other, order));
    }
}

}    // namespace
}    // namespace holdfast::trade
