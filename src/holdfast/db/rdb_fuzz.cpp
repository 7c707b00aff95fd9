// Any bytes are an RDB or an error, never a crash, a hang or an allocation that the input does not pay for; and its parts, put behind
// each other, are the RDB again.
#include "holdfast/db/rdb.hpp"

namespace {

using namespace holdfast;

// Pieces of uneven size, so that every field is cut somewhere.
Result<db::RdbSummary> read(ByteView left, const db::RdbOptions& options) {
    std::size_t step = 1;
    return db::read_rdb(
        [&](ByteSpan to) -> Result<std::size_t> {
            step = step * 3 % 127 + 1;
            const std::size_t n = std::min({step, to.size(), left.size()});
            std::copy_n(left.begin(), n, to.begin());
            left = left.subspan(n);
            return n;
        },
        options);
}

}    // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView bytes = std::as_bytes(std::span(data, size));
    const auto whole = read(bytes, {});
    if (whole) HF_ASSERT(whole->bytes == size);

    Bytes parts;
    std::uint64_t keys = 0;
    const db::RdbCopy copy{[&](db::RdbCopy::Part part, std::uint64_t, std::string_view) -> Status {
                               keys += part == db::RdbCopy::Part::key;
                               return {};
                           },
                           [&](ByteView piece) -> Status {
                               parts.insert(parts.end(), piece.begin(), piece.end());
                               return {};
                           }};
    const auto passed = read(bytes, {{}, &copy, false});
    HF_ASSERT(passed || !whole);
    if (!passed) return 0;
    constexpr std::size_t k_head = 9;
    const std::size_t tail = passed->version >= 5 ? 9 : 1;
    HF_ASSERT(keys == passed->keys && parts.size() + k_head + tail <= size);
    HF_ASSERT(std::ranges::equal(parts, bytes.subspan(k_head, parts.size())));
    // What is left of it describes a key that never came.
    if (whole) HF_ASSERT(whole->keys == keys && whole->expires == passed->expires);
    return 0;
}
