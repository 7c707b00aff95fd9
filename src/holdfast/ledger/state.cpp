#include "holdfast/ledger/state.hpp"

#include <algorithm>

namespace holdfast::ledger {
namespace {

constexpr std::uint32_t k_version = 2, k_version_before = 1;    // that one does not say whether stores are due
/// After others have traded, every signal is asked for at the broker before its first sending, for a day: no clock of a
/// producer or of ours is trusted to tell new ones from old ones, and a question costs one round trip.
constexpr Duration k_foreign_time = std::chrono::hours(24);
constexpr std::size_t k_orphan_size = 16 + 8 + 8;
constexpr std::size_t k_head_size = 4 + 8 + 1 + 1 + 8 + 8 + 8 * std::size(k_sinks) + 4 + 8;

}    // namespace

const Order* State::apply(Sequence sequence, const Fact& fact) {
    sequence_ = sequence;
    if (const auto* session = std::get_if<SessionStarted>(&fact.data)) {
        token_ = std::max(token_, session->token);
        if (session->foreign) {
            foreign_until_ = fact.at + k_foreign_time;
            stores_due_ = true;
        }
        return nullptr;
    }
    if (const auto* asked = std::get_if<StoresAsked>(&fact.data)) {
        if (asked->token == token_) stores_due_ = false;
        return nullptr;
    }
    if (const auto* switched = std::get_if<TradingSwitched>(&fact.data)) {
        trading_on_ = switched->on;
        return nullptr;
    }
    if (const auto* confirmed = std::get_if<SinkConfirmed>(&fact.data)) {
        confirmed_[static_cast<std::size_t>(confirmed->sink) - 1] = confirmed->sequence;
        return nullptr;
    }
    const std::uint32_t day = day_of(fact.at);
    if (day > day_) {
        day_ = day;
        remembered_.forget_before(day - std::min(day, horizon_.orders_days),
                                  day - std::min(day, horizon_.executions_days));
    }
    if (const auto* executed = std::get_if<OrderExecuted>(&fact.data))
        remembered_.add_execution(executed->execution.id, day);
    if (const auto* found = std::get_if<OrderFound>(&fact.data))
        for (const std::string& execution : found->executions) remembered_.add_execution(execution, day);
    // A late execution of an order that was closed here is no orphan: its signal cannot come again.
    if (const auto* executed = std::get_if<OrderExecuted>(&fact.data))
        if (remembered_.find_order(executed->execution.order) != nullptr) return nullptr;
    const Order* order = book_.apply(fact);
    if (order != nullptr && is_closed(order->state))
        remembered_.add_order({order->id, order->filled, day, order->state});
    return order;
}

void State::append_snapshot(Bytes& to) const {
    append_le(to, k_version);
    append_le(to, sequence_);
    append_le(to, static_cast<std::uint8_t>(trading_on_));
    append_le(to, static_cast<std::uint8_t>(stores_due_));
    append_le(to, token_);
    append_le(to, foreign_until_.nanoseconds);
    for (const Sequence confirmed : confirmed_) append_le(to, confirmed);
    append_le(to, day_);
    append_le(to, std::uint64_t{book_.orphans().size()});
    for (const auto& [id, orphan] : book_.orphans()) {
        append(to, id.bytes);
        append_le(to, orphan.filled.units);
        append_le(to, orphan.filled_value.units);
    }
    append_le(to, std::uint64_t{book_.open().size()});
    // Sorted, so that equal states have equal snapshots.
    std::vector<const Order*> orders;
    for (const auto& [id, order] : book_.open()) orders.push_back(&order);
    std::ranges::sort(orders, {}, &Order::id);
    Bytes fact;
    for (const Order* order : orders) {
        fact.clear();
        append_fact(fact, {order->changed_at, OrderFound{*order, {}, {}}});
        append_le(to, static_cast<std::uint32_t>(fact.size()));
        append(to, fact);
    }
    remembered_.append_to(to);
}

Result<State> State::read_snapshot(ByteView bytes, Horizon horizon) {
    const auto damaged = [] { return fail(ErrorCode::corrupt, "the state snapshot is damaged"); };
    if (bytes.size() < k_head_size) return damaged();
    const auto take = [&]<class T>(T) {
        const T value = load_le<T>(bytes.data());
        bytes = bytes.subspan(sizeof(T));
        return value;
    };
    const auto version = take(std::uint32_t{});
    if (version != k_version && version != k_version_before)
        return fail(ErrorCode::unsupported, "the state snapshot is of another version");
    State state(horizon);
    state.sequence_ = take(Sequence{});
    state.trading_on_ = take(std::uint8_t{}) != 0;
    if (version != k_version_before) state.stores_due_ = take(std::uint8_t{}) != 0;
    state.token_ = take(std::uint64_t{});
    state.foreign_until_ = {take(std::int64_t{})};
    for (Sequence& confirmed : state.confirmed_) confirmed = take(Sequence{});
    state.day_ = take(std::uint32_t{});
    const auto orphans = take(std::uint64_t{});
    if (orphans > bytes.size() / k_orphan_size) return damaged();
    for (std::uint64_t i = 0; i < orphans; ++i) {
        Uuid id;
        std::memcpy(id.bytes.data(), bytes.data(), id.bytes.size());
        bytes = bytes.subspan(id.bytes.size());
        const Decimal filled{take(std::int64_t{})};
        state.book_.add_orphan(id, filled, {take(std::int64_t{})});
    }
    if (bytes.size() < 8) return damaged();
    const auto orders = take(std::uint64_t{});
    for (std::uint64_t i = 0; i < orders; ++i) {
        if (bytes.size() < 4) return damaged();
        const auto size = take(std::uint32_t{});
        if (bytes.size() < size) return damaged();
        HF_TRY(const Fact fact, parse_fact(bytes.first(size)));
        if (!std::holds_alternative<OrderFound>(fact.data)) return damaged();
        state.book_.apply(fact);
        bytes = bytes.subspan(size);
    }
    if (!state.remembered_.read_from(bytes) || !bytes.empty()) return damaged();
    return state;
}

}    // namespace holdfast::ledger
