#include "holdfast/base/log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "holdfast/base/json.hpp"

namespace holdfast {
namespace {

class Log : public testing::Test {
protected:
    void options(LogLevel level, bool json) {
        set_log({level, json, [] { return std::string("2026-11-20T18:42:22Z"); },
                 [this](std::string_view line) { lines.emplace_back(line); }});
    }
    void TearDown() override { set_log({}); }
    std::vector<std::string> lines;
};

TEST_F(Log, WritesOneLineForPeople) {
    options(LogLevel::info, false);
    log_info("pack written", {{"pack", "ab12"}, {"bytes", "17"}});
    log_error("pack lost");
    EXPECT_EQ(lines, (std::vector<std::string>{"2026-11-20T18:42:22Z holdfast: pack written pack=ab12 bytes=17\n",
                                               "2026-11-20T18:42:22Z holdfast: error: pack lost\n"}));
}

TEST_F(Log, WritesOneJsonLineForMachinesWhateverTheTextHolds) {
    options(LogLevel::debug, true);
    log_debug("line one\nline \"two\"", {{"path", "/a\xff\n"}});
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].find('\n'), lines[0].size() - 1);
    const auto value = json::parse(lines[0], "log line");
    ASSERT_TRUE(value);
    EXPECT_EQ((*value)["level"].text(), "debug");
    EXPECT_EQ((*value)["message"].text(), "line one\nline \"two\"");
    EXPECT_EQ((*value)["time"].text(), "2026-11-20T18:42:22Z");
}

TEST_F(Log, LeavesOutWhatLiesBelowTheLevel) {
    options(LogLevel::warning, false);
    log_debug("d");
    log_info("i");
    log_warning("w");
    log_error("e");
    EXPECT_EQ(lines.size(), 2u);
}

TEST_F(Log, KeepsLinesWholeWhenThreadsWriteTogether) {
    options(LogLevel::info, false);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([] {
            for (int k = 0; k < 100; ++k) log_info("a line of some length");
        });
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(lines.size(), 400u);
    for (const std::string& line : lines) EXPECT_EQ(line, lines[0]);
}

}    // namespace
}    // namespace holdfast
