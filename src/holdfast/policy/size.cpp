#include "holdfast/policy/size.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cmath>

namespace holdfast::policy {
namespace {

std::unexpected<Error> bad(std::string_view text, std::string_view what) {
    return fail(ErrorCode::usage, fmt::format("\"{}\" is no {}", text, what),
                "give a number of bytes, or one with k, M, G or T behind it: 512k, 20M, 1.5G");
}

}    // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
    std::string_view rest = text;
    double number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number, std::chars_format::fixed);
    if (error != std::errc() || !(number >= 0)) return bad(text, "size");
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    double unit = 1;
    if (!rest.empty()) {
        constexpr std::string_view units = "kmgt";
        const char letter = static_cast<char>(rest.front() | 0x20);
        const std::size_t power = units.find(letter);
        if (power != std::string_view::npos) {
            unit = std::pow(1024.0, static_cast<double>(power + 1));
            rest.remove_prefix(1);
            if (rest == "iB" || rest == "B") rest = {};
        } else if (rest == "B" || rest == "b") {
            rest = {};
        }
    }
    const double bytes = number * unit;
    if (!rest.empty() || !(bytes < 9e18)) return bad(text, "size");
    return static_cast<std::uint64_t>(bytes);
}

Result<double> parse_percent(std::string_view text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || std::string_view(end, text.data() + text.size()) != "%" || !(number >= 0))
        return fail(ErrorCode::usage, fmt::format("\"{}\" is no share", text), "give it like 5% or 0.5%");
    return number;
}

}    // namespace holdfast::policy
