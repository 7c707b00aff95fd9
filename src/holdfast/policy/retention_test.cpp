#include "holdfast/policy/retention.hpp"

#include <gtest/gtest.h>

#include <random>

namespace holdfast::policy {
namespace {

Timestamp at(std::string_view text) { return parse_rfc3339(text).value(); }
const Timestamp k_now = at("2026-11-20T12:00:00Z");

// Central Europe: summer time from the last Sunday of March to that of October, 01:00 UTC. Enough for 2026.
std::chrono::seconds berlin(Timestamp time) {
    const bool summer = time >= at("2026-03-29T01:00:00Z") && time < at("2026-10-25T01:00:00Z");
    return std::chrono::hours(summer ? 2 : 1);
}

/// "KxK": one letter a snapshot, in the order given; K is kept.
std::string kept(const std::vector<RetentionSnapshot>& snapshots, const RetentionPolicy& policy,
                 const UtcOffset& offset = utc, Timestamp now = k_now) {
    std::string letters;
    for (const Verdict& verdict : apply_policy(snapshots, policy, offset, now)) {
        EXPECT_EQ(verdict.keep, !verdict.reasons.empty());
        letters += verdict.keep ? 'K' : 'x';
    }
    return letters;
}
std::vector<RetentionSnapshot> times(const std::vector<std::string_view>& list) {
    std::vector<RetentionSnapshot> snapshots;
    for (const auto text : list) snapshots.push_back({at(text), {}});
    return snapshots;
}

TEST(Retention, KeepsTheNewestOfEachDayAndTheOldestWhileThereIsRoom) {
    const auto snapshots = times({"2026-11-01T08:00:00Z", "2026-11-18T08:00:00Z", "2026-11-19T08:00:00Z",
                                  "2026-11-19T20:00:00Z", "2026-11-20T08:00:00Z", "2026-11-20T09:00:00Z"});
    RetentionPolicy policy;
    policy.daily = 2;
    EXPECT_EQ(kept(snapshots, policy), "xxxKxK");
    policy.daily = 3;
    EXPECT_EQ(kept(snapshots, policy), "xKxKxK");
    policy.daily = 10;
    EXPECT_EQ(kept(snapshots, policy), "KKxKxK");
    policy = {};
    policy.last = 2;
    EXPECT_EQ(kept(snapshots, policy), "xxxxKK");
    policy.last = RetentionPolicy::k_unlimited;
    EXPECT_EQ(kept(snapshots, policy), "KKKKKK");
    policy = {};
    policy.yearly = 2;
    EXPECT_EQ(kept(snapshots, policy), "KxxxxK");
}

TEST(Retention, SaysWhy) {
    RetentionPolicy policy;
    policy.last = 1;
    policy.daily = 1;
    policy.within = {0, 0, 1, 0};
    const auto verdicts = apply_policy(times({"2026-11-20T08:00:00Z", "2026-11-20T07:00:00Z"}), policy, utc, k_now);
    EXPECT_EQ(verdicts[0].reasons, (std::vector<std::string>{"within 1d", "last snapshot", "daily snapshot"}));
    EXPECT_EQ(verdicts[1].reasons, std::vector<std::string>{"within 1d"});
    EXPECT_EQ(verdicts[0].counters.daily, 0);
}

TEST(Retention, AnEmptyPolicyKeepsEverythingAndNoSnapshotsAreNoProblem) {
    EXPECT_EQ(kept(times({"2026-11-20T08:00:00Z"}), {}), "K");
    RetentionPolicy policy;
    policy.last = 1;
    EXPECT_EQ(kept({}, policy), "");
}

TEST(Retention, DaysAreThoseOfTheZone) {
    const auto snapshots = times({"2026-06-01T21:30:00Z", "2026-06-01T22:30:00Z", "2026-06-02T10:00:00Z"});
    RetentionPolicy policy;
    policy.daily = 2;
    EXPECT_EQ(kept(snapshots, policy), "xKK");
    EXPECT_EQ(kept(snapshots, policy, berlin), "KxK");    // 22:30 UTC is already the next day
}

TEST(Retention, TheHourThatComesTwiceIsOneHour) {
    // 02:30 summer time, 02:30 winter time: restic counts hours by what the clock on the wall shows.
    const auto snapshots = times({"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"});
    RetentionPolicy policy;
    policy.hourly = 2;
    EXPECT_EQ(kept(snapshots, policy, berlin), "xKK");
    EXPECT_EQ(kept(times({"2026-10-24T10:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"}), policy, berlin),
              "KxK");
}

TEST(Retention, WeeksAreIsoWeeks) {
    EXPECT_EQ(iso_week(to_civil(at("2027-01-03T12:00:00Z"), utc)), (IsoWeek{2026, 53}));
    EXPECT_EQ(iso_week(to_civil(at("2027-01-04T12:00:00Z"), utc)), (IsoWeek{2027, 1}));
    EXPECT_EQ(iso_week(to_civil(at("2024-12-30T12:00:00Z"), utc)), (IsoWeek{2025, 1}));
    EXPECT_EQ(iso_week(to_civil(at("1969-12-31T12:00:00Z"), utc)), (IsoWeek{1970, 1}));
}

TEST(Retention, WithinCountsFromTheNewestThatIsNotInTheFuture) {
    RetentionPolicy policy;
    policy.within = {0, 0, 2, 0};
    const auto old = times({"2020-01-01T08:00:00Z", "2020-01-09T08:00:00Z", "2020-01-10T08:00:00Z"});
    EXPECT_EQ(kept(old, policy), "xKK");    // nothing new came for years: nothing more goes
    auto jumped = old;
    jumped.push_back({at("2099-01-01T00:00:00Z"), {}});
    EXPECT_EQ(kept(jumped, policy), "xKKK");
    EXPECT_EQ(kept(times({"2098-01-01T00:00:00Z", "2099-01-01T00:00:00Z"}), policy), "KK");
}

TEST(Retention, MonthsAreOfTheCalendar) {
    const auto minus = [](std::string_view from, CalendarDuration by, const UtcOffset& zone = utc) {
        return to_rfc3339(before(at(from), by, zone));
    };
    EXPECT_EQ(minus("2026-03-31T10:00:00Z", {0, 1, 0, 0}), "2026-03-03T10:00:00Z");    // as Go: 31 February
    EXPECT_EQ(minus("2026-01-15T10:00:00Z", {0, 13, 0, 0}), "2024-12-15T10:00:00Z");
    EXPECT_EQ(minus("2024-02-29T10:00:00Z", {1, 0, 0, 0}), "2023-03-01T10:00:00Z");
    EXPECT_EQ(minus("2026-01-01T01:00:00Z", {0, 0, 0, 2}), "2025-12-31T23:00:00Z");
    // A day over the change to summer time has 23 hours.
    EXPECT_EQ(minus("2026-03-29T10:00:00Z", {0, 0, 1, 0}, berlin), "2026-03-28T11:00:00Z");
    // 02:30 of that morning does not exist.
    EXPECT_LE(before(at("2026-03-30T00:30:00Z"), {0, 0, 1, 0}, berlin), at("2026-03-29T02:00:00Z"));
    EXPECT_LT(before(at("2026-01-01T00:00:00Z"), {4000, 0, 0, 0}, utc), at("1700-01-01T00:00:00Z"));
}

TEST(Retention, TagsKeepWhateverTheirAge) {
    std::vector<RetentionSnapshot> snapshots =
        times({"2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2022-01-01T00:00:00Z"});
    snapshots[0].tags = {"audit", "2019"};
    snapshots[1].tags = {"audit"};
    RetentionPolicy policy;
    policy.tags = {{"audit", "2019"}};
    EXPECT_EQ(kept(snapshots, policy), "Kxx");
    policy.tags = {{"audit"}};
    EXPECT_EQ(kept(snapshots, policy), "KKx");
    policy.tags = {{"nobody"}};
    EXPECT_EQ(kept(snapshots, policy), "xxx");
}

TEST(Retention, AnIncompleteSnapshotNeverTakesThePlaceOfAWholeOne) {
    auto snapshots = times({"2026-11-17T08:00:00Z", "2026-11-18T08:00:00Z", "2026-11-18T20:00:00Z",
                            "2026-11-19T08:00:00Z", "2026-11-20T08:00:00Z"});
    snapshots[2].tags = snapshots[3].tags = snapshots[4].tags = {std::string(k_incomplete_tag)};
    RetentionPolicy policy;
    policy.last = 1;
    EXPECT_EQ(kept(snapshots, policy), "xKxxK");    // restic would keep only the partial one of the 20th
    policy = {};
    policy.daily = 3;
    EXPECT_EQ(kept(snapshots, policy), "KKKKK");    // the 18th: its partial one by restic's rule, the whole one by ours
    policy.daily = 1;
    EXPECT_EQ(kept(snapshots, policy), "xKxxK");
    const auto verdicts = apply_policy(snapshots, policy, utc, k_now);
    EXPECT_EQ(verdicts[1].reasons, std::vector<std::string>{"daily snapshot of the whole ones"});
}

TEST(Retention, TheNewestWholeOneOfAGroupStaysUnderAnyPolicyThatKeepsAnything) {
    std::mt19937_64 random(20261127);
    for (int round = 0; round < 2000; ++round) {
        std::vector<RetentionSnapshot> snapshots(1 + random() % 12);
        std::optional<std::size_t> newest;
        for (std::size_t i = 0; i < snapshots.size(); ++i) {
            snapshots[i].time = k_now - std::chrono::hours(1 + random() % 2000);
            if (random() % 3 == 0)
                snapshots[i].tags = {std::string(k_incomplete_tag)};
            else if (!newest || snapshots[i].time > snapshots[*newest].time)
                newest = i;
        }
        RetentionPolicy policy;
        std::int64_t* const counts[] = {&policy.last,   &policy.hourly,  &policy.daily,
                                        &policy.weekly, &policy.monthly, &policy.yearly};
        *counts[random() % 6] = 1 + static_cast<std::int64_t>(random() % 3);
        if (random() % 2 == 0) policy.within = {0, 0, static_cast<int>(random() % 30 + 1), 0};
        if (newest) {
            EXPECT_TRUE(apply_policy(snapshots, policy, utc, k_now)[*newest].keep) << "round " << round;
        }
    }
}

TEST(Retention, DurationsAndCountsAreRead) {
    EXPECT_EQ(parse_calendar_duration("1y5m7d2h").value(), (CalendarDuration{1, 5, 7, 2}));
    EXPECT_EQ(to_string(CalendarDuration{1, 5, 7, 2}), "1y5m7d2h");
    EXPECT_EQ(parse_calendar_duration("14d").value(), (CalendarDuration{0, 0, 14, 0}));
    for (const char* text : {"", "d", "5", "5w", "-5d", "1d-2h", "1.5d", "99999999999d", "6000y"})
        EXPECT_FALSE(parse_calendar_duration(text)) << text;
    EXPECT_EQ(parse_keep_count("7").value(), 7);
    EXPECT_EQ(parse_keep_count("unlimited").value(), -1);
    EXPECT_EQ(parse_keep_count("-1").value(), -1);
    for (const char* text : {"", "-2", "7d", "all"}) EXPECT_FALSE(parse_keep_count(text)) << text;
    RetentionPolicy policy;
    policy.daily = 7;
    policy.weekly = -1;
    policy.within = {0, 0, 2, 0};
    policy.tags = {{"a", "b"}};
    EXPECT_EQ(to_string(policy), "keep 7 daily, all weekly, all within 2d, all with tags [a, b]");
}

}    // namespace
}    // namespace holdfast::policy
