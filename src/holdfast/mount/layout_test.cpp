#include "holdfast/mount/layout.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace holdfast::mount {
namespace {

class Layout : public ::testing::Test {
protected:
    Layout() {
        ::setenv("TZ", "UTC", 1);
        ::tzset();
    }
    void snapshot(std::int64_t second, const std::string& host, std::vector<std::string> tags = {}) {
        vault::SnapshotEntry entry;
        entry.id.bytes[0] = std::byte(entries_.size() + 1);
        entry.snapshot.time = Timestamp{second * 1'000'000'000};
        entry.snapshot.hostname = host;
        entry.snapshot.tags = std::move(tags);
        entries_.push_back(std::move(entry));
    }
    LayoutFolder laid_out(const Templates& templates = {}) {
        auto made = lay_out(entries_, templates);
        EXPECT_TRUE(made) << made.error().message;
        return made.value_or(LayoutFolder{});
    }
    std::vector<vault::SnapshotEntry> entries_;
};

TEST_F(Layout, IsResticsByDefault) {
    snapshot(0, "alpha", {"nightly"});
    snapshot(86'400, "beta", {"nightly", "weekly"});
    const LayoutFolder root = laid_out();
    EXPECT_TRUE(root.folders.at("ids").snapshots.contains("01000000"));
    EXPECT_EQ(root.folders.at("ids").latest, "");
    EXPECT_EQ(root.folders.at("snapshots").snapshots.at("1970-01-01T00:00:00Z"), 0u);
    EXPECT_EQ(root.folders.at("snapshots").latest, "1970-01-02T00:00:00Z");
    EXPECT_EQ(root.folders.at("hosts").folders.at("alpha").latest, "1970-01-01T00:00:00Z");
    EXPECT_EQ(root.folders.at("tags").folders.at("nightly").snapshots.size(), 2u);
    EXPECT_EQ(root.folders.at("tags").folders.at("weekly").snapshots.size(), 1u);
}
TEST_F(Layout, FoldersAreThereWithoutAnySnapshot) {
    const LayoutFolder root = laid_out();
    for (const char* name : {"ids", "snapshots", "hosts", "tags"}) EXPECT_TRUE(root.folders.contains(name)) << name;
}
TEST_F(Layout, SnapshotsOfOneSecondStayApart) {
    snapshot(0, "a");
    snapshot(0, "a");
    snapshot(0, "a");
    const LayoutFolder root = laid_out();
    const LayoutFolder& all = root.folders.at("snapshots");
    EXPECT_EQ(all.snapshots.size(), 3u);
    EXPECT_TRUE(all.snapshots.contains("1970-01-01T00:00:00Z-2"));
    EXPECT_EQ(all.latest, "1970-01-01T00:00:00Z-2");
}
TEST_F(Layout, NamesFromSnapshotsCannotClimb) {
    snapshot(0, "..", {"a/../../b", "latest"});
    const LayoutFolder root = laid_out({.paths = {"%h/%i", "tags/%t"}, .time = ""});
    EXPECT_TRUE(root.folders.contains(".._"));
    EXPECT_TRUE(root.folders.at("tags").snapshots.contains("a_.._.._b"));
    EXPECT_TRUE(root.folders.at("tags").snapshots.contains("latest-1"));
}
TEST_F(Layout, TemplatesThatTellNothingAreRefused) {
    for (const char* text : {"all", "%x", "x%", "../%i", ""})
        EXPECT_EQ(lay_out({}, {.paths = {text}, .time = ""}).error().code, ErrorCode::usage) << text;
}
TEST_F(Layout, TimesAreWrittenAsGoDoes) {
    const Timestamp time{1'700'000'000'123'456'789};
    EXPECT_EQ(format_time(time, "2006-01-02T15:04:05Z07:00"), "2023-11-14T22:13:20Z");
    EXPECT_EQ(format_time(time, "2006/01/02 at 15-04 -0700"), "2023/11/14 at 22-13 +0000");
    EXPECT_EQ(format_time(Timestamp{-1}, "2006-01-02T15:04:05Z07:00"), "1969-12-31T23:59:59Z");
    ::setenv("TZ", "Asia/Kolkata", 1);
    ::tzset();
    EXPECT_EQ(format_time(time, "15:04:05Z07:00"), "03:43:20+05:30");
}

}    // namespace
}    // namespace holdfast::mount
