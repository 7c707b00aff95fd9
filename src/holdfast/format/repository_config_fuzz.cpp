// Any text is the config of a repository that is written back, or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/documents.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto config = decode_config(text);
    if (!config) {
        if (config.error().code != ErrorCode::corrupt && config.error().code != ErrorCode::unsupported)
            __builtin_trap();
        return 0;
    }
    const auto again = decode_config(encode(*config));
    if (!again || encode(*again) != encode(*config)) __builtin_trap();
    return 0;
}
