#include "holdfast/serve/range.hpp"

#include <algorithm>
#include <charconv>

namespace holdfast::serve {
namespace {

std::optional<std::uint64_t> number(std::string_view digits) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

}    // namespace

RangeAnswer choose_range(std::optional<std::string_view> header, std::uint64_t size) {
    const RangeAnswer whole{RangeKind::whole, {0, size}};
    if (!header || !header->starts_with("bytes=")) return whole;
    const std::string_view text = header->substr(6);
    const std::size_t dash = text.find('-');
    if (dash == std::string_view::npos) return whole;
    const std::string_view first_text = text.substr(0, dash), last_text = text.substr(dash + 1);
    const auto first = number(first_text), last = number(last_text);
    if ((!first_text.empty() && !first) || (!last_text.empty() && !last) || (!first && !last)) return whole;
    if (!first) {    // the last so many bytes
        if (*last == 0 || size == 0) return {RangeKind::unsatisfiable, {0, size}};
        const std::uint64_t count = std::min(*last, size);
        return {RangeKind::part, {size - count, count}};
    }
    if (last && *last < *first) return whole;
    if (*first >= size) return {RangeKind::unsatisfiable, {0, size}};
    const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
    return {RangeKind::part, {*first, end - *first + 1}};
}

}    // namespace holdfast::serve
