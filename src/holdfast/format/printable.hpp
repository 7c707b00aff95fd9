#pragma once
// Which characters stand for themselves in a quoted name. Private to format/.
//
//   Printable as Go says: Unicode 15.0 categories L, M, N, P and S, and of all spaces only U+0020.
//   source   docs/formats/vault.md section 11

#include <cstdint>

namespace holdfast::format {

bool is_printable(std::uint32_t code_point);

}    // namespace holdfast::format
