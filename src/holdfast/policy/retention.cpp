#include "holdfast/policy/retention.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <optional>

namespace holdfast::policy {
namespace {

// Snapshots of one bucket have the same key: the same hour, day, …
using Key = std::array<std::int64_t, 4>;
enum class Period { each, hour, day, week, month, year };

Key key_of(Period period, const CivilTime& at, std::size_t number) {
    switch (period) {
        case Period::each:
            return {static_cast<std::int64_t>(number)};
        case Period::hour:
            return {at.year, at.month, at.day, std::chrono::duration_cast<std::chrono::hours>(at.time_of_day).count()};
        case Period::day:
            return {at.year, at.month, at.day};
        case Period::week: {
            const IsoWeek week = iso_week(at);
            return {week.year, week.week};
        }
        case Period::month:
            return {at.year, at.month};
        case Period::year:
            return {at.year};
    }
    return {};
}

struct Counted {
    std::int64_t left;
    Period period;
    std::string_view reason;
    std::optional<Key> newest = {};    // of the bucket that was kept last
};
struct CountedWithin {
    CalendarDuration within;
    Period period;
    std::string_view reason;
    std::optional<Key> newest = {};
};

bool has_all(const std::vector<std::string>& tags, const std::vector<std::string>& wanted) {
    return std::ranges::all_of(wanted, [&](const std::string& tag) {
        return std::ranges::find(tags, tag) != tags.end() || (tag.empty() && tags.empty());
    });
}

std::string joined(const std::vector<std::string>& words) {
    std::string all;
    for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
    return all;
}

// restic's rules, over snapshots that are sorted newest first.
std::vector<Verdict> judge(const std::vector<const RetentionSnapshot*>& sorted, const RetentionPolicy& policy,
                           const UtcOffset& offset, Timestamp now) {
    std::array<Counted, 6> counts = {{
        {policy.last, Period::each, "last snapshot"},
        {policy.hourly, Period::hour, "hourly snapshot"},
        {policy.daily, Period::day, "daily snapshot"},
        {policy.weekly, Period::week, "weekly snapshot"},
        {policy.monthly, Period::month, "monthly snapshot"},
        {policy.yearly, Period::year, "yearly snapshot"},
    }};
    std::array<CountedWithin, 5> withins = {{
        {policy.within_hourly, Period::hour, "hourly within"},
        {policy.within_daily, Period::day, "daily within"},
        {policy.within_weekly, Period::week, "weekly within"},
        {policy.within_monthly, Period::month, "monthly within"},
        {policy.within_yearly, Period::year, "yearly within"},
    }};
    // A machine whose clock once stood in the future must not make all others look old.
    std::optional<Timestamp> latest;
    for (const RetentionSnapshot* snapshot : sorted)
        if (snapshot->time < now && (!latest || snapshot->time > *latest)) latest = snapshot->time;
    const auto is_within = [&](const RetentionSnapshot& snapshot, const CalendarDuration& duration) {
        // All in the future: there is nothing to count from, and all stay.
        return !duration.empty() && (!latest || snapshot.time > before(*latest, duration, offset));
    };

    std::vector<Verdict> verdicts;
    for (std::size_t number = 0; number < sorted.size(); ++number) {
        const RetentionSnapshot& snapshot = *sorted[number];
        const bool is_oldest = number + 1 == sorted.size();
        const CivilTime civil = to_civil(snapshot.time, offset);
        Verdict verdict;
        for (const auto& tags : policy.tags)
            if (has_all(snapshot.tags, tags)) verdict.reasons.push_back(fmt::format("has tags [{}]", joined(tags)));
        if (is_within(snapshot, policy.within))
            verdict.reasons.push_back(fmt::format("within {}", to_string(policy.within)));
        for (Counted& count : counts) {
            if (count.left == 0) continue;
            const Key key = key_of(count.period, civil, number);
            if (count.newest == key && !is_oldest) continue;
            count.newest = key;
            if (count.left > 0) --count.left;
            verdict.reasons.emplace_back(count.reason);
        }
        for (CountedWithin& count : withins) {
            if (!is_within(snapshot, count.within)) continue;
            const Key key = key_of(count.period, civil, number);
            if (count.newest == key) continue;
            count.newest = key;
            verdict.reasons.push_back(fmt::format("{} {}", count.reason, to_string(count.within)));
        }
        verdict.keep = !verdict.reasons.empty();
        verdict.counters = {counts[0].left, counts[1].left, counts[2].left,
                            counts[3].left, counts[4].left, counts[5].left};
        verdicts.push_back(std::move(verdict));
    }
    return verdicts;
}

}    // namespace

Result<CalendarDuration> parse_calendar_duration(std::string_view text) {
    const auto bad = [&] {
        return fail(ErrorCode::usage, fmt::format("\"{}\" is no duration", text),
                    "give years, months, days and hours like 1y5m7d2h, or only some of them: 14d");
    };
    CalendarDuration duration;
    std::string_view rest = text;
    if (rest.empty()) return bad();
    while (!rest.empty()) {
        int number = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (error != std::errc() || number < 0 || number > 1'000'000 || end == rest.data() + rest.size()) return bad();
        switch (*end) {
            case 'y':
                duration.years = number;
                break;
            case 'm':
                duration.months = number;
                break;
            case 'd':
                duration.days = number;
                break;
            case 'h':
                duration.hours = number;
                break;
            default:
                return bad();
        }
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()) + 1);
    }
    // No calendar reaches further back than this.
    if (duration.years > 5000 || duration.months > 60'000) return bad();
    return duration;
}

