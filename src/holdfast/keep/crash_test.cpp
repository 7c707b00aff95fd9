// Killed at each step: what was good once is there, and what somebody wrote is somewhere.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>

#include "holdfast/keep/in_place.hpp"
#include "holdfast/keep/keeper.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::keep {
namespace {

using namespace std::chrono_literals;

KeptFile file_in(const std::string& folder) {
    KeptFile file;
    file.path = folder + "/ea.json";
    file.versions = versions_folder(file.path);
    file.count = 2;
    file.restore = true;
    return file;
}

void run_keeper(const KeptFile& file) {
    testing::SimClock clock;
    Keeper keeper({file}, clock);
    for (int i = 0; i < 3; ++i) {
        for (const Happening& one : keeper.look_at_all()) EXPECT_NE(one.kind, Happening::Kind::failed) << one.reason;
        clock.sleep(250ms);
    }
}

constexpr std::string_view k_bad = "{\"lots\": 0.2, ";

// What the test below kills: a good change, one more, a bad one, each looked at.
TEST(KeepChild, KeepsAndRestores) {
    const char* named = std::getenv("HF_CHILD_KEEP");
    const os::TempFolder own = os::TempFolder::create("hf-keep").value();
    const KeptFile file = file_in(named ? named : own.path());
    for (const std::string_view content : {std::string_view("{\"lots\": 0.1}"), std::string_view("{\"lots\": 0.2}"),
                                           std::string_view("{\"lots\": 0.3}"), k_bad}) {
        ASSERT_TRUE(put(file.path, content));
        run_keeper(file);
    }
    EXPECT_EQ(os::read_text(file.path).value(), "{\"lots\": 0.3}");
}

TEST(KeepCrash, NothingIsLostAtAnyStep) {    // EA-03, EA-15
    const os::TempFolder scratch = os::TempFolder::create("hf-keep").value();
    int kills = 0;
    bool ended = false;
    for (int count = 1; !ended && count < 500 && !HasFailure(); ++count) {
        SCOPED_TRACE(fmt::format("place {}", count));
        const std::string folder = fmt::format("{}/{}", scratch.path(), count);
        ASSERT_TRUE(os::make_folders(folder));
        os::Command again;
        again.arguments = {os::own_program(), "--gtest_filter=KeepChild.KeepsAndRestores"};
        again.environment = {{"HF_CHILD_KEEP", folder}, {"HOLDFAST_CRASH_POINT", fmt::format("*:{}", count)}};
        again.without_environment = {"GTEST_OUTPUT"};
        const auto run = os::run(std::move(again));
        ASSERT_TRUE(run.has_value());
        ended = run->status.ok();
        kills += run->status.signal == SIGKILL;
        ASSERT_TRUE(ended || run->status.signal == SIGKILL) << run->status.text() << run->output << run->errors;

        const KeptFile file = file_in(folder);
        const Versions versions(file.versions, file.path);
        const auto list = versions.list().value();
        for (const Version& version : list) EXPECT_TRUE(versions.read(version)) << version.file;
        if (!os::exists(file.path)) continue;    // before the first one was in place
        const std::string present = os::read_text(file.path).value();
        EXPECT_TRUE(present == k_bad || judge(file, present).good()) << present;
        const auto newest = versions.newest_valid(file.format).value();
        const bool bad_came = present == k_bad || os::exists(file.versions + "/rejected");
        if (bad_came) {
            ASSERT_TRUE(newest.has_value());
            EXPECT_EQ(newest->content, "{\"lots\": 0.3}");
        }
        // The next keeper finishes what this one began.
        run_keeper(file);
        EXPECT_EQ(os::read_text(file.path).value(), versions.newest_valid(file.format).value()->content);
        EXPECT_TRUE(left_over(file.path)->empty());
        EXPECT_LE(versions.list()->size(), 2u);
        if (bad_came) {
            const auto names = os::list_folder(file.versions + "/rejected").value();
            ASSERT_FALSE(names.empty());
            EXPECT_EQ(os::read_text(file.versions + "/rejected/" + names[0]).value(), k_bad);
        }
    }
    EXPECT_TRUE(ended);
    EXPECT_GT(kills, 30);
}

}    // namespace
}    // namespace holdfast::keep
