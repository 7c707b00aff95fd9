// The places at which tests kill the program.

#include "holdfast/os/crash_point.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::os {
namespace {

// This program again, with the variable set: it writes a file, which has five places.
ExitStatus write_a_file(const std::string& variable, const std::string& path, std::string& errors) {
    Command again;
    again.arguments = {own_program(), "--gtest_filter=CrashPointChild.WritesAFile"};
    again.environment = {{"HOLDFAST_CRASH_POINT", variable}, {"HF_CHILD_FILE", path}};
    again.without_environment = {"GTEST_OUTPUT"};
    const auto run = os::run(std::move(again));
    EXPECT_TRUE(run.has_value());
    errors = run ? run->errors : "";
    return run ? run->status : ExitStatus{};
}

// Both the child of the tests below and, alone, the case in which nothing is armed.
TEST(CrashPointChild, WritesAFile) {
    const TempFolder folder = TempFolder::create("hf-crash-point").value();
    const char* child = std::getenv("HF_CHILD_FILE");
    const std::string path = child ? child : folder.path() + "/file";
    ASSERT_TRUE(write_file(path, as_bytes("content")).has_value());
    EXPECT_EQ(read_text(path).value(), "content");
}

TEST(CrashPoint, KillsAtTheNamedPlaceAndSaysWhich) {
    const TempFolder folder = TempFolder::create("hf-crash-point").value();
    const std::string path = folder.path() + "/file";
    std::string errors;
    EXPECT_EQ(write_a_file("file.before_rename:1", path, errors).signal, SIGKILL);
    EXPECT_NE(errors.find("crash point file.before_rename"), std::string::npos) << errors;
    EXPECT_FALSE(exists(path));
    EXPECT_EQ(write_a_file("file.renamed:1", path, errors).signal, SIGKILL);
    EXPECT_TRUE(exists(path));
}

TEST(CrashPoint, CountsPlacesOfAnyName) {
    const TempFolder folder = TempFolder::create("hf-crash-point").value();
    std::string errors;
    int kills = 0;
    for (int count = 1; count < 20; ++count) {
        const auto status =
            write_a_file("*:" + std::to_string(count), folder.path() + "/file" + std::to_string(count), errors);
        if (status.ok()) break;
        EXPECT_EQ(status.signal, SIGKILL);
        ++kills;
    }
    EXPECT_EQ(kills, 5);
}

TEST(CrashPoint, IsSilentWithoutACount) {
    const TempFolder folder = TempFolder::create("hf-crash-point").value();
    std::string errors;
    for (const char* variable : {"file.renamed", "file.renamed:", "file.renamed:0", "file.renamed:x", "", "other:1"})
        EXPECT_TRUE(write_a_file(variable, folder.path() + "/file", errors).ok()) << variable;
}

}    // namespace
}    // namespace holdfast::os
