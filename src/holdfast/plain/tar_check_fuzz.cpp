// Any bytes are an archive or a clear refusal.

#include <cstddef>
#include <cstdint>

#include "holdfast/plain/tar_check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    ByteView in(reinterpret_cast<const std::byte*>(data), size);
    const auto facts = plain::check_tar([&](ByteSpan to) -> Result<std::size_t> {
        const std::size_t n = std::min(to.size(), in.size());
        if (n > 0) std::memcpy(to.data(), in.data(), n);
        in = in.subspan(n);
        return n;
    });
    if (!facts && facts.error().code != ErrorCode::corrupt) __builtin_trap();
    if (facts && facts->bytes > size) __builtin_trap();
    return 0;
}
