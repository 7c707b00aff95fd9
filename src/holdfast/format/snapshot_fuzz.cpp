// Any text is a snapshot, or a lock, that survives being written and read, or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/documents.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto snapshot = decode_snapshot(text, "fuzz");
    if (!snapshot && snapshot.error().code != ErrorCode::corrupt) __builtin_trap();
    if (snapshot) {
        const std::string written = encode(*snapshot);
        const auto again = decode_snapshot(written, "again");
        if (!again || encode(*again) != written) __builtin_trap();
    }
    const auto lock = decode_lock(text, "fuzz");
    if (lock) {
        const auto again = decode_lock(encode(*lock), "again");
        if (!again || encode(*again) != encode(*lock)) __builtin_trap();
    }
    return 0;
}
