#pragma once
// Signals and orders as producers write and read them. Pure; the text comes from anybody.
//
//   shape      {"id": "0197…", "symbol": "EURUSD", "side": "buy", "type": "limit", "quantity": 0.10, "price": "1.08335",
//              "stop_loss": …, "take_profit": …, "strategy": "…", "created_at": "2026-11-27T11:00:00.123Z", "deadline": …}
//              id, symbol, side and quantity must be there; type is market unless said; null is as if absent
//   numbers    JSON numbers or strings of them, read digit by digit and never through a binary fraction; an exponent is worked in
//              ("1e-05"), more than eight places are refused
//   promise    what is not understood is refused: unknown keys (with the nearest known one), a key twice, anything nested
//   errors     usage, as a sentence that names the field; never more of the text than 32 characters
//   threads    values only

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/ledger/model.hpp"

namespace holdfast::trade {

inline constexpr std::size_t k_signals_max = 256;    // in one array

/// One signal, or an array of 1 to k_signals_max of them. An error in an array names the element, from 1.
Result<std::vector<ledger::Signal>> parse_signals(std::string_view json);

/// The same fields as names and texts: what a Redis stream entry holds.
Result<ledger::Signal> signal_from_fields(std::span<const std::pair<std::string_view, std::string_view>> fields);

/// parse_signals gives it back. Numbers are written as strings, because many readers take numbers for binary fractions.
std::string signal_json(const ledger::Signal& signal);

/// What is known of an order: an order known only in outline has fewer keys.
std::string order_json(const ledger::Order& order);

}    // namespace holdfast::trade
