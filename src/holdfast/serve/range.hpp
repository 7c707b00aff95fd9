#pragma once
// The Range header of RFC 9110, one range of bytes. Pure; the text comes from the outside.

#include <cstdint>
#include <optional>
#include <string_view>

namespace holdfast::serve {

struct ByteRange {
    std::uint64_t begin = 0, size = 0;
    bool operator==(const ByteRange&) const = default;
};

enum class RangeKind { whole, part, unsatisfiable };

struct RangeAnswer {
    RangeKind kind = RangeKind::whole;
    ByteRange range;    // of a part; the whole file otherwise
};

/// What to answer for a file of `size` bytes. No header, another unit, several ranges or anything that is not understood:
/// the whole, as the RFC allows. A range that begins at or after the end: unsatisfiable.
RangeAnswer choose_range(std::optional<std::string_view> header, std::uint64_t size);

}    // namespace holdfast::serve
