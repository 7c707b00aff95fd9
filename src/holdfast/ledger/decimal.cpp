#include "holdfast/ledger/decimal.hpp"

#include <algorithm>

namespace holdfast::ledger {
namespace {

constexpr int k_places = 8;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

}    // namespace

Result<Decimal> Decimal::parse(std::string_view text) {
    const auto bad = [] { return fail(ErrorCode::corrupt, "not a decimal number with at most eight places"); };
    std::string_view rest = text;
    const bool negative = rest.starts_with('-');
    if (negative) rest.remove_prefix(1);
    std::int64_t units = 0;
    std::size_t whole_digits = 0;
    while (!rest.empty() && is_digit(rest.front())) {
        units = units * 10 + (rest.front() - '0');
        if (units > k_units_max / k_one) return fail(ErrorCode::corrupt, "a number of ten thousand millions or more");
        ++whole_digits;
        rest.remove_prefix(1);
    }
    if (whole_digits == 0) return bad();
    units *= k_one;
    if (rest.starts_with('.')) {
        rest.remove_prefix(1);
        if (rest.empty()) return bad();
        std::int64_t unit = k_one / 10;
        for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1)) {
            if (unit == 0 && rest.front() != '0') return bad();
            units += unit * (rest.front() - '0');
            unit /= 10;
        }
    }
    if (!rest.empty()) return bad();
    return Decimal{negative ? -units : units};
}

std::string Decimal::text() const {
    const bool negative = units < 0;
    const auto magnitude =
        negative ? std::uint64_t{0} - static_cast<std::uint64_t>(units) : static_cast<std::uint64_t>(units);
    constexpr auto one = static_cast<std::uint64_t>(k_one);
    std::string out = (negative ? "-" : "") + std::to_string(magnitude / one);
    if (std::uint64_t fraction = magnitude % one; fraction != 0) {
        std::string digits = std::to_string(fraction);
        digits.insert(0, k_places - digits.size(), '0');
        digits.erase(digits.find_last_not_of('0') + 1);
        out += '.';
        out += digits;
    }
    return out;
}

Decimal product(Decimal a, Decimal b) {
    __extension__ using Wide = __int128;
    const Wide exact = static_cast<Wide>(a.units) * b.units;
    const Wide half = exact < 0 ? -Decimal::k_one / 2 : Decimal::k_one / 2;
    return {static_cast<std::int64_t>(std::clamp<Wide>((exact + half) / Decimal::k_one, -INT64_MAX, INT64_MAX))};
}

}    // namespace holdfast::ledger
