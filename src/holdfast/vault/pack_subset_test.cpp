#include "holdfast/vault/pack_subset.hpp"

#include <gtest/gtest.h>

#include <set>

#include "holdfast/format/sha256.hpp"

namespace holdfast::vault {
namespace {

std::vector<SizedPack> some_packs(std::size_t count) {
    std::vector<SizedPack> packs(count);
    for (std::size_t i = 0; i < count; ++i) {
        packs[i] = {format::sha256(as_bytes(std::to_string(i))), 1'000'000};
    }
    return packs;
}

TEST(PackSubset, AllPartsTogetherReadEveryPackOnce) {
    const auto packs = some_packs(500);
    std::multiset<Id> read;
    for (unsigned bucket = 1; bucket <= 7; ++bucket)
        for (const std::size_t at : chosen_packs(packs, {.bucket = bucket, .buckets = 7}, bucket))
            read.insert(packs[at].id);
    EXPECT_EQ(read.size(), 500u);
    for (const auto& pack : packs) EXPECT_EQ(read.count(pack.id), 1u);
}

TEST(PackSubset, AShareAndAnAmountChooseThatMuch) {
    const auto packs = some_packs(200);
    EXPECT_EQ(chosen_packs(packs, {.percent = 5}, 1).size(), 10u);
    EXPECT_EQ(chosen_packs(packs, {.percent = 100}, 1).size(), 200u);
    EXPECT_EQ(chosen_packs(packs, {.percent = 0.001}, 1).size(), 1u);
    EXPECT_EQ(chosen_packs(packs, {.bytes = 3'000'000}, 1).size(), 3u);
    EXPECT_EQ(chosen_packs(packs, {.bytes = std::uint64_t(1) << 50}, 1).size(), 200u);
    EXPECT_EQ(chosen_packs(packs, {.bytes = 1}, 1).size(), 1u);
    EXPECT_NE(chosen_packs(packs, {.percent = 5}, 1)[0], chosen_packs(packs, {.percent = 5}, 2)[0]);
    EXPECT_TRUE(chosen_packs({}, {.percent = 5}, 1).empty());
}

TEST(PackSubset, ReadsTheThreeForms) {
    EXPECT_EQ(parse_pack_subset("3/7")->bucket, 3u);
    EXPECT_EQ(parse_pack_subset("3/7")->buckets, 7u);
    EXPECT_EQ(parse_pack_subset("256/256")->buckets, 256u);
    EXPECT_DOUBLE_EQ(parse_pack_subset("2.5%")->percent, 2.5);
    EXPECT_EQ(parse_pack_subset("50G")->bytes, std::uint64_t(50) << 30);
    EXPECT_EQ(parse_pack_subset("512k")->bytes, 524288u);
    EXPECT_EQ(parse_pack_subset("77")->bytes, 77u);
}

TEST(PackSubset, RefusesEverythingElse) {
    for (const char* text :
         {"",  "0/7", "8/7", "1/0", "1/257",           "/",    "1/",  "a/b", "1/7x", "0%", "101%", "%", "-5%", "nan%",
          "0", "-1",  "G",   "5X",  "99999999999999T", "1.5G", "0x10"})
        EXPECT_EQ(parse_pack_subset(text).error().code, ErrorCode::usage) << text;
}

}    // namespace
}    // namespace holdfast::vault
