#include "holdfast/trade/intake.hpp"

namespace holdfast::trade {

bool asks_for(const ledger::Signal& signal, const ledger::Order& order) {
    if (order.symbol.empty()) return true;
    return signal.symbol == order.symbol && signal.side == order.side && signal.type == order.type &&
           signal.quantity == order.quantity && signal.price == order.price && signal.stop_loss == order.stop_loss &&
           signal.take_profit == order.take_profit && signal.strategy == order.strategy &&
           signal.deadline == order.deadline;
}

}    // namespace holdfast::trade
