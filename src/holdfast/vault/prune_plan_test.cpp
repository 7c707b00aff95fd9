#include "holdfast/vault/prune_plan.hpp"

#include <gtest/gtest.h>

namespace holdfast::vault {
namespace {

using Kind = PackStatistics::Kind;

constexpr std::uint64_t MB = 1'000'000;

PackStatistics pack(std::uint64_t used, std::uint64_t unused, Kind kind = Kind::data, bool plain = false) {
    PackStatistics p;
    p.kind = kind;
    p.has_plain = plain;
    p.used_blobs = used > 0 ? 10 : 0;
    p.unused_blobs = unused > 0 ? 5 : 0;
    p.used_size = used;
    p.unused_size = unused;
    p.table_size = 1000;
    return p;
}

struct Planned {
    std::string fates;    // one letter a pack: k, r (repack), x (remove)
    PruneStatistics statistics;
};
Planned plan(const std::vector<PackStatistics>& packs, const PruneLimits& limits = {}) {
    Planned result;
    for (const PackStatistics& p : packs) {
        result.statistics.used.bytes += p.used_size;
        result.statistics.unused.bytes += p.unused_size;
    }
    for (const PackFate fate : plan_prune(packs, limits, result.statistics))
        result.fates += fate == PackFate::keep ? 'k' : fate == PackFate::repack ? 'r' : 'x';
    return result;
}

TEST(PrunePlan, RemovesWhatNobodyNeedsAndKeepsWhatAllIsNeeded) {
    const auto planned = plan({pack(16 * MB, 0), pack(0, 16 * MB), pack(16 * MB, 0)});
    EXPECT_EQ(planned.fates, "kxk");
    EXPECT_EQ(planned.statistics.remove.bytes, 16 * MB);
    EXPECT_EQ(planned.statistics.packs_keep, 2u);
    EXPECT_EQ(planned.statistics.unused_after(), 0u);
    EXPECT_FALSE(planned.statistics.nothing_to_do());
    EXPECT_TRUE(plan({pack(16 * MB, 0)}).statistics.nothing_to_do());
}

TEST(PrunePlan, RepacksTheEmptiestPacksUntilFivePercentAreLeft) {
    // 15 + 1, 8 + 8, 12 + 4: the middle one is enough? 13 of 48 unneeded, 5 % of what stays is about 1.8 MB.
    EXPECT_EQ(plan({pack(15 * MB, MB), pack(8 * MB, 8 * MB), pack(12 * MB, 4 * MB)}).fates, "krr");
    PruneLimits limits;
    limits.max_unused.percent = 20;    // 8.75 MB may stay
    EXPECT_EQ(plan({pack(15 * MB, MB), pack(8 * MB, 8 * MB), pack(12 * MB, 4 * MB)}, limits).fates, "krk");
    limits.max_unused.percent = 0;
    EXPECT_EQ(plan({pack(15 * MB, MB), pack(8 * MB, 8 * MB), pack(12 * MB, 4 * MB)}, limits).fates, "rrr");
    limits.max_unused = {MaxUnused::Kind::bytes, 0, 5 * MB};
    EXPECT_EQ(plan({pack(15 * MB, MB), pack(8 * MB, 8 * MB), pack(12 * MB, 4 * MB)}, limits).fates, "krk");
    limits.max_unused = {MaxUnused::Kind::unlimited, 0, 0};
    EXPECT_EQ(plan({pack(15 * MB, MB), pack(8 * MB, 8 * MB), pack(0, 4 * MB)}, limits).fates, "kkx");
}

TEST(PrunePlan, PercentIsOfTheRepositoryAfterwards) {
    MaxUnused five;
    EXPECT_EQ(five.of(95 * MB), 5 * MB);
    EXPECT_EQ((MaxUnused{MaxUnused::Kind::unlimited, 0, 0}.of(1)), std::numeric_limits<std::uint64_t>::max());
}

TEST(PrunePlan, SmallPacksAreMergedOnlyInTens) {
    std::vector<PackStatistics> packs(9, pack(MB, 0));
    EXPECT_EQ(plan(packs).fates, std::string(9, 'k'));
    packs.push_back(pack(MB, 0));
    EXPECT_EQ(plan(packs).fates, std::string(10, 'r'));
    // Packs of a size that is usual here are left alone, unless all below 80 % of the target are asked for.
    packs.assign(100, pack(8 * MB, 0));
    EXPECT_EQ(plan(packs).fates, std::string(100, 'k'));
    PruneLimits limits;
    limits.small = true;
    EXPECT_EQ(plan(packs, limits).fates, std::string(100, 'r'));
}

TEST(PrunePlan, TreesAndMixedPacksGoFirstAndAreNotStoppedByTheUnusedLimit) {
    PruneLimits limits;
    limits.max_unused = {MaxUnused::Kind::unlimited, 0, 0};
    EXPECT_EQ(plan({pack(16 * MB, MB, Kind::tree), pack(16 * MB, 0, Kind::mixed), pack(9 * MB, 7 * MB)}, limits).fates,
              "rrk");
    EXPECT_EQ(plan({pack(16 * MB, 0, Kind::tree, true), pack(16 * MB, 0, Kind::data, true)}, limits).fates, "rk");
    limits.uncompressed = true;
    EXPECT_EQ(plan({pack(16 * MB, 0, Kind::tree, true), pack(16 * MB, 0, Kind::data, true)}, limits).fates, "rr");
}

TEST(PrunePlan, CacheableOnlyLeavesDataPacksWhereTheyAre) {
    PruneLimits limits;
    limits.cacheable_only = true;
    EXPECT_EQ(plan({pack(MB, 15 * MB), pack(16 * MB, MB, Kind::tree), pack(0, MB)}, limits).fates, "krx");
}

TEST(PrunePlan, ABudgetForRepackingIsKept) {
    PruneLimits limits;
    limits.max_repack = 20 * MB;
    const auto planned = plan({pack(8 * MB, 8 * MB), pack(4 * MB, 12 * MB), pack(6 * MB, 10 * MB)}, limits);
    EXPECT_EQ(planned.fates, "krk");    // the emptiest one
    EXPECT_LE(planned.statistics.repack.bytes, limits.max_repack);
    limits.max_repack = 0;
    EXPECT_EQ(plan({pack(8 * MB, 8 * MB), pack(0, 12 * MB)}, limits).fates, "kx");
}

}    // namespace
}    // namespace holdfast::vault
