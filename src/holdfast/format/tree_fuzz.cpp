// Any text is a tree that survives being written and read, or a clear refusal.

#include <cstddef>
#include <cstdint>
#include <string>

#include "holdfast/format/in_pieces_fuzz.hpp"
#include "holdfast/format/tree.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto tree = decode_tree(text, "fuzz");
    if (!tree && tree.error().code != ErrorCode::corrupt) __builtin_trap();
    // With a space in front the general parser reads it: both must say the same.
    const auto general = decode_tree(" " + std::string(text), "fuzz");
    if (tree.has_value() != general.has_value() || (tree && encode(*tree) != encode(*general))) __builtin_trap();
    InPieces pieces(text);
    if (const auto scanned = scan_tree(pieces); scanned && (!tree || encode(*scanned) != encode(*tree)))
        __builtin_trap();
    if (!tree) return 0;
    const std::string written = encode(*tree);
    const auto again = decode_tree(written, "again");
    if (!again || encode(*again) != written) __builtin_trap();
    for (const Node& node : tree->nodes)
        if (tree->find(node.name) != &node) __builtin_trap();
    return 0;
}
