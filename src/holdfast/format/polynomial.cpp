#include "holdfast/format/polynomial.hpp"

#include <fmt/core.h>

#include <bit>
#include <charconv>
#include <utility>

namespace holdfast::format {
namespace {

int degree(std::uint64_t x) { return 63 - std::countl_zero(x); }    // -1 for zero

std::uint64_t greatest_common_divisor(std::uint64_t a, std::uint64_t b) {
    while (b != 0) {
        a = remainder(a, {b});
        std::swap(a, b);
    }
    return a;
}

}    // namespace

std::uint64_t remainder(std::uint64_t x, Polynomial p) {
    for (int excess = degree(x) - degree(p.bits); excess >= 0; excess = degree(x) - degree(p.bits))
        x ^= p.bits << excess;
    return x;
}

std::uint64_t multiply(std::uint64_t a, std::uint64_t b, Polynomial p) {
    std::uint64_t product = 0;
    for (; b != 0; b >>= 1) {
        if (b & 1) product ^= a;
        a = remainder(a << 1, p);
    }
    return product;
}

std::uint64_t power_of_x(unsigned n, Polynomial p) {
    std::uint64_t power = 1;
    for (; n > 0; --n) power = remainder(power << 1, p);
    return power;
}

// Ben-Or: p has no factor of degree i if it shares none with x^(2^i) - x.
bool is_irreducible(Polynomial p) {
    // From degree 63 on the arithmetic would not fit into 64 bits; nobody has such polynomials.
    if (degree(p.bits) < 1 || degree(p.bits) > 62) return false;
    if (degree(p.bits) == 1) return true;
    std::uint64_t power = 2;
    for (int i = 0; i < degree(p.bits) / 2; ++i) {
        power = multiply(power, power, p);
        if (greatest_common_divisor(p.bits, power ^ 2) != 1) return false;
    }
    return true;
}

std::optional<Polynomial> polynomial_from_random(std::uint64_t random) {
    constexpr std::uint64_t top = std::uint64_t{1} << k_polynomial_degree;
    const Polynomial p{(random & (top - 1)) | top | 1};
    if (!is_irreducible(p)) return std::nullopt;
    return p;
}

std::string to_hex(Polynomial p) { return fmt::format("{:x}", p.bits); }

Result<Polynomial> parse_polynomial(std::string_view hex) {
    Polynomial p;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), p.bits, 16);
    if (error != std::errc() || end != hex.data() + hex.size() || degree(p.bits) != k_polynomial_degree ||
        !is_irreducible(p))
        return fail(ErrorCode::corrupt,
                    fmt::format("'{}' is not an irreducible polynomial of degree 53", hex.substr(0, 20)));
    return p;
}

}    // namespace holdfast::format
