#pragma once
// Wall-clock times in a zone: years, months, days, hours, ISO weeks, and the way back. Pure: the zone comes in as a
// function, so that a summer-time change is a test case and not a setting of the machine.

#include <chrono>
#include <cstdint>
#include <functional>

#include "holdfast/base/clock.hpp"

namespace holdfast::policy {

/// How far local time is ahead of UTC at an instant.
using UtcOffset = std::function<std::chrono::seconds(Timestamp)>;

inline std::chrono::seconds utc(Timestamp) { return {}; }

struct CivilTime {
    int year = 1970;
    unsigned month = 1, day = 1;    // from 1
    Duration time_of_day{};    // since midnight
    auto operator<=>(const CivilTime&) const = default;
};

CivilTime to_civil(Timestamp time, const UtcOffset& offset);
/// Months and days beyond the calendar roll over (31 February is 3 March), as in Go's time.Date. Of a time that occurs
/// twice the first, and for one that does not occur some instant within an hour of it.
Timestamp from_civil(int year, int month, int day, Duration time_of_day, const UtcOffset& offset);

struct IsoWeek {
    int year = 1970;
    unsigned week = 1;
    auto operator<=>(const IsoWeek&) const = default;
};
/// ISO 8601: the week belongs to the year of its Thursday.
IsoWeek iso_week(const CivilTime& civil);

}    // namespace holdfast::policy
