// Any bytes can be the name of a file and come back; any text is a quoted name or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/documents.hpp"
#include "holdfast/format/tree.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto raw = unquote_name(quote_name(text));
    if (!raw || *raw != text) __builtin_trap();
    if (const auto name = unquote_name(text)) {
        const auto again = unquote_name(quote_name(*name));
        if (!again || *again != *name) __builtin_trap();
    }
    std::string token;
    append_go_string(token, text);
    return 0;
}
