#include "holdfast/format/chunker.hpp"

#include <algorithm>

namespace holdfast::format {
namespace {

constexpr unsigned k_shift = k_polynomial_degree - 8;
constexpr std::size_t k_window = 64;
// Positions that one lane of search_two() looks at before the lanes move on. The window's 64 bytes are read again for
// each strip, and after a find on average half of the strips was searched for nothing.
constexpr std::size_t k_strip = 4096;

}    // namespace

Chunker::Chunker(Polynomial p, ChunkSizes sizes, Search search)
    : sizes_(sizes), mask_((std::uint64_t{1} << sizes.average_bits) - 1) {
    HF_ASSERT(p.bits >> k_polynomial_degree == 1);
    HF_ASSERT(sizes.min >= k_window && sizes.min <= sizes.max && sizes.average_bits < k_polynomial_degree);
    const std::uint64_t leaving = power_of_x(8 * (k_window - 1), p);
    for (std::uint64_t b = 0; b < 256; ++b) {
        out_[b] = multiply(leaving, b, p);
        mod_[b] = remainder(b << k_polynomial_degree, p) ^ b << k_polynomial_degree;
    }
    if (search == Search::fastest && sizes.average_bits <= StripSearch::k_mask_bits_max && StripSearch::available())
        strips_.emplace(p, sizes.average_bits);
}

inline std::uint64_t Chunker::roll(std::uint64_t digest, std::byte entering) const {
    return (digest << 8 | std::to_integer<std::uint64_t>(entering)) ^ mod_[digest >> k_shift];
}
inline std::uint64_t Chunker::roll(std::uint64_t digest, std::byte entering, std::byte leaving) const {
    return roll(digest ^ out_[std::to_integer<unsigned>(leaving)], entering);
}
inline std::uint64_t Chunker::digest_before(const std::byte* at) const {
    std::uint64_t digest = 0;
    for (const std::byte* byte = at - k_window; byte != at; ++byte) digest = roll(digest, *byte);
    return digest;
}

// The first place in [first, last], at least 64, where a cut may be; 0 if there is none.
std::size_t Chunker::search_one(const std::byte* data, std::size_t first, std::size_t last) const {
    std::uint64_t digest = digest_before(data + first);
    for (std::size_t at = first;; ++at) {
        if ((digest & mask_) == 0) return at;
        if (at == last) return 0;
        digest = roll(digest, data[at], data[at - k_window]);
    }
}

// Each roll waits for a table look-up of the one before: a second, independent lane runs in that time and nearly doubles
// the speed. More than two is slower again (numbers in strip_search.hpp).
std::size_t Chunker::search_two(const std::byte* data, std::size_t first, std::size_t last) const {
    // One place more than two strips: the last roll of a strip reads the byte behind it, which must be there.
    for (; last - first + 1 > 2 * k_strip; first += 2 * k_strip) {
        const std::byte *const low = data + first, *const high = low + k_strip;
        std::uint64_t digest_low = digest_before(low), digest_high = digest_before(high);
        for (std::size_t i = 0; i < k_strip; ++i) {
            if ((digest_low & mask_) == 0) return first + i;
            if ((digest_high & mask_) == 0) {
                // The rest of the low strip lies before this place.
                const std::size_t earlier = search_one(data, first + i, first + k_strip - 1);
                return earlier != 0 ? earlier : first + k_strip + i;
            }
            const auto at = static_cast<std::ptrdiff_t>(i), leaving = at - static_cast<std::ptrdiff_t>(k_window);
            digest_low = roll(digest_low, low[at], low[leaving]);
            digest_high = roll(digest_high, high[at], high[leaving]);
        }
    }
    return search_one(data, first, last);
}

std::size_t Chunker::search(const std::byte* data, std::size_t first, std::size_t last) const {
    if (strips_) {
        for (; last - first + 1 > StripSearch::k_block; first += StripSearch::k_block)
            if (const std::size_t at = strips_->find(data, first); at != StripSearch::k_nothing) return at;
    }
    return search_two(data, first, last);
}

std::optional<std::size_t> Chunker::cut(ByteView data, std::size_t seen) const {
    const std::size_t first = std::max<std::size_t>(sizes_.min, seen + 1);
    const std::size_t last = std::min<std::size_t>(sizes_.max, data.size());
    if (first <= last)
        if (const std::size_t at = search(data.data(), first, last); at != 0) return at;
    if (data.size() >= sizes_.max) return sizes_.max;
    return std::nullopt;
}

}    // namespace holdfast::format
