// Any text has a place where it is wrong, or none; and what finds the place in JSON agrees with the parser that decides.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "holdfast/policy/document.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast::policy;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    for (const auto format : {DocumentFormat::json, DocumentFormat::toml, DocumentFormat::env, DocumentFormat::text}) {
        const auto fault = find_fault(text, format);
        if (!fault) continue;
        // toml++ may point one line past a text without a newline at its end.
        if (fault->line == 0 || fault->column == 0 || fault->line > lines + 1 || fault->reason.empty())
            __builtin_trap();
        if (format == DocumentFormat::json && fault->reason.find("not valid JSON") != std::string::npos)
            __builtin_trap();    // refused, and the scanner did not see why
    }
    return 0;
}
