#include "holdfast/base/xxh64.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

// Published values: what other programs compute, too.
TEST(Xxh64, IsTheOneOfTheSpecification) {
    EXPECT_EQ(xxh64({}), 0xEF46DB3751D8E999u);
    EXPECT_EQ(xxh64(as_bytes("abc")), 0x44BC2CF5AD770999u);
    EXPECT_EQ(xxh64(as_bytes("Nobody inspects the spammish repetition")), 0xFBCEA83C8A378BF1u);
}

TEST(Xxh64, SeesTheOrderOfWordsAndTheSeed) {
    EXPECT_NE(xxh64(as_bytes("aaaaaaaabbbbbbbb")), xxh64(as_bytes("bbbbbbbbaaaaaaaa")));
    EXPECT_NE(xxh64(as_bytes("abc"), 1), xxh64(as_bytes("abc")));
}

}    // namespace
}    // namespace holdfast
