#include "holdfast/format/sha256_blocks.hpp"

#include "holdfast/base/result.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace holdfast::format {

#if defined(__x86_64__)

#define HF_SHA __attribute__((target("sha,sse4.1,ssse3")))

namespace {

alignas(16) constexpr std::uint32_t k_round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

// The instructions want the eight words as ABEF and CDGH, highest first.
struct Lane {
    __m128i abef, cdgh, abef_before, cdgh_before;
    __m128i words[4];    // the last 16 words of the schedule
    const __m128i* at;
};

HF_SHA inline void load(Lane& lane, const Sha256Blocks::Digest& digest, const std::byte* data) {
    const auto* words = reinterpret_cast<const __m128i*>(digest.data());
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
    lane.abef = _mm_alignr_epi8(badc, hgfe, 8);
    lane.cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
    lane.at = reinterpret_cast<const __m128i*>(data);
}

HF_SHA inline void store(const Lane& lane, Sha256Blocks::Digest& digest) {
    auto* words = reinterpret_cast<__m128i*>(digest.data());
    const __m128i feba = _mm_shuffle_epi32(lane.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(lane.cdgh, 0xb1);
    _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

HF_SHA inline void begin_block(Lane& lane) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    lane.abef_before = lane.abef;
    lane.cdgh_before = lane.cdgh;
    for (int i = 0; i < 4; ++i) lane.words[i] = _mm_shuffle_epi8(_mm_loadu_si128(lane.at++), big_endian);
}

// Four rounds, and the four words of the schedule that the last 16 of them lead to.
HF_SHA inline void four_rounds(Lane& lane, int group) {
    __m128i* const words = lane.words;
    const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(k_round_constants) + group);
    const __m128i input = _mm_add_epi32(words[group & 3], constants);
    lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, input);
    lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(input, 0x0e));
    if (group >= 12) return;
    const __m128i last = words[(group + 3) & 3];
    __m128i next = _mm_sha256msg1_epu32(words[group & 3], words[(group + 1) & 3]);
    next = _mm_add_epi32(next, _mm_alignr_epi8(last, words[(group + 2) & 3], 4));
    words[group & 3] = _mm_sha256msg2_epu32(next, last);
}

HF_SHA inline void end_block(Lane& lane) {
    lane.abef = _mm_add_epi32(lane.abef, lane.abef_before);
    lane.cdgh = _mm_add_epi32(lane.cdgh, lane.cdgh_before);
}

// Library code that leaves something in the upper halves of the 256-bit registers makes the instructions used here, which
// keep those, wait for what was in their target before. One sum waits anyway; two took two thirds longer in every program,
// but not in a benchmark of nothing else.
__attribute__((target("avx"))) void clear_upper_halves() { _mm256_zeroupper(); }

bool cpu_has_sha() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    return (b & 1u << 29) != 0 && __builtin_cpu_supports("sse4.1") && __builtin_cpu_supports("ssse3");
}

}    // namespace

bool Sha256Blocks::available() {
    static const bool has = cpu_has_sha();
    return has;
}

HF_SHA void Sha256Blocks::one(Digest& digest, const std::byte* data, std::size_t blocks) {
    Lane lane;
    load(lane, digest, data);
    for (; blocks > 0; --blocks) {
        begin_block(lane);
#pragma GCC unroll 16
        for (int group = 0; group < 16; ++group) four_rounds(lane, group);
        end_block(lane);
    }
    store(lane, digest);
}

HF_SHA void Sha256Blocks::two(Digest& a, const std::byte* data_a, Digest& b, const std::byte* data_b,
                              std::size_t blocks) {
    static const bool has_upper_halves = __builtin_cpu_supports("avx");
    if (has_upper_halves) clear_upper_halves();
    Lane first, second;
    load(first, a, data_a);
    load(second, b, data_b);
    for (; blocks > 0; --blocks) {
        begin_block(first);
        begin_block(second);
#pragma GCC unroll 16
        for (int group = 0; group < 16; ++group) {
            four_rounds(first, group);
            four_rounds(second, group);
        }
        end_block(first);
        end_block(second);
    }
    store(first, a);
    store(second, b);
}

#else

bool Sha256Blocks::available() { return false; }
void Sha256Blocks::one(Digest&, const std::byte*, std::size_t) { HF_ASSERT(false); }
void Sha256Blocks::two(Digest&, const std::byte*, Digest&, const std::byte*, std::size_t) { HF_ASSERT(false); }

#endif

}    // namespace holdfast::format
