#include "holdfast/vault/path_filter.hpp"

#include <gtest/gtest.h>

namespace holdfast::vault {
namespace {

// As a walk does: from the root down, and only where it is worth it.
PathFilter::Standing standing_of(const PathFilter& filter, const std::string& path) {
    auto standing = filter.root();
    for (std::size_t at = 1; at != std::string::npos + 1 && standing.worth_a_walk();) {
        const std::size_t end = path.find('/', at);
        standing = filter.judge(path.substr(0, end), standing);
        if (end == std::string::npos) return standing;
        at = end + 1;
    }
    return {.excluded = true};
}
bool wants(const PathFilter& filter, const std::string& path) { return standing_of(filter, path).wanted(); }

TEST(PathFilter, WithoutPatternsEverythingIsWanted) {
    const PathFilter filter({}, {});
    EXPECT_TRUE(filter.wants_all());
    EXPECT_TRUE(wants(filter, "/a/b"));
}
TEST(PathFilter, AnIncludedFolderBringsAllBelow) {
    const PathFilter filter({}, {.include = {"/etc/nginx", "*.conf"}, .iinclude = {}, .exclude = {}, .iexclude = {}});
    EXPECT_TRUE(wants(filter, "/etc/nginx/sites/one"));
    EXPECT_TRUE(wants(filter, "/var/deep/x.conf"));
    EXPECT_FALSE(wants(filter, "/etc/passwd"));
    EXPECT_FALSE(wants(filter, "/etc"));
    EXPECT_TRUE(standing_of(filter, "/etc").worth_a_walk());
}
TEST(PathFilter, ExcludesWinWithAllBelow) {
    const PathFilter filter({}, {.include = {"/etc"}, .iinclude = {}, .exclude = {"ssl"}, .iexclude = {"*.BAK"}});
    EXPECT_TRUE(wants(filter, "/etc/hosts"));
    EXPECT_FALSE(wants(filter, "/etc/ssl/private/key"));
    EXPECT_FALSE(wants(filter, "/etc/hosts.bak"));
}
TEST(PathFilter, ExactPathsAreNoPatterns) {
    const PathFilter filter({"/a/[x]", "b//c/"}, {});
    EXPECT_TRUE(wants(filter, "/a/[x]/y"));
    EXPECT_FALSE(wants(filter, "/a/x"));
    EXPECT_TRUE(wants(filter, "/b/c"));
    EXPECT_FALSE(standing_of(filter, "/a/other").worth_a_walk());
}
TEST(PathFilter, PathsAndPatternsMustBothAgree) {
    const PathFilter filter({"/redis"}, {.include = {"*.rdb"}, .iinclude = {}, .exclude = {}, .iexclude = {}});
    EXPECT_TRUE(wants(filter, "/redis/x/dump.rdb"));
    EXPECT_FALSE(wants(filter, "/redis/x/log"));
    EXPECT_FALSE(wants(filter, "/other/dump.rdb"));
}
TEST(PathFilter, LettersMayDiffer) {
    const PathFilter filter({}, {.include = {}, .iinclude = {"readme*"}, .exclude = {}, .iexclude = {}});
    EXPECT_TRUE(wants(filter, "/a/README.md"));
}

}    // namespace
}    // namespace holdfast::vault
