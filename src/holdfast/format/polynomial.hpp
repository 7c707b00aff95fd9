#pragma once
// Polynomials over GF(2) in 64 bits, bit i standing for x^i: what the chunker's fingerprint is computed with.
//
//   errors   corrupt
//   source   docs/formats/vault.md section 13; vectors in tests/golden/vault/chunker.json

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::format {

/// A polynomial over GF(2), degree 53, irreducible: one per repository.
struct Polynomial {
    std::uint64_t bits = 0;
    bool operator==(const Polynomial&) const = default;
};
inline constexpr int k_polynomial_degree = 53;

bool is_irreducible(Polynomial p);
/// From 8 random bytes (section 13); nullopt: take other bytes (about 26 of 27 times).
std::optional<Polynomial> polynomial_from_random(std::uint64_t random);
std::string to_hex(Polynomial p);
/// corrupt unless hex of degree 53 and irreducible.
Result<Polynomial> parse_polynomial(std::string_view hex);

/// x mod p.
std::uint64_t remainder(std::uint64_t x, Polynomial p);
/// a*b mod p; a has a degree below that of p.
std::uint64_t multiply(std::uint64_t a, std::uint64_t b, Polynomial p);
/// x^n mod p.
std::uint64_t power_of_x(unsigned n, Polynomial p);

}    // namespace holdfast::format
