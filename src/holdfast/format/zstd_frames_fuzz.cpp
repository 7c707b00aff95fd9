// Any bytes are frames of at most the size allowed, or a clear refusal; what is compressed comes back.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/compress.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    constexpr std::size_t size_max = 1 << 20;
    static Compressor compressor(1);
    static Decompressor decompressor;
    Bytes a, b;
    if (decompressor.decompress_unknown(as_bytes(text), size_max, a)) {
        if (a.size() > size_max) __builtin_trap();
        // The other way to read must agree.
        if (!decompressor.decompress(as_bytes(text), a.size(), b) || a != b) __builtin_trap();
    }
    static_cast<void>(decode_unpacked(as_bytes(text), decompressor));
    compressor.compress(as_bytes(text), a);
    if (!decompressor.decompress(a, size, b) || as_text(b) != text) __builtin_trap();
    return 0;
}
