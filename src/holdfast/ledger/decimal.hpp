#pragma once
// A price or a quantity: a decimal number with eight places, exactly as it was written. Money never passes through a
// binary fraction.
//
//   range    |value| < 10,000,000,000; units of 0.00000001
//   errors   corrupt, for NaN, infinity, exponents, more than eight places that are not zero, and what is too large
//   threads  values only

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::ledger {

struct Decimal {
    std::int64_t units = 0;

    static constexpr std::int64_t k_one = 100'000'000;
    static constexpr std::int64_t k_units_max = 999'999'999'999'999'999;    // 18 digits: ClickHouse's Decimal64

    /// "-12.5", "0.00000001", "7".
    static Result<Decimal> parse(std::string_view text);
    static constexpr Decimal whole(std::int64_t n) { return {n * k_one}; }
    /// Without zeros at the end: "12.5", "7".
    std::string text() const;

    bool positive() const { return units > 0; }
    auto operator<=>(const Decimal&) const = default;
    friend Decimal operator+(Decimal a, Decimal b) { return {a.units + b.units}; }
    friend Decimal operator-(Decimal a, Decimal b) { return {a.units - b.units}; }
    Decimal& operator+=(Decimal b) {
        units += b.units;
        return *this;
    }
    Decimal& operator-=(Decimal b) {
        units -= b.units;
        return *this;
    }
};

/// Rounded half away from zero to eight places: the value of a fill.
Decimal product(Decimal a, Decimal b);

}    // namespace holdfast::ledger
