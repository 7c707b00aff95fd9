// Any text is a polynomial or a clear refusal; any bytes are cut within the sizes, both ways to search alike, and wherever
// the reading was interrupted.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "holdfast/format/chunker.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    Polynomial polynomial{0x3da3358b4dc173};
    if (const auto given = parse_polynomial(text.substr(0, text.find('\n')))) {
        if (!is_irreducible(*given) || parse_polynomial(to_hex(*given)) != *given) __builtin_trap();
        polynomial = *given;
    }
    const ChunkSizes sizes{128, 1024, 6};
    const Chunker fastest(polynomial, sizes), portable(polynomial, sizes, Chunker::Search::portable);
    ByteView rest = as_bytes(text);
    for (std::size_t step = 1; !rest.empty();) {
        const auto whole = fastest.cut(rest);
        if (whole != portable.cut(rest)) __builtin_trap();
        // The same a piece at a time.
        std::optional<std::size_t> cut;
        std::size_t seen = 0;
        while (!cut && seen < rest.size()) {
            step = step * 7 % 509 + 1;
            const std::size_t known = std::min(rest.size(), seen + step);
            cut = fastest.cut(rest.first(known), seen);
            seen = known;
        }
        if (cut != whole) __builtin_trap();
        if (!whole) {
            if (rest.size() >= sizes.max) __builtin_trap();
            break;
        }
        if (*whole < sizes.min || *whole > sizes.max || *whole > rest.size()) __builtin_trap();
        rest = rest.subspan(*whole);
    }
    return 0;
}
