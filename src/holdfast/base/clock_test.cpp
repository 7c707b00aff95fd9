#include "holdfast/base/clock.hpp"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Rfc3339, IsWrittenInUtcWithoutTrailingZeros) {
    EXPECT_EQ(to_rfc3339({0}), "1970-01-01T00:00:00Z");
    EXPECT_EQ(to_rfc3339({999'999'999}), "1970-01-01T00:00:00.999999999Z");
    EXPECT_EQ(to_rfc3339({1'600'000'000'000'000'100}), "2020-09-13T12:26:40.0000001Z");
    EXPECT_EQ(to_rfc3339({-1'500'000'000}), "1969-12-31T23:59:58.5Z");
    EXPECT_EQ(to_rfc3339({951'782'400'000'000'000}), "2000-02-29T00:00:00Z");
}

TEST(Rfc3339, ReadsEveryOffsetAndFraction) {
    // The times that restic wrote, with the local offsets it wrote them in.
    const std::pair<std::string_view, std::int64_t> vectors[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.999999999Z", 999'999'999},
        {"2023-11-14T23:13:20+01:00", 1'700'000'000'000'000'000},
        {"2023-07-22T00:26:40.12-04:00", 1'690'000'000'120'000'000},
        {"1969-12-31T18:59:58.5-05:00", -1'500'000'000},
        {"2020-09-13T17:56:40.123456789+05:30", 1'600'000'000'123'456'789},
        {"2020-09-13T12:26:40.0000001Z", 1'600'000'000'000'000'100},
        {"2020-09-13t12:26:40.0000001999z", 1'600'000'000'000'000'199},
        {"1970-01-01T00:00:00+00:00", 0},
    };
    for (const auto& [text, nanoseconds] : vectors) {
        const auto time = parse_rfc3339(text);
        ASSERT_TRUE(time) << text;
        EXPECT_EQ(time->nanoseconds, nanoseconds) << text;
        EXPECT_EQ(parse_rfc3339(to_rfc3339(*time))->nanoseconds, nanoseconds);
    }
}

TEST(Rfc3339, ClampsWhat64BitsOfNanosecondsDoNotHold) {
    ASSERT_TRUE(parse_rfc3339("0001-01-01T00:00:00Z"));
    EXPECT_LT(parse_rfc3339("0001-01-01T00:00:00Z")->nanoseconds, parse_rfc3339("1700-01-01T00:00:00Z")->nanoseconds);
    EXPECT_GT(parse_rfc3339("9999-12-31T23:59:59.999999999Z")->nanoseconds,
              parse_rfc3339("2261-01-01T00:00:00Z")->nanoseconds);
}

TEST(Rfc3339, RefusesWhatIsNoTime) {
    for (const std::string_view text : {"",
                                        "2026-11-20",
                                        "2026-11-20T18:42:22",
                                        "2026-11-20 18:42:22Z",
                                        "2026-13-20T18:42:22Z",
                                        "2026-02-30T18:42:22Z",
                                        "2023-02-29T00:00:00Z",
                                        "2026-11-20T24:00:00Z",
                                        "2026-11-20T18:60:22Z",
                                        "2026-11-20T18:42:61Z",
                                        "2026-11-20T18:42:22.Z",
                                        "2026-11-20T18:42:22+1:00",
                                        "2026-11-20T18:42:22+01:60",
                                        "2026-11-20T18:42:22+24:00",
                                        "2026-11-20T18:42:22+0100",
                                        "2026-11-20T18:42:22Zx",
                                        "-026-11-20T18:42:22Z",
                                        "2026-1a-20T18:42:22Z",
                                        "2026-00-20T18:42:22Z",
                                        "2026-11-00T18:42:22Z"}) {
        const auto time = parse_rfc3339(text);
        ASSERT_FALSE(time) << text;
        EXPECT_EQ(time.error().code, ErrorCode::corrupt);
        EXPECT_FALSE(time.error().hint.empty());
    }
}

TEST(Timestamp, AddsAndSubtractsDurations) {
    const Timestamp t{5'000'000'000};
    EXPECT_EQ((t + std::chrono::seconds(2)) - t, std::chrono::seconds(2));
    EXPECT_EQ((t - std::chrono::seconds(7)).nanoseconds, -2'000'000'000);
    EXPECT_DOUBLE_EQ(seconds(std::chrono::milliseconds(1500)), 1.5);
}

}    // namespace
}    // namespace holdfast
