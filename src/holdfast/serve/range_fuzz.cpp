// Range headers from anybody: a part always lies inside the file and is never empty.

#include "holdfast/serve/range.hpp"

#include "holdfast/base/result.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast::serve;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const std::uint64_t length : {std::uint64_t(0), std::uint64_t(1), std::uint64_t(1000), ~std::uint64_t(0)}) {
        const RangeAnswer answer = choose_range(text, length);
        HF_ASSERT(answer.range.begin <= length && answer.range.size <= length - answer.range.begin);
        if (answer.kind == RangeKind::part) HF_ASSERT(answer.range.size > 0);
        if (answer.kind == RangeKind::whole) HF_ASSERT(answer.range == (ByteRange{0, length}));
    }
    return 0;
}
