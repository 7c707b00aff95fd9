#pragma once
// A moment on the command line.

#include <optional>
#include <string>

#include "holdfast/base/clock.hpp"

namespace holdfast::cli {

/// "2026-11-20", "2026-11-20 18:42", "2026-11-20 18:42:22" in the machine's zone, or RFC 3339; nothing for an empty text.
/// usage, with the option's name.
Result<std::optional<Timestamp>> parse_time(const std::string& text, const char* option);

}    // namespace holdfast::cli