std::string to_string(const CalendarDuration& duration) {
    std::string text;
    for (const auto& [number, unit] : {std::pair(duration.years, 'y'), std::pair(duration.months, 'm'),
                                       std::pair(duration.days, 'd'), std::pair(duration.hours, 'h')})
        if (number != 0) text += fmt::format("{}{}", number, unit);
    return text;
}

Timestamp before(Timestamp time, const CalendarDuration& duration, const UtcOffset& offset) {
    const CivilTime civil = to_civil(time, offset);
    // Nanoseconds reach back to 1677; what is older than 1700 is before every snapshot.
    const std::int64_t days_back =
        std::int64_t(duration.years) * 366 + std::int64_t(duration.months) * 31 + duration.days + duration.hours / 24;
    if (civil.year - days_back / 365 < 1700) return {std::numeric_limits<std::int64_t>::min()};
    const Timestamp date = from_civil(civil.year - duration.years, static_cast<int>(civil.month) - duration.months,
                                      static_cast<int>(civil.day) - duration.days, civil.time_of_day, offset);
    return date - std::chrono::hours(duration.hours);
}

bool RetentionPolicy::empty() const {
    return last == 0 && hourly == 0 && daily == 0 && weekly == 0 && monthly == 0 && yearly == 0 && within.empty() &&
           within_hourly.empty() && within_daily.empty() && within_weekly.empty() && within_monthly.empty() &&
           within_yearly.empty() && tags.empty();
}

Result<std::int64_t> parse_keep_count(std::string_view text) {
    if (text == "unlimited" || text == "-1") return RetentionPolicy::k_unlimited;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < 0)
        return fail(ErrorCode::usage, fmt::format("\"{}\" is no number of snapshots to keep", text),
                    "give a number, or unlimited");
    return number;
}

std::string to_string(const RetentionPolicy& policy) {
    std::vector<std::string> parts;
    const auto count = [&](std::int64_t number, std::string_view what) {
        if (number > 0) parts.push_back(fmt::format("{} {}", number, what));
        if (number < 0) parts.push_back(fmt::format("all {}", what));
    };
    count(policy.last, "latest");
    count(policy.hourly, "hourly");
    count(policy.daily, "daily");
    count(policy.weekly, "weekly");
    count(policy.monthly, "monthly");
    count(policy.yearly, "yearly");
    const auto within = [&](const CalendarDuration& duration, std::string_view what) {
        if (!duration.empty()) parts.push_back(fmt::format("{} within {}", what, to_string(duration)));
    };
    within(policy.within, "all");
    within(policy.within_hourly, "hourly");
    within(policy.within_daily, "daily");
    within(policy.within_weekly, "weekly");
    within(policy.within_monthly, "monthly");
    within(policy.within_yearly, "yearly");
    for (const auto& tags : policy.tags) parts.push_back(fmt::format("all with tags [{}]", joined(tags)));
    return "keep " + joined(parts);
}

std::vector<Verdict> apply_policy(const std::vector<RetentionSnapshot>& group, const RetentionPolicy& policy,
                                  const UtcOffset& offset, Timestamp now) {
    std::vector<std::size_t> order(group.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return group[a].time > group[b].time; });
    std::vector<Verdict> verdicts(group.size());
    if (policy.empty()) {
        for (Verdict& verdict : verdicts) verdict = {true, {"policy is empty"}, {}};
        return verdicts;
    }
    const auto judge_some = [&](const std::vector<std::size_t>& numbers) {
        std::vector<const RetentionSnapshot*> sorted;
        for (const std::size_t i : numbers) sorted.push_back(&group[i]);
        return judge(sorted, policy, offset, now);
    };
    auto all = judge_some(order);
    for (std::size_t i = 0; i < order.size(); ++i) verdicts[order[i]] = std::move(all[i]);

    // Once more as if the partial ones were not there: what stays then stays.
    std::vector<std::size_t> whole = order;
    std::erase_if(whole, [&](std::size_t i) {
        return std::ranges::find(group[i].tags, k_incomplete_tag) != group[i].tags.end();
    });
    if (whole.size() == order.size()) return verdicts;
    const auto again = judge_some(whole);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        Verdict& verdict = verdicts[whole[i]];
        if (verdict.keep || !again[i].keep) continue;
        verdict.keep = true;
        for (const std::string& reason : again[i].reasons) verdict.reasons.push_back(reason + " of the whole ones");
    }
    return verdicts;
}

}    // namespace holdfast::policy
