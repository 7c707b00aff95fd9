#include "holdfast/os/folder_watch.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "holdfast/os/file.hpp"

namespace holdfast::os {
namespace {

using namespace std::chrono_literals;

// All that happened so far: inotify has it when the call that changed something returns.
std::vector<FolderChange> told(FolderWatch& watch) { return watch.wait(0ns).value(); }

bool finished(const std::vector<FolderChange>& changes, const std::string& folder, std::string_view name) {
    return std::ranges::any_of(
        changes, [&](const FolderChange& c) { return c.folder == folder && c.name == name && c.finished; });
}

TEST(FolderWatch, TellsWhoHasFinishedWriting) {    // EA-03: on every change
    const TempFolder scratch = TempFolder::create("hf-os").value();
    auto watch = FolderWatch::open().value();
    EXPECT_TRUE(watch.add(scratch.path()).value());
    EXPECT_TRUE(watch.add(scratch.path()).value());
    EXPECT_TRUE(told(watch).empty());

    std::FILE* file = std::fopen((scratch.path() + "/a").c_str(), "w");
    std::fputs("half", file);
    std::fflush(file);
    auto changes = told(watch);
    EXPECT_FALSE(changes.empty());
    EXPECT_FALSE(finished(changes, scratch.path(), "a"));
    std::fclose(file);
    EXPECT_TRUE(finished(told(watch), scratch.path(), "a"));
    ASSERT_TRUE(write_file(scratch.path() + "/b", as_bytes("whole")));    // renamed over
    EXPECT_TRUE(finished(told(watch), scratch.path(), "b"));
    ASSERT_EQ(::unlink((scratch.path() + "/a").c_str()), 0);
    changes = told(watch);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].name, "a");
}

TEST(FolderWatch, AFolderThatWasReplacedIsWatchedAnew) {
    const TempFolder scratch = TempFolder::create("hf-os").value();
    const std::string folder = scratch.path() + "/f";
    auto watch = FolderWatch::open().value();
    EXPECT_EQ(watch.add(folder).error().code, ErrorCode::not_found);
    ASSERT_TRUE(make_folders(folder));
    EXPECT_TRUE(watch.add(folder).value());
    ASSERT_EQ(::rename(folder.c_str(), (scratch.path() + "/g").c_str()), 0);
    const auto changes = told(watch);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_TRUE(changes[0].lost);
    ASSERT_TRUE(make_folders(folder));
    EXPECT_TRUE(watch.add(folder).value());
    ASSERT_TRUE(write_file(folder + "/a", as_bytes("x")));
    EXPECT_TRUE(finished(told(watch), folder, "a"));
}

}    // namespace
}    // namespace holdfast::os
