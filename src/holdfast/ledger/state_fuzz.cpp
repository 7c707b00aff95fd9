// Any bytes as a snapshot of the engine's state: refused, or a state that is written and read again the same.

#include "holdfast/ledger/state.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const auto state = ledger::State::read_snapshot(std::as_bytes(std::span(data, size)));
    if (!state) {
        HF_ASSERT(state.error().code == ErrorCode::corrupt || state.error().code == ErrorCode::unsupported);
        return 0;
    }
    Bytes written, again;
    state->append_snapshot(written);
    const auto other = ledger::State::read_snapshot(written);
    HF_ASSERT(other);
    other->append_snapshot(again);
    HF_ASSERT(written == again);
    return 0;
}
