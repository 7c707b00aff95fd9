#pragma once
/// What a journal record says: one fact. The state is the fold of all facts, and nothing else; each store is a projection of
/// them. Facts carry the time at which the engine noted them, so that a replay needs no clock.
///
///   shape    u8 kind | u8 version | i64 at | fields of the kind; little endian, texts as u16 length + bytes
///   errors   corrupt: an unknown kind or version, a field out of range, bytes left over
///   threads  values only
///   source   docs/formats/journal.md

#include <variant>
#include <vector>

#include "holdfast/ledger/model.hpp"
#include "holdfast/ledger/record.hpp"

namespace holdfast::ledger {

/// A signal was taken over from its producer; from here on it is ours.
struct SignalAccepted {
    Signal signal;
};
/// The order may leave for the broker any moment after this is durable, and never before.
struct OrderIntended {
    Uuid order;
    std::uint32_t attempt = 1;
    std::uint32_t child = 0;    // its number, when it is a child
    Uuid parent;    // of a child: the open order whose remainder it takes over
    Decimal quantity;    // of a child: that remainder
};
/// It was handed to the connection. Noted, but nothing waits for it.
struct OrderSent {
    Uuid order;
    std::uint32_t attempt = 1;
};
struct OrderAcked {
    Uuid order;
    std::string broker_id;
};
struct OrderExecuted {
    Execution execution;
};
/// Closed without being filled: rejected, cancelled, expired or failed. (Filled follows from the executions.)
struct OrderClosed {
    Uuid order;
    OrderState state = OrderState::failed;
    std::string reason;
};
/// It is certain that this attempt never became an order: it was not handed over, or the broker does not know it.
struct AttemptFailed {
    Uuid order;
    std::uint32_t attempt = 1;
    std::string reason;
};
/// After its attempts the order waits in failed_syncs and is tried every minute.
struct OrderParked {
    Uuid order;
    std::string reason;
};
struct CancelRequested {
    Uuid order;
};
/// An engine began to work on this journal.
struct SessionStarted {
    std::string instance;
    std::uint64_t token = 0;    // fencing token; 0: no lease is used
    bool foreign = false;    // others may have traded since: ask the broker before the first sending of any signal
};
struct TradingSwitched {
    bool on = true;
    std::string who;
};
enum class Sink : std::uint8_t { redis = 1, duckdb = 2, clickhouse = 3, vault = 4 };
inline constexpr Sink k_sinks[] = {Sink::redis, Sink::duckdb, Sink::clickhouse, Sink::vault};
std::string_view name_of(Sink sink);
/// The sink holds everything up to this sequence, durably. Less than it said before: it went back, or was exchanged.
struct SinkConfirmed {
    Sink sink = Sink::redis;
    Sequence sequence = 0;
};
/// What a store or the broker told of an order when the journal had been lost.
struct OrderFound {
    Order order;
    std::vector<std::string> executions;    // IDs of those that are counted in it
    std::string where;    // "redis", "duckdb", "clickhouse", "broker"
};

/// All stores have told what others traded, up to the session that `token` began; all of it stands before this.
struct StoresAsked {
    std::uint64_t token = 0;
};

/// The number of a kind in the journal is its place here, from 1: append only.
using FactData =
    std::variant<SignalAccepted, OrderIntended, OrderSent, OrderAcked, OrderExecuted, OrderClosed, AttemptFailed,
                 OrderParked, CancelRequested, SessionStarted, TradingSwitched, SinkConfirmed, OrderFound, StoresAsked>;

struct Fact {
    Timestamp at;
    FactData data;
};

void append_fact(Bytes& to, const Fact& fact);
Result<Fact> parse_fact(ByteView payload);
/// "order_executed"
std::string_view kind_of(const Fact& fact);

}    // namespace holdfast::ledger
