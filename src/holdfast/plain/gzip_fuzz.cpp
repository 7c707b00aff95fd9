// Any bytes are a gzip stream or a clear refusal; what we compress comes back.

#include <cstddef>
#include <cstdint>

#include "holdfast/plain/gzip.hpp"

using namespace holdfast;

namespace {

Result<Bytes> unpack(ByteView in, std::size_t step) {
    plain::Gunzip gunzip([&](ByteSpan to) -> Result<std::size_t> {
        const std::size_t n = std::min({to.size(), in.size(), step});
        if (n > 0) std::memcpy(to.data(), in.data(), n);
        in = in.subspan(n);
        return n;
    });
    Bytes all;
    std::byte some[1000];
    for (;;) {
        HF_TRY(const std::size_t n, gunzip.read(some));
        if (n == 0) return all;
        if (all.size() > (4u << 20)) return all;
        append(all, ByteView(some, n));
    }
}

}    // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView in(reinterpret_cast<const std::byte*>(data), size);
    const auto whole = unpack(in, 1 << 20), pieces = unpack(in, 3);
    if (whole.has_value() != pieces.has_value() || (whole && *whole != *pieces)) __builtin_trap();
    if (!whole && whole.error().code != ErrorCode::corrupt) __builtin_trap();
    Bytes packed;
    plain::Gzip gzip([&](ByteView bytes) -> Status { return append(packed, bytes), Status(); });
    if (!gzip.write(in) || !gzip.finish()) __builtin_trap();
    const auto back = unpack(packed, 7);
    if (!back || as_text(*back) != as_text(in)) __builtin_trap();
    return 0;
}
