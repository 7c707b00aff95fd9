#pragma once
// Time is passed in. Two kinds that do not mix: Timestamp (wall clock, for records) and Instant (monotonic, counts on
// during suspend, for durations and leases). Only main/ and tests make a Clock.

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

#include "holdfast/base/result.hpp"

namespace holdfast {

using Duration = std::chrono::nanoseconds;

/// Nanoseconds since 1970-01-01 UTC; negative before it.
struct Timestamp {
    std::int64_t nanoseconds = 0;
    auto operator<=>(const Timestamp&) const = default;
    friend Duration operator-(Timestamp a, Timestamp b) { return Duration(a.nanoseconds - b.nanoseconds); }
    friend Timestamp operator+(Timestamp t, Duration d) { return {t.nanoseconds + d.count()}; }
    friend Timestamp operator-(Timestamp t, Duration d) { return {t.nanoseconds - d.count()}; }
};

/// Nanoseconds since some moment that does not move while the machine is up.
struct Instant {
    std::int64_t nanoseconds = 0;
    auto operator<=>(const Instant&) const = default;
    friend Duration operator-(Instant a, Instant b) { return Duration(a.nanoseconds - b.nanoseconds); }
    friend Instant operator+(Instant t, Duration d) { return {t.nanoseconds + d.count()}; }
};

inline double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

class Clock {
public:
    virtual ~Clock() = default;
    virtual Timestamp now() const = 0;
    virtual Instant instant() const = 0;
    virtual void sleep(Duration d) = 0;
};

/// RFC 3339 in UTC: "2026-11-20T18:42:22.437535422Z"; the fraction's trailing zeros are cut, years clamped to 0...9999.
std::string to_rfc3339(Timestamp t);
/// Any offset, 0 to 9 fraction digits (more are cut).
Result<Timestamp> parse_rfc3339(std::string_view text);

}    // namespace holdfast
