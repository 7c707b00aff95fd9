#include "holdfast/format/polynomial.hpp"

#include <gtest/gtest.h>

#include "holdfast/format/golden_test.hpp"

namespace holdfast::format {
namespace {

TEST(Polynomial, KnowsIrreducibleOnesFromOthers) {
    const json::Value vectors = golden_json("chunker.json");
    for (const json::Value& hex : vectors["irreducible"].items()) {
        const auto p = parse_polynomial(hex.text());
        ASSERT_TRUE(p) << hex.text();
        EXPECT_EQ(to_hex(*p), hex.text());
    }
    for (const json::Value& hex : vectors["reducible"].items())
        EXPECT_EQ(parse_polynomial(hex.text()).error().code, ErrorCode::corrupt) << hex.text();
    EXPECT_FALSE(is_irreducible({0}));
    EXPECT_FALSE(is_irreducible({1}));
    EXPECT_TRUE(is_irreducible({2}));    // x
    EXPECT_TRUE(is_irreducible({7}));    // x^2+x+1
    EXPECT_FALSE(is_irreducible({5}));    // (x+1)^2
    EXPECT_TRUE(is_irreducible({0x11b}));    // the polynomial of AES
    EXPECT_FALSE(is_irreducible({UINT64_MAX}));    // beyond the arithmetic
}

TEST(Polynomial, RefusesWhatIsNotHexOfDegree53) {
    for (const std::string_view text : {"", "x", "0x3da3358b4dc173", "7", "3da3358b4dc17", "13da3358b4dc1733",
                                        "3da3358b4dc173 ", "-3da3358b4dc173", "ffffffffffffffffffff"})
        EXPECT_FALSE(parse_polynomial(text)) << text;
}

TEST(Polynomial, ComesFromRandomBytesOnceInAbout26Times) {
    int found = 0;
    for (std::uint64_t i = 1; i <= 2600; ++i) {
        if (const auto p = polynomial_from_random(i * 0x9E3779B97F4A7C15)) {
            ++found;
            EXPECT_TRUE(parse_polynomial(to_hex(*p)));
        }
    }
    EXPECT_GT(found, 50);
    EXPECT_LT(found, 200);
}

}    // namespace
}    // namespace holdfast::format
