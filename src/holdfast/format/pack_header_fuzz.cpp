// Any bytes are a pack header that is written back the same, or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/format/pack.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto blobs = decode_pack_header(as_bytes(text));
    if (!blobs && blobs.error().code != ErrorCode::corrupt) __builtin_trap();
    if (blobs && as_text(encode_pack_header(*blobs)) != text) __builtin_trap();
    return 0;
}
