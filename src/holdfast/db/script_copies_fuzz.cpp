#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "holdfast/db/script_copies.hpp"

// However the script is cut, the same is found, and it is a piece of the script.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const holdfast::ByteView script = std::as_bytes(std::span(data, size));
    holdfast::db::ScriptCopies whole, pieces;
    whole.add(script);
    for (std::size_t at = 0, step = 1; at < size; at += step, step = step % 7 + 1)
        pieces.add(script.subspan(at, std::min(step, size - at)));
    if (whole.size() != pieces.size() || whole.size() > size) std::abort();
    for (const char* name : {"t", "A b"}) {
        const auto one = whole.find("public", name), other = pieces.find("public", name);
        if (one.has_value() != other.has_value() || (one && one->columns != other->columns)) std::abort();
        if (one && one->table.size() + one->columns.size() > size) std::abort();
    }
    return 0;
}
