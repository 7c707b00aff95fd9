// Any bytes are an RDB or an error, never a crash, a hang or an allocation that the input does not pay for.
#include "holdfast/db/rdb.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    ByteView left = std::as_bytes(std::span(data, size));
    // Pieces of uneven size, so that every field is cut somewhere.
    std::size_t step = 1;
    const auto read = db::read_rdb([&](ByteSpan to) -> Result<std::size_t> {
        step = step * 3 % 127 + 1;
        const std::size_t n = std::min({step, to.size(), left.size()});
        std::copy_n(left.begin(), n, to.begin());
        left = left.subspan(n);
        return n;
    });
    if (read) HF_ASSERT(read->bytes == size);
    return 0;
}
