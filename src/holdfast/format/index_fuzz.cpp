// Any text is an index that survives being written and read, or a clear refusal.

#include <cstddef>
#include <cstdint>
#include <string>

#include "holdfast/format/documents.hpp"
#include "holdfast/format/in_pieces_fuzz.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto index = decode_index(text, "fuzz");
    if (!index && index.error().code != ErrorCode::corrupt) __builtin_trap();
    // With a space in front the general parser reads it: both must say the same.
    const auto general = decode_index(" " + std::string(text), "fuzz");
    if (index.has_value() != general.has_value() || (index && encode_index(*index) != encode_index(*general)))
        __builtin_trap();
    InPieces pieces(text);
    std::vector<IndexPack> scanned;
    if (scan_index(pieces, [&](IndexPack pack) { scanned.push_back(std::move(pack)); }) &&
        (!index || encode_index(scanned) != encode_index(*index)))
        __builtin_trap();
    if (!index) return 0;
    const std::string written = encode_index(*index);
    const auto again = decode_index(written, "again");
    if (!again || encode_index(*again) != written) __builtin_trap();
    return 0;
}
