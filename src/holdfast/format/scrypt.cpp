#include "holdfast/format/scrypt.hpp"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include <algorithm>

#include "holdfast/base/result.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace holdfast::format {

#if defined(__x86_64__)

// g++ 12 does not hand the attribute on to lambdas: plain functions only.
#define HF_AVX2 __attribute__((target("avx2")))

namespace {

// What the rows of the lanes at work may take; beyond it fewer are kept.
constexpr std::uint64_t k_memory_wanted = 16u << 20;
constexpr std::uint64_t k_stride_max = 4;

// One lane in 128 bits, or two in 256: the same operations on both.
struct One {
    using Vector = __m128i;
    static constexpr std::size_t k_lanes = 1;
};
struct Two {
    using Vector = __m256i;
    static constexpr std::size_t k_lanes = 2;
};
HF_AVX2 inline __m128i add(__m128i a, __m128i b) { return _mm_add_epi32(a, b); }
HF_AVX2 inline __m256i add(__m256i a, __m256i b) { return _mm256_add_epi32(a, b); }
HF_AVX2 inline __m128i sum(__m128i a, __m128i b) { return _mm_xor_si128(a, b); }
HF_AVX2 inline __m256i sum(__m256i a, __m256i b) { return _mm256_xor_si256(a, b); }
template <int Bits>
HF_AVX2 inline __m128i mixed(__m128i to, __m128i x) {
    return _mm_xor_si128(_mm_xor_si128(to, _mm_slli_epi32(x, Bits)), _mm_srli_epi32(x, 32 - Bits));
}
template <int Bits>
HF_AVX2 inline __m256i mixed(__m256i to, __m256i x) {
    return _mm256_xor_si256(_mm256_xor_si256(to, _mm256_slli_epi32(x, Bits)), _mm256_srli_epi32(x, 32 - Bits));
}
template <int Order>
HF_AVX2 inline __m128i turned(__m128i x) {
    return _mm_shuffle_epi32(x, Order);
}
template <int Order>
HF_AVX2 inline __m256i turned(__m256i x) {
    return _mm256_shuffle_epi32(x, Order);
}

// scryptBlockMix: 2r blocks in, 2r blocks out, the even ones first. The 4x4 words of a block lie along its diagonals, so
// that Salsa20's quarter-rounds work on four columns at once. Four variables and no array: g++ 12 would keep that in
// memory, which takes 40 % longer.
template <class Vector>
HF_AVX2 void mix_row(const Vector* from, Vector* to, std::size_t r) {
    const Vector* const last = from + (2 * r - 1) * 4;
    Vector p = last[0], q = last[1], s = last[2], t = last[3];
    for (std::size_t i = 0; i < 2 * r; ++i) {
        const Vector* const block = from + i * 4;
        p = sum(p, block[0]);
        q = sum(q, block[1]);
        s = sum(s, block[2]);
        t = sum(t, block[3]);
        Vector a = p, b = q, c = s, d = t;
        for (int double_round = 0; double_round < 4; ++double_round) {
            b = mixed<7>(b, add(a, d));
            c = mixed<9>(c, add(b, a));
            d = mixed<13>(d, add(c, b));
            a = mixed<18>(a, add(d, c));
            b = turned<0x93>(b);
            c = turned<0x4e>(c);
            d = turned<0x39>(d);
            d = mixed<7>(d, add(a, b));
            c = mixed<9>(c, add(d, a));
            b = mixed<13>(b, add(c, d));
            a = mixed<18>(a, add(b, c));
            b = turned<0x39>(b);
            c = turned<0x4e>(c);
            d = turned<0x93>(d);
        }
        p = add(p, a);
        q = add(q, b);
        s = add(s, c);
        t = add(t, d);
        Vector* const place = to + (i / 2 + i % 2 * r) * 4;
        place[0] = p;
        place[1] = q;
        place[2] = s;
        place[3] = t;
    }
}

// Where the rows that are kept lie, lane by lane.
struct Rows {
    std::byte* memory;
    std::size_t row_size, lane_size;
    const __m128i* at(std::size_t lane, std::size_t row) const {
        return reinterpret_cast<const __m128i*>(memory + lane * lane_size + row * row_size);
    }
    __m128i* at(std::size_t lane, std::size_t row) {
        return reinterpret_cast<__m128i*>(memory + lane * lane_size + row * row_size);
    }
};

HF_AVX2 void keep_row(Rows& rows, std::size_t row, const __m128i* from, std::size_t count) {
    std::copy_n(from, count, rows.at(0, row));
}
HF_AVX2 void keep_row(Rows& rows, std::size_t row, const __m256i* from, std::size_t count) {
    __m128i *const low = rows.at(0, row), *const high = rows.at(1, row);
    for (std::size_t i = 0; i < count; ++i) {
        low[i] = _mm256_castsi256_si128(from[i]);
        high[i] = _mm256_extracti128_si256(from[i], 1);
    }
}
HF_AVX2 void fetch_row(const Rows& rows, const std::size_t (&row)[1], __m128i* to, std::size_t count) {
    std::copy_n(rows.at(0, row[0]), count, to);
}
HF_AVX2 void fetch_row(const Rows& rows, const std::size_t (&row)[2], __m256i* to, std::size_t count) {
    const __m128i *const low = rows.at(0, row[0]), *const high = rows.at(1, row[1]);
    for (std::size_t i = 0; i < count; ++i) to[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low[i]), high[i], 1);
}

