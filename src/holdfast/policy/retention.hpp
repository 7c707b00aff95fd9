#pragma once
// Which snapshots stay, and why. Pure: snapshots, the policy, the zone and the time come in. Exactly restic's rules, plus
// one: nothing partial passes for whole.
//
//   groups      the policy is applied to each group of snapshots (same host, same paths, …) by itself
//   newest      counts go from the newest snapshot to the oldest; of each hour, day, ISO week … the newest is kept. The
//               oldest snapshot of all is kept, too, while a count has something left: the history is then as long as can be
//   within      is counted back from the newest snapshot of the group that is not in the future, in calendar years,
//               months and days: a group that gets no new snapshots loses none
//   incomplete  a snapshot tagged "incomplete" lacks a component. It never takes the place of a whole one: what the
//               policy would keep if there were only whole snapshots is kept in any case
//   source      docs/operations/retention.md; restic's forget, compared in vault/forget_peer_test.cpp

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/policy/civil.hpp"

namespace holdfast::policy {

/// A snapshot with this tag lacks a component.
inline constexpr std::string_view k_incomplete_tag = "incomplete";

/// "1y5m7d2h": years, months, days, hours, each at most once in restic's meaning (the last one counts).
struct CalendarDuration {
    int years = 0, months = 0, days = 0, hours = 0;
    bool empty() const { return *this == CalendarDuration{}; }
    auto operator<=>(const CalendarDuration&) const = default;
};
Result<CalendarDuration> parse_calendar_duration(std::string_view text);
std::string to_string(const CalendarDuration& duration);
Timestamp before(Timestamp time, const CalendarDuration& duration, const UtcOffset& offset);

struct RetentionPolicy {
    static constexpr std::int64_t k_unlimited = -1;
    std::int64_t last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0;
    CalendarDuration within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly;
    std::vector<std::vector<std::string>> tags;    // kept when all tags of one of these lists are there
    bool empty() const;
};
/// "5", or "unlimited" and -1; usage else.
Result<std::int64_t> parse_keep_count(std::string_view text);
/// "keep 7 daily, 4 weekly snapshots"
std::string to_string(const RetentionPolicy& policy);

/// What a policy looks at.
struct RetentionSnapshot {
    Timestamp time;
    std::vector<std::string> tags;
};

struct Verdict {
    bool keep = false;
    std::vector<std::string> reasons;    // "daily snapshot", "within 7d", …; empty when it goes
    struct Counters {
        std::int64_t last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0;
    } counters;    // what is left of each count after this snapshot
};

/// One verdict a snapshot, in the order given (any). An empty policy keeps everything.
std::vector<Verdict> apply_policy(const std::vector<RetentionSnapshot>& group, const RetentionPolicy& policy,
                                  const UtcOffset& offset, Timestamp now);

}    // namespace holdfast::policy
