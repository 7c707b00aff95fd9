#pragma once
// The chunker's search on CPUs with GFNI and AVX2: 32 strips of the data side by side, a byte of each per step.
// Private to format/.
//
//   Rolling the digest is linear over GF(2), and GFNI multiplies 32 bytes by an 8x8 matrix of bits in one instruction.
//   So the 7 bytes of 32 digests lie in 7 registers (all lowest bytes in the first, ...): a shift by a byte is a renaming
//   of registers, and what leaves the window or the digest's top comes back through 7 matrices each.
//   Measured (EPYC, one core, 64 MiB): one lane 540 MB/s, two lanes 1,040, four 870, this 4,300.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/polynomial.hpp"

namespace holdfast::format {

class StripSearch {
public:
    static constexpr std::size_t k_strips = 32, k_strip = 512, k_block = k_strips * k_strip;
    static constexpr unsigned k_mask_bits_max = 24;
    static constexpr std::size_t k_nothing = SIZE_MAX;

    /// Whether this CPU can run find().
    static bool available();
    /// A place is found when the lowest `mask_bits` (up to k_mask_bits_max) of the digest there are zero.
    StripSearch(Polynomial p, unsigned mask_bits);

    /// The first such place in [at, at + k_block), or k_nothing. Reads data[at - 64] up to data[at + k_block - 1].
    std::size_t find(const std::byte* data, std::size_t at) const;

private:
    std::uint32_t mask_;
    // One matrix per byte of the result: of a byte that leaves the window, of one shifted out of the digest's top, and of
    // the top byte's part beyond x^53, by which a digest is reduced before its lowest bits are looked at.
    std::uint64_t leaving_[7], top_[7], excess_[3];
};

}    // namespace holdfast::format