// Takes `from` over in those lanes that have more than `step` steps to go.
HF_AVX2 void take_over(const std::size_t (&)[1], std::size_t, const __m128i* from, __m128i* to, std::size_t count) {
    std::copy_n(from, count, to);
}
HF_AVX2 void take_over(const std::size_t (&steps)[2], std::size_t step, const __m256i* from, __m256i* to,
                       std::size_t count) {
    const long long low = steps[0] > step ? -1 : 0, high = steps[1] > step ? -1 : 0;
    const __m256i mask = _mm256_set_epi64x(high, high, low, low);
    for (std::size_t i = 0; i < count; ++i) to[i] = _mm256_blendv_epi8(to[i], from[i], mask);
}

// The low word of the last block: which row comes next (Integerify).
HF_AVX2 void integerify(const __m128i* row, std::size_t r, std::uint32_t (&to)[1]) {
    to[0] = static_cast<std::uint32_t>(_mm_cvtsi128_si32(row[(2 * r - 1) * 4]));
}
HF_AVX2 void integerify(const __m256i* row, std::size_t r, std::uint32_t (&to)[2]) {
    const __m256i last = row[(2 * r - 1) * 4];
    to[0] = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm256_castsi256_si128(last)));
    to[1] = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm256_extracti128_si256(last, 1)));
}

struct Mapping {
    explicit Mapping(std::size_t n) : size(n) {
        void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) return;
        bytes = static_cast<std::byte*>(mapped);
        ::madvise(mapped, size, MADV_HUGEPAGE);    // rows are looked up at random: a fifth faster
    }
    ~Mapping() {
        if (!bytes) return;
        OPENSSL_cleanse(bytes, size);
        ::munmap(bytes, size);
    }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    std::byte* bytes = nullptr;
    std::size_t size;
};

// scryptROMix of the lanes that lie one after the other in `lanes`.
template <class Kind>
HF_AVX2 bool mix_lanes(std::byte* lanes, std::uint64_t n, std::size_t r) {
    using Vector = typename Kind::Vector;
    constexpr std::size_t k_lanes = Kind::k_lanes;
    const std::size_t row_size = 128 * r, count = 8 * r;
    std::uint64_t stride = 1;
    while (stride < k_stride_max && stride < n && k_lanes * n / stride * row_size > k_memory_wanted) stride *= 2;

    const std::size_t rows_size = k_lanes * (n / stride) * row_size, row_bytes = count * sizeof(Vector);
    const Mapping memory(rows_size + 3 * row_bytes);
    if (!memory.bytes) return false;
    Rows rows{memory.bytes, row_size, (n / stride) * row_size};
    auto* x = reinterpret_cast<Vector*>(memory.bytes + rows_size);
    Vector* y = x + count;
    Vector* const looked_up = y + count;

    // Along the diagonals: place i of a block takes word 5i.
    for (std::size_t lane = 0; lane < k_lanes; ++lane)
        for (std::size_t block = 0; block < 2 * r; ++block)
            for (std::size_t i = 0; i < 16; ++i) {
                const std::byte* word = lanes + lane * row_size + block * 64 + i * 5 % 16 * 4;
                std::byte* const vector = reinterpret_cast<std::byte*>(x + block * 4 + i / 4);
                std::copy_n(word, 4, vector + lane * 16 + i % 4 * 4);
            }
    for (std::uint64_t i = 0; i < n; ++i) {
        if (i % stride == 0) keep_row(rows, i / stride, x, count);
        mix_row(x, y, r);
        std::swap(x, y);
    }
    for (std::uint64_t i = 0; i < n; ++i) {
        std::uint32_t wanted[k_lanes];
        std::size_t row[k_lanes], steps[k_lanes], steps_max = 0;
        integerify(x, r, wanted);
        for (std::size_t lane = 0; lane < k_lanes; ++lane) {
            row[lane] = (wanted[lane] & (n - 1)) / stride;
            steps[lane] = (wanted[lane] & (n - 1)) % stride;
            steps_max = std::max(steps_max, steps[lane]);
        }
        fetch_row(rows, row, looked_up, count);
        for (std::size_t step = 0; step < steps_max; ++step) {
            mix_row(looked_up, y, r);
            take_over(steps, step, y, looked_up, count);
        }
        for (std::size_t k = 0; k < count; ++k) x[k] = sum(x[k], looked_up[k]);
        mix_row(x, y, r);
        std::swap(x, y);
    }
    for (std::size_t lane = 0; lane < k_lanes; ++lane)
        for (std::size_t block = 0; block < 2 * r; ++block)
            for (std::size_t i = 0; i < 16; ++i) {
                std::byte* word = lanes + lane * row_size + block * 64 + i * 5 % 16 * 4;
                const std::byte* const vector = reinterpret_cast<const std::byte*>(x + block * 4 + i / 4);
                std::copy_n(vector + lane * 16 + i % 4 * 4, 4, word);
            }
    return true;
}

}    // namespace

bool ScryptLanes::available() { return __builtin_cpu_supports("avx2"); }

bool ScryptLanes::mix(ByteSpan lanes, std::uint64_t n, std::uint32_t r) {
    HF_ASSERT(n > 1 && n < std::uint64_t(1) << 32 && r > 0);
    const std::size_t lane_size = std::size_t(128) * r;
    HF_ASSERT(lanes.size() % lane_size == 0);
    while (lanes.size() >= 2 * lane_size) {
        if (!mix_lanes<Two>(lanes.data(), n, r)) return false;
        lanes = lanes.subspan(2 * lane_size);
    }
    return lanes.empty() || mix_lanes<One>(lanes.data(), n, r);
}

#else

bool ScryptLanes::available() { return false; }
bool ScryptLanes::mix(ByteSpan, std::uint64_t, std::uint32_t) { return false; }

#endif

}    // namespace holdfast::format
