#include "holdfast/format/strip_search.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <bit>

namespace holdfast::format {
namespace {

constexpr std::size_t k_window = 64;

// The matrix that takes a byte b to byte `index` of the sum of images[i] over the bits i set in b, as GFNI wants it:
// row for bit r of the result in byte 7-r.
std::uint64_t matrix(const std::uint64_t (&images)[8], int index) {
    std::uint64_t rows = 0;
    for (int r = 0; r < 8; ++r)
        for (int i = 0; i < 8; ++i) rows |= (images[i] >> (8 * index + r) & 1) << (8 * (7 - r) + i);
    return rows;
}

}    // namespace

StripSearch::StripSearch(Polynomial p, unsigned mask_bits) : mask_((std::uint32_t{1} << mask_bits) - 1) {
    std::uint64_t leaving[8], top[8], excess[8];
    for (unsigned i = 0; i < 8; ++i) {
        leaving[i] = power_of_x(8 * k_window + i, p);
        top[i] = power_of_x(56 + i, p);
        excess[i] = 48 + i < k_polynomial_degree ? 0 : power_of_x(48 + i, p);
    }
    for (int byte = 0; byte < 7; ++byte) {
        leaving_[byte] = matrix(leaving, byte);
        top_[byte] = matrix(top, byte);
    }
    for (int byte = 0; byte < 3; ++byte) excess_[byte] = matrix(excess, byte);
}

#if defined(__x86_64__)

// g++ 12 does not hand the attribute on to lambdas: plain functions only.
#define HF_GFNI __attribute__((target("avx2,gfni")))

namespace {

using Bytes32 = __m256i;    // one byte of each strip

HF_GFNI inline Bytes32 apply(std::uint64_t rows, Bytes32 bytes) {
    return _mm256_gf2p8affine_epi64_epi8(bytes, _mm256_set1_epi64x(static_cast<long long>(rows)), 0);
}
HF_GFNI inline Bytes32 sum(Bytes32 a, Bytes32 b, Bytes32 c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }

HF_GFNI inline __m128i load16(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

// One round interleaves row k with row k+8; four rounds turn the 16x16 bytes in each half of the rows.
HF_GFNI inline void interleave(const Bytes32 (&from)[16], Bytes32* to) {
    for (std::ptrdiff_t k = 0; k < 8; ++k) {
        to[2 * k] = _mm256_unpacklo_epi8(from[k], from[k + 8]);
        to[2 * k + 1] = _mm256_unpackhi_epi8(from[k], from[k + 8]);
    }
}

// columns[c] = byte c of every strip, for 16 bytes of the strips that start k_strip apart from `from` on.
HF_GFNI void turn(const std::byte* from, Bytes32* columns) {
    Bytes32 a[16], b[16];
    for (std::size_t r = 0; r < 16; ++r)
        a[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(from + r * StripSearch::k_strip)),
                                       load16(from + (r + 16) * StripSearch::k_strip), 1);
    interleave(a, b);
    interleave(b, a);
    interleave(a, b);
    interleave(b, columns);
}

// Digests are kept below x^56, not reduced to below x^53: the three bits between are dealt with at each look.
struct Digests {
    Bytes32 byte[7];

    HF_GFNI inline void roll(Bytes32 entering, const std::uint64_t (&top)[7]) {
        const Bytes32 out = byte[6], zero = _mm256_setzero_si256();
        byte[6] = sum(byte[5], apply(top[6], out), zero);
        byte[5] = sum(byte[4], apply(top[5], out), zero);
        byte[4] = sum(byte[3], apply(top[4], out), zero);
        byte[3] = sum(byte[2], apply(top[3], out), zero);
        byte[2] = sum(byte[1], apply(top[2], out), zero);
        byte[1] = sum(byte[0], apply(top[1], out), zero);
        byte[0] = sum(entering, apply(top[0], out), zero);
    }
    HF_GFNI inline void roll(Bytes32 entering, Bytes32 leaving, const std::uint64_t (&top)[7],
                             const std::uint64_t (&matrices)[7]) {
        const Bytes32 out = byte[6];
        byte[6] = sum(byte[5], apply(top[6], out), apply(matrices[6], leaving));
        byte[5] = sum(byte[4], apply(top[5], out), apply(matrices[5], leaving));
        byte[4] = sum(byte[3], apply(top[4], out), apply(matrices[4], leaving));
        byte[3] = sum(byte[2], apply(top[3], out), apply(matrices[3], leaving));
        byte[2] = sum(byte[1], apply(top[2], out), apply(matrices[2], leaving));
        byte[1] = sum(byte[0], apply(top[1], out), apply(matrices[1], leaving));
        byte[0] = sum(entering, apply(top[0], out), apply(matrices[0], leaving));
    }
};

}    // namespace

bool StripSearch::available() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("gfni"); }

HF_GFNI std::size_t StripSearch::find(const std::byte* data, std::size_t at) const {
    Bytes32 columns[k_window + k_strip];
    for (std::size_t c = 0; c < k_window + k_strip; c += 16) turn(data + at - k_window + c, columns + c);

    const Bytes32 zero = _mm256_setzero_si256();
    const Bytes32 mask0 = _mm256_set1_epi8(static_cast<char>(mask_)),
                  mask1 = _mm256_set1_epi8(static_cast<char>(mask_ >> 8)),
                  mask2 = _mm256_set1_epi8(static_cast<char>(mask_ >> 16));
    Digests digests{{zero, zero, zero, zero, zero, zero, zero}};
    for (std::size_t i = 0; i < k_window; ++i) digests.roll(columns[i], top_);
    std::size_t first = k_nothing;
    for (std::size_t i = 0; i < k_strip; ++i) {
        const Bytes32 high = digests.byte[6];
        const Bytes32 low0 = _mm256_and_si256(_mm256_xor_si256(digests.byte[0], apply(excess_[0], high)), mask0);
        const Bytes32 low1 = _mm256_and_si256(_mm256_xor_si256(digests.byte[1], apply(excess_[1], high)), mask1);
        const Bytes32 low2 = _mm256_and_si256(_mm256_xor_si256(digests.byte[2], apply(excess_[2], high)), mask2);
        const Bytes32 hits = _mm256_cmpeq_epi8(_mm256_or_si256(_mm256_or_si256(low0, low1), low2), zero);
        // An earlier strip may still find an earlier place: all strips go on to their end.
        for (auto strips = static_cast<unsigned>(_mm256_movemask_epi8(hits)); strips != 0; strips &= strips - 1)
            first = std::min(first, at + static_cast<std::size_t>(std::countr_zero(strips)) * k_strip + i);
        digests.roll(columns[k_window + i], columns[i], top_, leaving_);
    }
    return first;
}

#else

bool StripSearch::available() { return false; }
std::size_t StripSearch::find(const std::byte*, std::size_t) const { return k_nothing; }

#endif

}    // namespace holdfast::format
