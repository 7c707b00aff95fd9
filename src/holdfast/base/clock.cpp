#include "holdfast/base/clock.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::int64_t k_second = 1'000'000'000;

}    // namespace

std::string to_rfc3339(Timestamp t) {
    using namespace std::chrono;
    std::int64_t whole = t.nanoseconds / k_second, fraction = t.nanoseconds % k_second;
    if (fraction < 0) {
        fraction += k_second;
        --whole;
    }
    const sys_seconds when{std::chrono::seconds(whole)};
    const auto day = floor<days>(when);
    const year_month_day date(day);
    const hh_mm_ss time(when - day);
    const int year = std::clamp(static_cast<int>(date.year()), 0, 9999);
    std::string text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", year, static_cast<unsigned>(date.month()),
                                   static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                                   time.seconds().count());
    if (fraction != 0) {
        text += fmt::format(".{:09}", fraction);
        while (text.back() == '0') text.pop_back();
    }
    return text + 'Z';
}

Result<Timestamp> parse_rfc3339(std::string_view text) {
    const auto wrong = [&] {
        return fail(ErrorCode::corrupt, fmt::format("'{}' is not a time", text.substr(0, 40)),
                    "write it as 2026-11-20T18:42:22Z");
    };
    const auto number = [&](std::size_t at, std::size_t digits) -> int {
        if (at + digits > text.size()) return -1;
        int value = 0;
        for (std::size_t i = at; i < at + digits; ++i) {
            if (text[i] < '0' || text[i] > '9') return -1;
            value = value * 10 + (text[i] - '0');
        }
        return value;
    };
    if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
        text[13] != ':' || text[16] != ':')
        return wrong();
    const int year = number(0, 4), month = number(5, 2), day = number(8, 2);
    const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
    if (year < 0 || month < 0 || day < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 ||
        second > 60)
        return wrong();
    std::size_t at = 19;
    std::int64_t fraction = 0, scale = k_second / 10;
    if (text[at] == '.') {
        const std::size_t first = ++at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
            fraction += (text[at] - '0') * scale;
        if (at == first) return wrong();
    }
    std::int64_t offset = 0;
    if (at + 1 == text.size() && (text[at] == 'Z' || text[at] == 'z')) {
        // UTC
    } else if (at + 6 == text.size() && (text[at] == '+' || text[at] == '-') && text[at + 3] == ':') {
        const std::int64_t hours = number(at + 1, 2), minutes = number(at + 4, 2);
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return wrong();
        offset = (hours * 60 + minutes) * 60 * (text[at] == '-' ? -1 : 1);
    } else {
        return wrong();
    }
    using namespace std::chrono;
    const year_month_day date(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                              std::chrono::day(static_cast<unsigned>(day)));
    if (!date.ok()) return wrong();
    const std::int64_t seconds_since = sys_days(date).time_since_epoch() / std::chrono::seconds(1) +
                                       (hour * std::int64_t(60) + minute) * 60 + second - offset;
    // Year 0 and year 9999 lie outside what 64 bits of nanoseconds hold (1678 to 2262): clamp instead of overflowing.
    constexpr std::int64_t limit = INT64_MAX / k_second - 1;
    return Timestamp{std::clamp(seconds_since, -limit, limit) * k_second + fraction};
}

}    // namespace holdfast
