#include "holdfast/keep/line_diff.hpp"

#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::keep {
namespace {

TEST(LineDiff, ShowsWhatChangedWithItsSurroundings) {
    EXPECT_EQ(line_diff("a\nb\n", "a\nb\n", "x", "y"), "");
    EXPECT_EQ(line_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\n5\nsix\n7\n8\n9\n", "x", "y"),
              "--- x\n+++ y\n@@ -3,7 +3,7 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n");
    EXPECT_EQ(line_diff("", "a\n", "x", "y"), "--- x\n+++ y\n@@ -0,0 +1,1 @@\n+a\n");
    EXPECT_EQ(line_diff("a\n", "a", "x", "y"), "--- x\n+++ y\n@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n");
}

TEST(LineDiff, PatchMakesTheOneOfTheOther) {
    const auto scratch = os::TempFolder::create("hf-keep").value();
    if (os::find_program("patch").empty()) GTEST_SKIP() << "no patch here";
    unsigned random = 7;
    const auto draw = [&](unsigned below) { return (random = random * 1'103'515'245 + 12'345) / 65'536 % below; };
    for (int round = 0; round < 60; ++round) {
        std::string before, after;
        for (unsigned i = 0, lines = draw(40); i < lines; ++i) {
            const std::string line = "line " + std::to_string(draw(8)) + "\n";
            const unsigned what = draw(10);
            if (what != 0) before += line;
            if (what != 1) after += what == 2 ? "other\n" : line;
        }
        const std::string diff = line_diff(before, after, "a", "b");
        if (diff.empty()) {
            EXPECT_EQ(before, after);
            continue;
        }
        const std::string file = scratch.path() + "/f";
        ASSERT_TRUE(os::write_file(file, as_bytes(before)));
        os::Command patch;
        patch.arguments = {"patch", "-s", "-o", scratch.path() + "/out", file};
        patch.input = os::Stream::pipe;
        const auto done = os::run(patch, diff);
        ASSERT_TRUE(done && done->status.ok()) << diff << (done ? done->errors : "");
        EXPECT_EQ(os::read_text(scratch.path() + "/out").value(), after) << diff;
    }
}

}    // namespace
}    // namespace holdfast::keep
