// Any text is JSON or a clear refusal; what was read is written and read again, the same.

#include "holdfast/base/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::string quoted;
    json::append_quoted(quoted, text);
    const auto string = json::parse(quoted, "fuzz");
    HF_ASSERT(string && string->is_string() && string->text() == json::as_utf8(text));
    const auto value = json::parse(text, "fuzz");
    if (!value) {
        HF_ASSERT(value.error().code == ErrorCode::corrupt);
        return 0;
    }
    const std::string written = json::dump(*value, 0);
    const auto again = json::parse(written, "again");
    HF_ASSERT(again && json::dump(*again, 0) == written);
    return 0;
}
