#include "holdfast/base/json.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace holdfast::json {
namespace {

TEST(Json, KeepsTheOrderOfMembersAndAll64Bits) {
    const std::string text =
        R"({"z":18446744073709551615,"a":-9223372036854775808,"m":[true,false,null,1.5,"x"],"e":{},"f":[]})";
    const auto value = parse(text, "manifest");
    ASSERT_TRUE(value) << value.error().message;
    EXPECT_EQ(dump(*value), text);
    EXPECT_EQ((*value)["z"].natural(), UINT64_MAX);
    EXPECT_EQ((*value)["a"].integer(), INT64_MIN);
}

TEST(Json, IndentsForPeople) {
    EXPECT_EQ(dump(Value::object({{"a", 1}, {"b", Array{1, 2}}, {"c", Value::array()}}), 2),
              "{\n  \"a\": 1,\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": []\n}");
}

TEST(Json, FallsBackWhenAValueIsAbsentOrOfAnotherKind) {
    const Value value = *parse(R"({"n":-1,"s":"x","big":18446744073709551615,"d":0.5})", "v");
    EXPECT_EQ(value["absent"].text("none"), "none");
    EXPECT_EQ(value["s"].integer(7), 7);
    EXPECT_EQ(value["n"].natural(7), 7u);
    EXPECT_EQ(value["big"].integer(7), 7);
    EXPECT_EQ(value["n"].number(), -1.0);
    EXPECT_EQ(value["d"].integer(7), 7);
    EXPECT_TRUE(value["s"].boolean(true));
    EXPECT_TRUE(value["s"]["deeper"]["still"].is_null());
    EXPECT_TRUE(value.items().empty());
    EXPECT_TRUE(value["s"].members().empty());
}

TEST(Json, SetsReplacesAndAppends) {
    Value value;
    value.set("a", 1).set("b", "x").set("a", 2);
    EXPECT_EQ(dump(value), R"({"a":2,"b":"x"})");
    Value list;
    list.push(1).push(nullptr);
    EXPECT_EQ(dump(list), "[1,null]");
}

TEST(Json, RefusesBrokenTextAndNamesTheDocument) {
    for (const std::string_view text :
         {"", "{", "{\"a\":}", "[1,]", "{\"a\":1}x", "nul", "\"\xff\"", "{\"a\":01}", "[1e999]"}) {
        const auto value = parse(text, "the manifest");
        ASSERT_FALSE(value) << text;
        EXPECT_EQ(value.error().code, ErrorCode::corrupt);
        EXPECT_NE(value.error().message.find("the manifest"), std::string::npos);
    }
}

TEST(Json, RefusesNestingThatWouldEatTheStack) {
    EXPECT_TRUE(parse(std::string(150, '[') + std::string(150, ']'), "v"));
    EXPECT_FALSE(parse(std::string(500, '[') + std::string(500, ']'), "v"));
    EXPECT_FALSE(parse(std::string(100'000, '[') + std::string(100'000, ']'), "v"));
}

TEST(Json, EscapesControlsAndReplacesWhatIsNotUtf8) {
    EXPECT_EQ(dump(Value(std::string("a\"\\\n\r\t\x01\0z", 9))), R"("a\"\\\n\r\t\u0001\u0000z")");
    EXPECT_EQ(dump(Value("\xff\xc0\xaf\xed\xa0\x80")),
              "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    const std::string text = "na\xc3\xafve \xf0\x9f\x98\x80 \xe2\x82\xac";
    EXPECT_EQ(dump(Value(text)), '"' + text + '"');
    EXPECT_EQ(parse(dump(Value(text)), "v")->text(), text);
}

TEST(Json, HasNoWordForInfinity) {
    EXPECT_EQ(dump(Value(std::numeric_limits<double>::infinity())), "null");
    EXPECT_EQ(dump(Value(std::numeric_limits<double>::quiet_NaN())), "null");
}

TEST(Json, TakesTheFirstOfTwoEqualKeys) { EXPECT_EQ((*parse(R"({"a":1,"a":2})", "v"))["a"].integer(), 1); }

}    // namespace
}    // namespace holdfast::json
