#include "holdfast/cli/time_argument.hpp"

#include <fmt/core.h>
#include <time.h>

namespace holdfast::cli {

Result<std::optional<Timestamp>> parse_time(const std::string& text, const char* option) {
    if (text.empty()) return std::optional<Timestamp>();
    if (auto time = parse_rfc3339(text)) return std::optional<Timestamp>(*time);
    for (const char* form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
        tm parts{};
        parts.tm_isdst = -1;
        const char* end = ::strptime(text.c_str(), form, &parts);
        if (!end || *end != '\0') continue;
        parts.tm_isdst = -1;
        return std::optional<Timestamp>(Timestamp{std::int64_t(::mktime(&parts)) * 1'000'000'000});
    }
    return fail(ErrorCode::usage, fmt::format("{} is no time: \"{}\"", option, text),
                "write 2026-11-20 or \"2026-11-20 18:42:22\"");
}

}    // namespace holdfast::cli
