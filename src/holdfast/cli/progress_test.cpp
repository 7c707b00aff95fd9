#include "holdfast/cli/progress.hpp"

#include <gtest/gtest.h>

#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::cli {
namespace {

using namespace std::chrono_literals;

TEST(ProgressText, TellsShareRateAndTimeLeft) {
    EXPECT_EQ(progress_text({512 << 10, 1 << 20, "", "3 files"}, 256 << 10),
              "512 KiB of 1.00 MiB  50 %  256 KiB/s  2.0 s left  3 files");
}

TEST(ProgressText, SaysNoShareWhileTheTotalIsUnknown) {
    EXPECT_EQ(progress_text({100, 0, "", ""}, 0), "100 B");
    EXPECT_EQ(progress_text({7, 0, "trees", ""}, 0), "7 trees");
    EXPECT_EQ(progress_text({20, 10, "", ""}, 0), "20 B");    // the walk has not seen all yet
}

TEST(ProgressText, AtTheEndNothingIsLeft) {
    EXPECT_EQ(progress_text({10, 10, "packs", ""}, 5), "10 of 10 packs  100 %  5 packs/s");
}

TEST(RateMeter, FollowsAChangeOfSpeed) {
    RateMeter meter;
    Instant now{};
    std::uint64_t done = 0;
    EXPECT_EQ(meter.update(now, done), 0);
    double rate = 0;
    for (int i = 0; i < 60; ++i) rate = meter.update(now = now + 500ms, done += 500);
    EXPECT_NEAR(rate, 1000, 1);
    for (int i = 0; i < 120; ++i) rate = meter.update(now = now + 500ms, done += 50);
    EXPECT_NEAR(rate, 100, 2);
}

TEST(RateMeter, DoesNotJudgeTooEarly) {
    RateMeter meter;
    EXPECT_EQ(meter.update(Instant{0}, 0), 0);
    EXPECT_EQ(meter.update(Instant{} + 1ms, 1 << 30), 0);
}

TEST(ProgressLine, LetsLogLinesStandAboveItAndComesBack) {
    const testing::SimClock clock;
    ::testing::internal::CaptureStderr();
    {
        ProgressLine line(clock, true);
        line.show({1, 2, "packs", ""});
        print_log_line("holdfast: warning: trying again in 1.0 s\n");
    }
    print_log_line("holdfast: warning: later\n");
    EXPECT_EQ(::testing::internal::GetCapturedStderr(),
              "\r\x1b[K1 of 2 packs  50 %\r\x1b[Kholdfast: warning: trying again in 1.0 s\n1 of 2 packs  50 %"
              "\r\x1b[Kholdfast: warning: later\n");
}

}    // namespace
}    // namespace holdfast::cli
