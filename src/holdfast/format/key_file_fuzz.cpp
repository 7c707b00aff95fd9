// Any text is a key file, or the master key inside one, that is written back, or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/documents.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto file = decode_key_file(text, "fuzz");
    if (!file && file.error().code != ErrorCode::corrupt) __builtin_trap();
    if (file) {
        const auto again = decode_key_file(encode(*file), "again");
        if (!again || encode(*again) != encode(*file)) __builtin_trap();
    }
    const auto key = decode_master_key(text);
    if (key && !decode_master_key(encode(*key))) __builtin_trap();
    return 0;
}
