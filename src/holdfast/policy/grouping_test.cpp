#include "holdfast/policy/grouping.hpp"

#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

TEST(Grouping, HostAndPathsInAnyOrderMakeAGroup) {
    const Grouping usual;
    EXPECT_EQ(group_key(usual, "desk", {"/b", "/a"}, {"x"}), group_key(usual, "desk", {"/a", "/b"}, {"y"}));
    EXPECT_NE(group_key(usual, "desk", {"/a"}, {}), group_key(usual, "desk", {"/a", "/b"}, {}));
    EXPECT_NE(group_key(usual, "desk", {"/a"}, {}), group_key(usual, "other", {"/a"}, {}));
    const Grouping tags = parse_grouping("tags").value();
    EXPECT_EQ(group_key(tags, "desk", {"/a"}, {"x", "y"}), group_key(tags, "other", {"/b"}, {"y", "x"}));
    const Grouping none = parse_grouping("").value();
    EXPECT_EQ(group_key(none, "desk", {"/a"}, {"x"}), group_key(none, "other", {}, {}));
}

TEST(Grouping, UnknownWordsAreRefused) {
    EXPECT_TRUE(parse_grouping("host,paths,tags")->tags);
    EXPECT_FALSE(parse_grouping("host")->paths);
    EXPECT_FALSE(parse_grouping("user"));
}

}    // namespace
}    // namespace holdfast::policy
