#include "holdfast/policy/size.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

TEST(Size, TakesWhatResticTakes) {
    EXPECT_EQ(parse_size("0").value_or(9), 0u);
    EXPECT_EQ(parse_size("1234").value_or(0), 1234u);
    EXPECT_EQ(parse_size("1234B").value_or(0), 1234u);
    EXPECT_EQ(parse_size("4k").value_or(0), 4096u);
    EXPECT_EQ(parse_size("4K").value_or(0), 4096u);
    EXPECT_EQ(parse_size("20M").value_or(0), 20u << 20);
    EXPECT_EQ(parse_size("20MiB").value_or(0), 20u << 20);
    EXPECT_EQ(parse_size("1.5G").value_or(0), 3u << 29);
    EXPECT_EQ(parse_size("2T").value_or(0), std::uint64_t(2) << 40);
}

TEST(Size, RefusesTheRest) {
    for (const char* text : {"", "k", "-1", "4x", "4kk", "1e9", "nan", "inf", "4 k", "9999999T", "5%"})
        EXPECT_FALSE(parse_size(text)) << text;
}

TEST(Size, SharesNeedTheSign) {
    EXPECT_EQ(parse_percent("5%").value_or(0), 5.0);
    EXPECT_EQ(parse_percent("0.5%").value_or(0), 0.5);
    for (const char* text : {"", "%", "5", "-1%", "5%%", "nan%"}) EXPECT_FALSE(parse_percent(text)) << text;
}

}    // namespace
}    // namespace holdfast::policy
