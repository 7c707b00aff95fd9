#include "holdfast/os/file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::os {
namespace {

using testing::ElementsAre;

TempFolder scratch() { return TempFolder::create("hf-os").value(); }

TEST(AtomicFile, AppearsOnlyWithCommit) {    // EA-03: written atomically
    const TempFolder folder = scratch();
    const std::string path = folder.path() + "/file";
    {
        AtomicFile file = AtomicFile::create(path).value();
        ASSERT_TRUE(file.write(as_bytes("half")));
        EXPECT_FALSE(exists(path));
    }
    EXPECT_THAT(list_folder(folder.path()).value(), ElementsAre());
    ASSERT_TRUE(write_file(path, as_bytes("whole")));
    EXPECT_EQ(read_text(path).value(), "whole");
    EXPECT_EQ(status_of(path)->st_mode & 07777, 0600u);
    EXPECT_THAT(list_folder(folder.path()).value(), ElementsAre("file"));
}

TEST(WriteNewFile, NeverReplacesAnything) {    // DD-06: a key is never lost to another
    const TempFolder folder = scratch();
    const std::string path = folder.path() + "/key";
    ASSERT_TRUE(write_new_file(path, as_bytes("first")));
    EXPECT_EQ(status_of(path)->st_mode & 07777, 0600u);
    const auto again = write_new_file(path, as_bytes("second"));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::exists);
    EXPECT_THAT(again.error().message, testing::HasSubstr(path));
    EXPECT_EQ(read_text(path).value(), "first");
    // Not even a link to nothing, nor one that came while the content was written.
    ASSERT_EQ(::symlink("/nonexistent/key", (folder.path() + "/link").c_str()), 0);
    EXPECT_FALSE(write_new_file(folder.path() + "/link", as_bytes("third")));
    AtomicFile late = AtomicFile::create(folder.path() + "/late").value();
    ASSERT_TRUE(write_file(folder.path() + "/late", as_bytes("theirs")));
    EXPECT_FALSE(late.commit_new());
    EXPECT_EQ(read_text(folder.path() + "/late").value(), "theirs");
}

TEST(ReadFile, RefusesWhatIsLargerThanAsked) {
    const TempFolder folder = scratch();
    ASSERT_TRUE(write_file(folder.path() + "/file", as_bytes("12345678")));
    EXPECT_TRUE(read_file(folder.path() + "/file", 8));
    EXPECT_EQ(read_file(folder.path() + "/file", 7).error().code, ErrorCode::corrupt);
}

TEST(ReadFile, ReadsFilesWhoseSizeTheKernelDoesNotTell) { EXPECT_FALSE(read_text("/proc/self/status")->empty()); }

TEST(ReadFile, NamesWhatIsMissing) {
    const auto result = read_file("/nonexistent/file");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::not_found);
    EXPECT_THAT(result.error().message, testing::HasSubstr("/nonexistent/file"));
}

TEST(RemoveTree, DoesNotFollowLinks) {
    const TempFolder folder = scratch();
    ASSERT_TRUE(make_folders(folder.path() + "/keep"));
    ASSERT_TRUE(write_file(folder.path() + "/keep/file", as_bytes("x")));
    ASSERT_TRUE(make_folders(folder.path() + "/gone/deep/deeper"));
    ASSERT_EQ(::symlink((folder.path() + "/keep").c_str(), (folder.path() + "/gone/deep/link").c_str()), 0);
    ASSERT_TRUE(remove_tree(folder.path() + "/gone"));
    EXPECT_THAT(list_folder(folder.path()).value(), ElementsAre("keep"));
    EXPECT_TRUE(exists(folder.path() + "/keep/file"));
    EXPECT_TRUE(remove_tree(folder.path() + "/gone"));
}

TEST(MakeFolders, IsRefusedWhereAFileStands) {
    const TempFolder folder = scratch();
    ASSERT_TRUE(make_folders(folder.path() + "/a/b/c"));
    ASSERT_TRUE(make_folders(folder.path() + "/a/b/c"));
    ASSERT_TRUE(write_file(folder.path() + "/file", {}));
    EXPECT_FALSE(make_folders(folder.path() + "/file"));
    EXPECT_FALSE(make_folders(folder.path() + "/file/below"));
}

TEST(AbsolutePath, IsCleanWithoutAskingTheDisk) {
    EXPECT_EQ(absolute_path("/a/./b/../c//d/"), "/a/c/d");
    EXPECT_EQ(absolute_path("/../.."), "/");
    EXPECT_EQ(absolute_path("x").back(), 'x');
    EXPECT_EQ(parent_folder("/a/b/"), "/a");
    EXPECT_EQ(parent_folder("/a"), "/");
    EXPECT_EQ(parent_folder("a"), ".");
    EXPECT_EQ(file_name("/a/b/"), "b");
}

TEST(WriteAll, SaysThatTheDiskIsFull) {    // NS-17
    const Fd fd(::open("/dev/full", O_WRONLY));
    const Status status = write_all(fd.get(), as_bytes("x"));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::disk_full);
    EXPECT_FALSE(status.error().hint.empty());
}

TEST(GoneProcesses, AreKnownByTheNumberInTheName) {
    const TempFolder folder = TempFolder::create("hf-gone-").value();
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    const std::string gone = std::to_string(child), here = std::to_string(::getpid());
    for (const std::string& name :
         {"x_" + gone + "_1", "x_" + gone + "-AbC", "x_" + here + "_1", "x_" + gone, "y_" + gone + "_1",
          std::string("x_"), std::string("x_-3_1"), std::string("x_99999999999_1")})
        ASSERT_TRUE(make_folders(folder.path() + "/" + name));
    EXPECT_THAT(names_of_gone_processes(folder.path(), "x_"),
                ::testing::UnorderedElementsAre("x_" + gone + "_1", "x_" + gone + "-AbC"));
    EXPECT_THAT(names_of_gone_processes(folder.path() + "/none", "x_"), ::testing::IsEmpty());
}

}    // namespace
}    // namespace holdfast::os
