#pragma once
// Sizes and shares as people type them: "512k", "1.5G", "20%". Pure.
//
//   units    k, M, G, T (either case; with or without iB or B) are powers of 1024, as restic takes them
//   errors   usage; the message names the text

#include <cstdint>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::policy {

/// "100", "100B", "4k", "1.5G", "2TiB".
Result<std::uint64_t> parse_size(std::string_view text);
/// "5%" or "0.5%": the number before the sign, at least 0.
Result<double> parse_percent(std::string_view text);

}    // namespace holdfast::policy
