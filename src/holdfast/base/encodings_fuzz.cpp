// Times, hex and base64 as anybody writes them: what is taken comes back as it was meant.

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto time = parse_rfc3339(text)) {
        const auto again = parse_rfc3339(to_rfc3339(*time));
        HF_ASSERT(again && *again == *time);
    }
    Bytes decoded;
    if (from_base64(text, decoded)) HF_ASSERT(to_base64(decoded) == text);
    decoded.resize(size / 2);
    if (from_hex(text, decoded)) HF_ASSERT(to_hex(decoded) == text);
    if (const auto id = Id::parse(text)) HF_ASSERT(id->hex() == text);
    HF_ASSERT(from_base64(to_base64(as_bytes(text)), decoded) && as_text(decoded) == text);
    return 0;
}
