// Signals from anybody: no crash, and whatever is taken is well formed and comes back as it was.

#include "holdfast/trade/signal_json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace holdfast;
    const auto signals = trade::parse_signals(std::string_view(reinterpret_cast<const char*>(data), size));
    if (!signals) {
        HF_ASSERT(signals.error().code == ErrorCode::usage && signals.error().message.size() < 400);
        return 0;
    }
    for (const ledger::Signal& signal : *signals) {
        HF_ASSERT(!fault_of(signal));
        const auto again = trade::parse_signals(trade::signal_json(signal));
        HF_ASSERT(again && again->size() == 1);
        const ledger::Signal& other = again->front();
        HF_ASSERT(other.id == signal.id && other.symbol == signal.symbol && other.side == signal.side &&
                  other.type == signal.type && other.quantity == signal.quantity && other.price == signal.price &&
                  other.stop_loss == signal.stop_loss && other.take_profit == signal.take_profit &&
                  other.strategy == signal.strategy && other.created_at == signal.created_at &&
                  other.deadline == signal.deadline);
    }
    return 0;
}
