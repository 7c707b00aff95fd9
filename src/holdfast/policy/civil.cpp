#include "holdfast/policy/civil.hpp"

namespace holdfast::policy {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

using LocalTime = std::chrono::sys_time<Duration>;    // as if it were UTC

sys_days date_of(const CivilTime& civil) {
    return sys_days(
        year_month_day(std::chrono::year(civil.year), std::chrono::month(civil.month), std::chrono::day(civil.day)));
}

}    // namespace

CivilTime to_civil(Timestamp time, const UtcOffset& offset) {
    const LocalTime local(Duration(time.nanoseconds) + offset(time));
    const auto date = std::chrono::floor<days>(local);
    const year_month_day ymd(date);
    return {int(ymd.year()), unsigned(ymd.month()), unsigned(ymd.day()), local - date};
}

Timestamp from_civil(int year, int month, int day, Duration time_of_day, const UtcOffset& offset) {
    // Months first, as day counts from the first of the month that they lead to.
    const int months = year * 12 + month - 1;
    const int whole_years = months >= 0 ? months / 12 : (months - 11) / 12;
    const sys_days first(year_month_day(std::chrono::year(whole_years),
                                        std::chrono::month(static_cast<unsigned>(months - whole_years * 12 + 1)),
                                        std::chrono::day(1)));
    const Timestamp as_utc{
        std::chrono::duration_cast<Duration>((first + days(day - 1)).time_since_epoch() + time_of_day).count()};
    // The offset is that of the instant which we look for: guess, then look whether it holds there.
    const std::chrono::seconds guess = offset(as_utc);
    const Timestamp there = as_utc - guess;
    const std::chrono::seconds before = offset(there);
    if (before == guess) return there;
    const Timestamp other = as_utc - before;
    return offset(other) == before ? other : there;
}

IsoWeek iso_week(const CivilTime& civil) {
    const sys_days date = date_of(civil);
    const auto weekday = std::chrono::weekday(date).iso_encoding();    // Monday 1 … Sunday 7
    const sys_days thursday = date + days(4 - static_cast<int>(weekday));
    const auto year = year_month_day(thursday).year();
    const auto day_of_year = (thursday - sys_days(year / std::chrono::January / 1)).count();
    return {int(year), static_cast<unsigned>(day_of_year / 7 + 1)};
}

}    // namespace holdfast::policy
