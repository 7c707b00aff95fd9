#pragma once
// What is traded: a signal asks for one order, an order has executions. Values only.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/clock.hpp"
#include "holdfast/ledger/decimal.hpp"
#include "holdfast/ledger/uuid.hpp"

namespace holdfast::ledger {

enum class Side : std::uint8_t { buy = 1, sell = 2 };
enum class OrderType : std::uint8_t { market = 1, limit = 2, stop = 3 };

/// What a producer asks for. Its UUID is the idempotency key: the first signal with a UUID counts, all others are
/// answered with its outcome.
struct Signal {
    Uuid id;
    std::string symbol;    // 1 to 32 printable ASCII characters
    Side side = Side::buy;
    OrderType type = OrderType::market;
    Decimal quantity;    // positive
    Decimal price;    // limit and stop: positive; market: zero
    Decimal stop_loss, take_profit;    // zero: none
    std::string strategy;    // at most 64 bytes of UTF-8, for reports
    Timestamp created_at;    // by the producer's clock; zero: when it was received
    Timestamp deadline;    // no attempt begins after it; zero: none
};

/// Its life. accepted: in the journal; intended: may be on its way to the broker; sent: handed to the broker; acked: the broker
/// has it; failed: never reached the broker, or could not be brought there; expired: never begun within its time.
enum class OrderState : std::uint8_t {
    accepted = 1,
    intended = 2,
    sent = 3,
    acked = 4,
    partially_filled = 5,
    filled = 6,
    rejected = 7,
    cancelled = 8,
    expired = 9,
    failed = 10,
};
std::string_view name_of(OrderState state);    // "partially_filled"
std::string_view name_of(Side side);    // "buy"
std::string_view name_of(OrderType type);    // "limit"
std::optional<Side> side_of(std::string_view name);
std::optional<OrderType> order_type_of(std::string_view name);
std::optional<OrderState> order_state_of(std::string_view name);
/// Nothing more will happen to it.
bool is_closed(OrderState state);

/// What the broker gets. Child orders (for a remainder) carry their own ID and the signal's.
struct Order {
    Uuid id;    // the client order ID: the signal's, or child_id(signal, n)
    Uuid signal;
    std::uint32_t child = 0;    // 0: the signal's own order; n: its n-th child
    OrderState state = OrderState::accepted;
    std::uint32_t attempts = 0;    // times it was handed to the broker, or tried
    std::string symbol;
    Side side = Side::buy;
    OrderType type = OrderType::market;
    Decimal quantity;
    Decimal price, stop_loss, take_profit;
    std::string strategy;
    Timestamp created_at, deadline, accepted_at, changed_at;
    Decimal filled;    // sum of the executions
    Decimal filled_value;    // sum of quantity times price, rounded to eight places each
    std::string broker_id;    // the broker's own name for it; may be empty
    std::string reason;    // why it was rejected, expired, failed or cancelled
    bool parked = false;    // its attempts failed; it waits in failed_syncs and is tried every minute
    bool cancel_requested = false;    // nothing more of it is sent, no remainder either

    Decimal remainder() const { return quantity - filled; }
};

/// One fill, as the broker reported it. (account, id) is unique: the broker's execution ID.
struct Execution {
    std::string id;    // 1 to 64 printable ASCII characters
    Uuid order;    // the client order ID
    Uuid signal;
    std::string symbol;
    Side side = Side::buy;
    Decimal quantity, price;
    Timestamp executed_at;    // by the broker's clock
};

/// The first thing that is wrong with a signal, as a sentence for its producer; nothing when it is well formed.
std::optional<std::string> fault_of(const Signal& signal);

}    // namespace holdfast::ledger
