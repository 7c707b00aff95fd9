// Any bytes are a header that survives being written and read, or a clear refusal; sizes that are claimed cost nothing.
// The digest keeps a fuzzer out of the parser, so it is put right first.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "holdfast/format/crypto.hpp"
#include "holdfast/format/parity.hpp"

using namespace holdfast;
using namespace holdfast::format;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    Bytes header(bytes, bytes + size);
    if (decode_parity_header(header) && size < 112) __builtin_trap();
    if (size < 112) return 0;
    store_le(header.data() + 12, static_cast<std::uint32_t>(size));
    const Id digest = sha256(ByteView(header).first(size - 32));
    std::ranges::copy(digest.bytes, header.end() - 32);
    const auto group = decode_parity_header(header);
    if (!group) return 0;
    // The seven bytes above the kind must be zero, so what was read is all that was there.
    if (encode_parity_header(*group) != header) __builtin_trap();
    return 0;
}
