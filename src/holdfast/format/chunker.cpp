#include "holdfast/format/chunker.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <charconv>

namespace holdfast::format {
namespace {

constexpr int k_degree = 53;
constexpr unsigned k_shift = k_degree - 8;
constexpr std::size_t k_window = 64;

int degree(std::uint64_t x) { return 63 - std::countl_zero(x); }    // -1 for zero

std::uint64_t remainder(std::uint64_t x, std::uint64_t p) {
    for (int excess = degree(x) - degree(p); excess >= 0; excess = degree(x) - degree(p)) x ^= p << excess;
    return x;
}

// a*b mod p; a and b have a degree below that of p.
std::uint64_t multiply(std::uint64_t a, std::uint64_t b, std::uint64_t p) {
    std::uint64_t product = 0;
    for (; b != 0; b >>= 1) {
        if (b & 1) product ^= a;
        a = remainder(a << 1, p);
    }
    return product;
}

std::uint64_t greatest_common_divisor(std::uint64_t a, std::uint64_t b) {
    while (b != 0) {
        a = remainder(a, b);
        std::swap(a, b);
    }
    return a;
}

}    // namespace

// Ben-Or: p has no factor of degree i if it shares none with x^(2^i) - x.
bool is_irreducible(Polynomial p) {
    if (degree(p.bits) < 1) return false;
    if (degree(p.bits) == 1) return true;
    std::uint64_t power = 2;
    for (int i = 0; i < degree(p.bits) / 2; ++i) {
        power = multiply(power, power, p.bits);
        if (greatest_common_divisor(p.bits, power ^ 2) != 1) return false;
    }
    return true;
}

std::optional<Polynomial> polynomial_from_random(std::uint64_t random) {
    constexpr std::uint64_t top = std::uint64_t{1} << k_degree;
    const Polynomial p{(random & (top - 1)) | top | 1};
    if (!is_irreducible(p)) return std::nullopt;
    return p;
}

std::string to_hex(Polynomial p) { return fmt::format("{:x}", p.bits); }

Result<Polynomial> parse_polynomial(std::string_view hex) {
    Polynomial p;
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), p.bits, 16);
    if (error != std::errc() || end != hex.data() + hex.size() || degree(p.bits) != k_degree || !is_irreducible(p))
        return fail(ErrorCode::corrupt, fmt::format("'{}' is not an irreducible polynomial of degree 53", hex.substr(0, 20)));
    return p;
}

Chunker::Chunker(Polynomial p, ChunkSizes sizes) : sizes_(sizes), mask_((std::uint64_t{1} << sizes.average_bits) - 1) {
    HF_ASSERT(degree(p.bits) == k_degree);
    HF_ASSERT(sizes.min >= k_window && sizes.min <= sizes.max && sizes.average_bits < k_degree);
    // x^(8*63) mod p, by 63 shifts of one byte
    std::uint64_t leaving = 1;
    for (std::size_t i = 0; i < k_window - 1; ++i) leaving = remainder(leaving << 8, p.bits);
    for (std::uint64_t b = 0; b < 256; ++b) {
        out_[b] = multiply(leaving, b, p.bits);
        mod_[b] = remainder(b << k_degree, p.bits) ^ b << k_degree;
    }
}

std::optional<std::size_t> Chunker::cut(ByteView data, std::size_t seen) const {
    const std::size_t first = std::max<std::size_t>(sizes_.min, seen + 1);
    const std::size_t last = std::min<std::size_t>(sizes_.max, data.size());
    const auto roll = [&](std::uint64_t digest, std::byte entering) {
        const std::uint64_t top = digest >> k_shift;
        return (digest << 8 | std::to_integer<std::uint64_t>(entering)) ^ mod_[top];
    };
    if (first <= last) {
        std::uint64_t digest = 0;
        for (std::size_t i = first - k_window; i < first; ++i) digest = roll(digest, data[i]);
        for (std::size_t at = first;; ++at) {
            if ((digest & mask_) == 0) return at;
            if (at == last) break;
            digest = roll(digest ^ out_[std::to_integer<unsigned>(data[at - k_window])], data[at]);
        }
    }
    if (data.size() >= sizes_.max) return sizes_.max;
    return std::nullopt;
}

}    // namespace holdfast::format
