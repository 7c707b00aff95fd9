#include "holdfast/ledger/fact.hpp"

#include <fmt/core.h>

#include <array>
#include <type_traits>

namespace holdfast::ledger {
namespace {

constexpr std::uint8_t k_version = 1;
constexpr std::array<std::string_view, std::variant_size_v<FactData>> k_kinds = {
    "signal_accepted",  "order_intended", "order_sent",   "order_acked",      "order_executed",
    "order_closed",     "attempt_failed", "order_parked", "cancel_requested", "session_started",
    "trading_switched", "sink_confirmed", "order_found",  "stores_asked"};

/// The two directions walk the same list of fields, so that they cannot differ.
class Writer {
public:
    explicit Writer(Bytes& to) : to_(to) {}
    template <class T>
        requires std::is_integral_v<T>
    void field(const T& n) {
        append_le(to_, n);
    }
    template <class T>
        requires std::is_enum_v<T>
    void choice(const T& value, T, T) {
        append_le(to_, static_cast<std::uint8_t>(value));
    }
    void field(const bool& b) { append_le(to_, static_cast<std::uint8_t>(b)); }
    void field(const Uuid& id) { append(to_, id.bytes); }
    void field(const Decimal& d) { append_le(to_, d.units); }
    void field(const Timestamp& t) { append_le(to_, t.nanoseconds); }
    void field(const std::string& text) {
        const auto size = static_cast<std::uint16_t>(std::min<std::size_t>(text.size(), 0xffff));
        append_le(to_, size);
        append(to_, as_bytes(text).first(size));
    }
    void field(const std::vector<std::string>& texts) {
        append_le(to_, static_cast<std::uint32_t>(texts.size()));
        for (const std::string& text : texts) field(text);
    }

private:
    Bytes& to_;
};

class Reader {
public:
    explicit Reader(ByteView bytes) : bytes_(bytes) {}
    template <class T>
        requires std::is_integral_v<T>
    void field(T& n) {
        if (const ByteView from = take(sizeof(T)); !from.empty()) n = load_le<T>(from.data());
    }
    template <class T>
        requires std::is_enum_v<T>
    void choice(T& value, T first, T last) {
        std::uint8_t n = 0;
        field(n);
        if (n < static_cast<std::uint8_t>(first) || n > static_cast<std::uint8_t>(last)) good_ = false;
        value = static_cast<T>(n);
    }
    void field(bool& b) {
        std::uint8_t n = 0;
        field(n);
        if (n > 1) good_ = false;
        b = n == 1;
    }
    void field(Uuid& id) {
        if (const ByteView from = take(id.bytes.size()); !from.empty())
            std::memcpy(id.bytes.data(), from.data(), id.bytes.size());
    }
    void field(Decimal& d) {
        field(d.units);
        if (d.units > Decimal::k_units_max || d.units < -Decimal::k_units_max) good_ = false;
    }
    void field(Timestamp& t) { field(t.nanoseconds); }
    void field(std::string& text) {
        std::uint16_t size = 0;
        field(size);
        text = as_text(take(size));
    }
    void field(std::vector<std::string>& texts) {
        std::uint32_t count = 0;
        field(count);
        for (; good_ && count > 0; --count) field(texts.emplace_back());
    }
    bool whole() const { return good_ && bytes_.empty(); }

private:
    ByteView take(std::size_t size) {
        if (!good_ || bytes_.size() < size) {
            good_ = false;
            return {};
        }
        const ByteView taken = bytes_.first(size);
        bytes_ = bytes_.subspan(size);
        return taken;
    }
    ByteView bytes_;
    bool good_ = true;
};

template <class T, class U>
concept Is = std::is_same_v<std::remove_const_t<T>, U>;

void fields(auto& io, Is<Signal> auto& signal) {
    io.field(signal.id);
    io.field(signal.symbol);
    io.choice(signal.side, Side::buy, Side::sell);
    io.choice(signal.type, OrderType::market, OrderType::stop);
    io.field(signal.quantity);
    io.field(signal.price);
    io.field(signal.stop_loss);
    io.field(signal.take_profit);
    io.field(signal.strategy);
    io.field(signal.created_at);
    io.field(signal.deadline);
}

void fields(auto& io, Is<Execution> auto& execution) {
    io.field(execution.id);
    io.field(execution.order);
    io.field(execution.signal);
    io.field(execution.symbol);
    io.choice(execution.side, Side::buy, Side::sell);
    io.field(execution.quantity);
    io.field(execution.price);
    io.field(execution.executed_at);
}

void fields(auto& io, Is<Order> auto& order) {
    io.field(order.id);
    io.field(order.signal);
    io.field(order.child);
    io.choice(order.state, OrderState::accepted, OrderState::failed);
    io.field(order.attempts);
    io.field(order.symbol);
    io.choice(order.side, Side::buy, Side::sell);
    io.choice(order.type, OrderType::market, OrderType::stop);
    io.field(order.quantity);
    io.field(order.price);
    io.field(order.stop_loss);
    io.field(order.take_profit);
    io.field(order.strategy);
    io.field(order.created_at);
    io.field(order.deadline);
    io.field(order.accepted_at);
    io.field(order.changed_at);
    io.field(order.filled);
    io.field(order.filled_value.units);    // a sum of products: it may pass what an order may ask for
    io.field(order.broker_id);
    io.field(order.reason);
    io.field(order.parked);
    io.field(order.cancel_requested);
}

void fields(auto& io, Is<SignalAccepted> auto& fact) { fields(io, fact.signal); }
void fields(auto& io, Is<OrderIntended> auto& fact) {
    io.field(fact.order);
    io.field(fact.attempt);
    io.field(fact.child);
    io.field(fact.parent);
    io.field(fact.quantity);
}
void fields(auto& io, Is<OrderSent> auto& fact) {
    io.field(fact.order);
    io.field(fact.attempt);
}
void fields(auto& io, Is<OrderAcked> auto& fact) {
    io.field(fact.order);
    io.field(fact.broker_id);
}
void fields(auto& io, Is<OrderExecuted> auto& fact) { fields(io, fact.execution); }
void fields(auto& io, Is<OrderClosed> auto& fact) {
    io.field(fact.order);
    io.choice(fact.state, OrderState::filled, OrderState::failed);
    io.field(fact.reason);
}
void fields(auto& io, Is<AttemptFailed> auto& fact) {
    io.field(fact.order);
    io.field(fact.attempt);
    io.field(fact.reason);
}
void fields(auto& io, Is<OrderParked> auto& fact) {
    io.field(fact.order);
    io.field(fact.reason);
}
void fields(auto& io, Is<CancelRequested> auto& fact) { io.field(fact.order); }
void fields(auto& io, Is<SessionStarted> auto& fact) {
    io.field(fact.instance);
    io.field(fact.token);
    io.field(fact.foreign);
}
void fields(auto& io, Is<TradingSwitched> auto& fact) {
    io.field(fact.on);
    io.field(fact.who);
}
void fields(auto& io, Is<SinkConfirmed> auto& fact) {
    io.choice(fact.sink, Sink::redis, Sink::vault);
    io.field(fact.sequence);
}
void fields(auto& io, Is<OrderFound> auto& fact) {
    fields(io, fact.order);
    io.field(fact.executions);
    io.field(fact.where);
}
void fields(auto& io, Is<StoresAsked> auto& fact) { io.field(fact.token); }

template <std::size_t I = 0>
Result<FactData> read_kind(std::size_t kind, Reader& reader) {
    if constexpr (I == std::variant_size_v<FactData>) {
        return fail(ErrorCode::corrupt, fmt::format("fact of unknown kind {}", kind + 1));
    } else {
        if (kind != I) return read_kind<I + 1>(kind, reader);
        FactData data(std::in_place_index<I>);
        fields(reader, std::get<I>(data));
        if (!reader.whole()) return fail(ErrorCode::corrupt, fmt::format("a fact ({}) is damaged", k_kinds[I]));
        return data;
    }
}

}    // namespace

std::string_view name_of(Sink sink) {
    switch (sink) {
        case Sink::redis:
            return "redis";
        case Sink::duckdb:
            return "duckdb";
        case Sink::clickhouse:
            return "clickhouse";
        case Sink::vault:
            return "vault";
    }
    return "?";
}

std::string_view kind_of(const Fact& fact) { return k_kinds[fact.data.index()]; }

void append_fact(Bytes& to, const Fact& fact) {
    append_le(to, static_cast<std::uint8_t>(fact.data.index() + 1));
    append_le(to, k_version);
    append_le(to, fact.at.nanoseconds);
    Writer writer(to);
    std::visit([&](const auto& data) { fields(writer, data); }, fact.data);
}

Result<Fact> parse_fact(ByteView payload) {
    if (payload.size() < 10) return fail(ErrorCode::corrupt, "a fact ends inside its head");
    const auto kind = load_le<std::uint8_t>(payload.data());
    const auto version = load_le<std::uint8_t>(payload.data() + 1);
    if (version != k_version)
        return fail(ErrorCode::unsupported, fmt::format("fact of version {}", version),
                    "it was written by a newer holdfast: use that one");
    Fact fact{{load_le<std::int64_t>(payload.data() + 2)}, {}};
    Reader reader(payload.subspan(10));
    HF_TRY(fact.data, read_kind(std::size_t{kind} - 1, reader));
    return fact;
}

}    // namespace holdfast::ledger
