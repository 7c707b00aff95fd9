#include <gtest/gtest.h>

#include "holdfast/policy/config.hpp"

namespace holdfast::policy {
namespace {

TEST(Suggest, FindsASlipOfTheHand) {
    EXPECT_EQ(suggest("bakup", {"backup", "check", "restore"}), "backup");
    EXPECT_EQ(suggest("databses", {"databases", "exclude_databases"}), "databases");
    EXPECT_EQ(suggest("chekc", {"backup", "check"}), "check");
}

TEST(Suggest, StaysSilentWhenNothingIsClose) {
    EXPECT_EQ(suggest("frobnicate", {"backup", "check"}), "");
    EXPECT_EQ(suggest("", {"ls"}), "");
    EXPECT_EQ(suggest("xyz", {"ls"}), "");
    EXPECT_EQ(suggest("backup", {}), "");
}

TEST(Suggest, TakesTheClosest) { EXPECT_EQ(suggest("portt", {"post", "port"}), "port"); }

}    // namespace
}    // namespace holdfast::policy
