// Any text is a configuration or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/policy/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto config = holdfast::policy::parse_config({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
    if (!config && config.error().code != holdfast::ErrorCode::config) __builtin_trap();
    return 0;
}
