// Any bytes are replies or an error; and where the input is cut makes no difference.
#include "holdfast/db/redis_reply.hpp"

namespace {

// How many whole replies there are, and whether it ended in an error.
std::pair<std::size_t, bool> replies(holdfast::ByteView left, std::size_t step) {
    holdfast::db::RedisReplyReader reader(1 << 20);
    std::size_t count = 0;
    while (!left.empty()) {
        const auto taken = reader.feed(left.first(std::min(step, left.size())));
        if (!taken) return {count, true};
        left = left.subspan(*taken);
        if (!reader.complete()) continue;
        reader.take();
        ++count;
    }
    return {count, false};
}

}    // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    HF_ASSERT(replies(bytes, 7) == replies(bytes, size + 1));
    return 0;
}
