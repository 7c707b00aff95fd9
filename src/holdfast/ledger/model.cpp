#include "holdfast/ledger/model.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace holdfast::ledger {
namespace {

constexpr std::array k_states = {
    std::pair{OrderState::accepted, std::string_view("accepted")},
    std::pair{OrderState::intended, std::string_view("intended")},
    std::pair{OrderState::sent, std::string_view("sent")},
    std::pair{OrderState::acked, std::string_view("acked")},
    std::pair{OrderState::partially_filled, std::string_view("partially_filled")},
    std::pair{OrderState::filled, std::string_view("filled")},
    std::pair{OrderState::rejected, std::string_view("rejected")},
    std::pair{OrderState::cancelled, std::string_view("cancelled")},
    std::pair{OrderState::expired, std::string_view("expired")},
    std::pair{OrderState::failed, std::string_view("failed")},
};
constexpr std::array k_sides = {std::pair{Side::buy, std::string_view("buy")},
                                std::pair{Side::sell, std::string_view("sell")}};
constexpr std::array k_types = {std::pair{OrderType::market, std::string_view("market")},
                                std::pair{OrderType::limit, std::string_view("limit")},
                                std::pair{OrderType::stop, std::string_view("stop")}};

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
    for (const auto& [known, name] : table)
        if (known == value) return name;
    return "?";
}
template <class Table>
auto value_in(const Table& table, std::string_view name) -> std::optional<decltype(table[0].first)> {
    for (const auto& [value, known] : table)
        if (known == name) return value;
    return std::nullopt;
}

bool is_printable_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 127; });
}

}    // namespace

std::string_view name_of(OrderState state) { return name_in(k_states, state); }
std::string_view name_of(Side side) { return name_in(k_sides, side); }
std::string_view name_of(OrderType type) { return name_in(k_types, type); }
std::optional<Side> side_of(std::string_view name) { return value_in(k_sides, name); }
std::optional<OrderType> order_type_of(std::string_view name) { return value_in(k_types, name); }
std::optional<OrderState> order_state_of(std::string_view name) { return value_in(k_states, name); }
bool is_closed(OrderState state) { return state >= OrderState::filled; }

std::optional<std::string> fault_of(const Signal& signal) {
    if (signal.id.is_nil()) return "the UUID is missing or all zeros";
    if (signal.symbol.empty() || signal.symbol.size() > 32 || !is_printable_ascii(signal.symbol))
        return "the symbol must be 1 to 32 printable characters without spaces";
    if (signal.side != Side::buy && signal.side != Side::sell) return "the side must be buy or sell";
    if (name_of(signal.type) == "?") return "the type must be market, limit or stop";
    if (!signal.quantity.positive() || signal.quantity.units > Decimal::k_units_max)
        return "the quantity must be positive";
    if (signal.type == OrderType::market ? signal.price.units != 0 : !signal.price.positive())
        return signal.type == OrderType::market ? "a market order has no price" : "the price must be positive";
    if (signal.price.units > Decimal::k_units_max) return "the price is too large";
    for (const Decimal stop : {signal.stop_loss, signal.take_profit})
        if (stop.units < 0 || stop.units > Decimal::k_units_max)
            return "stop loss and take profit must be positive, or absent";
    if (signal.strategy.size() > 64) return "the strategy's name is longer than 64 bytes";
    if (signal.deadline.nanoseconds < 0 || signal.created_at.nanoseconds < 0) return "a time lies before 1970";
    return std::nullopt;
}

}    // namespace holdfast::ledger
