// What answers at the engine's address may be anything; and the address is what somebody wrote.

#include "holdfast/http/line.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto head = http::parse_answer_head(text)) {
        HF_ASSERT(head->status >= 0 && head->status <= 999 && head->body_size <= (8u << 20));
    } else {
        HF_ASSERT(head.error().code == ErrorCode::corrupt);
    }
    if (const auto place = http::Place::parse(text)) {
        HF_ASSERT(place->socket.empty() != place->host.empty());
    } else {
        HF_ASSERT(place.error().code == ErrorCode::usage);
    }
    return 0;
}
