#include "holdfast/vault/glob.hpp"

#include <gtest/gtest.h>

namespace holdfast::vault {
namespace {

bool fits(const std::string& pattern, const std::string& path) { return GlobSet({pattern}).matches(path); }

TEST(Glob, APatternWithoutSlashFitsTheBaseName) {
    EXPECT_TRUE(fits("*.tmp", "/a/b/c.tmp"));
    EXPECT_FALSE(fits("*.tmp", "/a/b.tmp/c"));    // a walk would not get there: b.tmp itself fits
    EXPECT_FALSE(fits("*.tmp", "/a/c.tmpx"));
}
TEST(Glob, ALeadingSlashAnchors) {
    EXPECT_TRUE(fits("/var/log", "/var/log"));
    EXPECT_FALSE(fits("/var/log", "/x/var/log"));
    EXPECT_TRUE(fits("var/log", "/x/var/log"));
}
TEST(Glob, AStarStaysInsideOnePart) {
    EXPECT_TRUE(fits("/a/*/c", "/a/b/c"));
    EXPECT_FALSE(fits("/a/*/c", "/a/b/b/c"));
    EXPECT_TRUE(fits("/a/[bc]?", "/a/bx"));
}
TEST(Glob, TwoStarsSpanAnyNumberOfParts) {
    for (const char* path : {"/a/c", "/a/b/c", "/a/b/b/c"}) EXPECT_TRUE(fits("/a/**/c", path)) << path;
    EXPECT_FALSE(fits("/a/**/c", "/b/c"));
    EXPECT_TRUE(fits("/a/**", "/a/b/c"));
}
TEST(Glob, ManyStarsStayCheap) {
    std::string path, pattern;
    for (int i = 0; i < 60; ++i) {
        path += "/a";
        pattern += "/**/a";
    }
    EXPECT_FALSE(fits(pattern + "/b", path));
}
TEST(Glob, LettersMayBeLargeOrSmallWhereTold) {
    EXPECT_TRUE(GlobSet({"*.RDB"}, GlobSet::Case::ignored).matches("/a/dump.rdb"));
    EXPECT_FALSE(fits("*.RDB", "/a/dump.rdb"));
}
TEST(Glob, TellsWhereAWalkNeedNotGo) {
    const GlobSet anchored({"/a/*/c", "/x/**/y"});
    for (const char* folder : {"/", "/a", "/a/b", "/x", "/x/1/2/3"})
        EXPECT_TRUE(anchored.may_match_below(folder)) << folder;
    for (const char* folder : {"/b", "/a/b/c", "/a/b/d", "/xx"})
        EXPECT_FALSE(anchored.may_match_below(folder)) << folder;
    EXPECT_TRUE(GlobSet({"*.conf"}).may_match_below("/any/where"));
    EXPECT_FALSE(GlobSet({}).may_match_below("/a"));
}
TEST(Glob, EmptyPatternsFitNothing) {
    EXPECT_FALSE(fits("", "/a"));
    EXPECT_FALSE(fits("/", "/a"));
}

}    // namespace
}    // namespace holdfast::vault
