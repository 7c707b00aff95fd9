// A tree of anybody's making, with some of its nodes left out or pointed elsewhere: what was not named stays as it was.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/tree.hpp"
#include "holdfast/format/tree_edit.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto tree = decode_tree(text, "fuzz");
    TreeEdit edit;
    bool drop = true;
    if (tree)
        for (const Node& node : tree->nodes) {
            if (drop) edit.drop.insert(node.name);
            drop = !drop;
        }
    const auto edited = edit_tree(text, edit, "fuzz");
    if (!tree) return 0;    // refused, or its damage lies where nothing was asked for
    if (!edited) __builtin_trap();
    const auto again = decode_tree(*edited, "edited");
    if (!again || again->nodes.size() + edit.drop.size() != tree->nodes.size()) __builtin_trap();
    for (const Node& node : again->nodes)
        if (edit.drop.contains(node.name) || !tree->find(node.name)) __builtin_trap();
    return 0;
}
