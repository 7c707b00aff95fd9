#pragma once
// A tree with some nodes left out or pointing to other subtrees, made from its JSON text: what stays keeps its bytes,
// also fields that we do not know. Decoding and encoding again would lose those, and with them the tree's meaning for
// the program that wrote it.
//
//   errors   corrupt, as decode_tree
//   source   docs/formats/vault.md section 10

#include <map>
#include <set>
#include <string>

#include "holdfast/format/tree.hpp"

namespace holdfast::format {

struct TreeEdit {
    std::set<std::string, std::less<>> drop;    // raw names
    std::map<std::string, Id, std::less<>> subtrees;    // raw name of a folder, and its new subtree
    bool empty() const { return drop.empty() && subtrees.empty(); }
};

Result<std::string> edit_tree(std::string_view json, const TreeEdit& edit, std::string_view what);

}    // namespace holdfast::format
