#include "holdfast/trade/fact_json.hpp"

#include <algorithm>
#include <type_traits>

namespace holdfast::trade {
namespace {

using namespace ledger;

/// Leaves out what says nothing.
class Members {
public:
    explicit Members(json::Value& to) : to_(to) {}
    void text(std::string_view name, std::string_view value) {
        if (!value.empty()) to_.set(name, value);
    }
    void id(std::string_view name, const Uuid& value) {
        if (!value.is_nil()) to_.set(name, value.text());
    }
    void decimal(std::string_view name, Decimal value) {
        if (value != Decimal{}) to_.set(name, value.text());
    }
    void time(std::string_view name, Timestamp value) {
        if (value != Timestamp{}) to_.set(name, to_rfc3339(value));
    }
    void number(std::string_view name, std::uint64_t value) {
        if (value != 0) to_.set(name, value);
    }
    void flag(std::string_view name, bool value) { to_.set(name, value); }
    void list(std::string_view name, const std::vector<std::string>& values) {
        if (values.empty()) return;
        json::Value array = json::Value::array();
        for (const std::string& value : values) array.push(value);
        to_.set(name, std::move(array));
    }

private:
    json::Value& to_;
};

/// What a signal and an order have in common.
void asked_for(Members& to, const auto& from) {
    to.text("symbol", from.symbol);
    to.text("side", name_of(from.side));
    to.text("type", name_of(from.type));
    to.decimal("quantity", from.quantity);
    to.decimal("price", from.price);
    to.decimal("stop_loss", from.stop_loss);
    to.decimal("take_profit", from.take_profit);
    to.text("strategy", from.strategy);
    to.time("created_at", from.created_at);
    to.time("deadline", from.deadline);
}

void members(Members& to, const SignalAccepted& fact) {
    to.id("order", fact.signal.id);
    asked_for(to, fact.signal);
}
void members(Members& to, const OrderIntended& fact) {
    to.id("order", fact.order);
    to.number("attempt", fact.attempt);
    to.number("child", fact.child);
    to.id("parent", fact.parent);
    to.decimal("quantity", fact.quantity);
}
void members(Members& to, const OrderSent& fact) {
    to.id("order", fact.order);
    to.number("attempt", fact.attempt);
}
void members(Members& to, const OrderAcked& fact) {
    to.id("order", fact.order);
    to.text("broker_id", fact.broker_id);
}
void members(Members& to, const OrderExecuted& fact) {
    const Execution& execution = fact.execution;
    to.id("order", execution.order);
    to.id("signal", execution.signal);
    to.text("execution_id", execution.id);
    to.text("symbol", execution.symbol);
    to.text("side", name_of(execution.side));
    to.decimal("quantity", execution.quantity);
    to.decimal("price", execution.price);
    to.time("executed_at", execution.executed_at);
}
void members(Members& to, const OrderClosed& fact) {
    to.id("order", fact.order);
    to.text("state", name_of(fact.state));
    to.text("reason", fact.reason);
}
void members(Members& to, const AttemptFailed& fact) {
    to.id("order", fact.order);
    to.number("attempt", fact.attempt);
    to.text("reason", fact.reason);
}
void members(Members& to, const OrderParked& fact) {
    to.id("order", fact.order);
    to.text("reason", fact.reason);
}
void members(Members& to, const CancelRequested& fact) { to.id("order", fact.order); }
void members(Members& to, const SessionStarted& fact) {
    to.text("instance", fact.instance);
    to.number("token", fact.token);
    to.flag("foreign", fact.foreign);
}
void members(Members& to, const TradingSwitched& fact) {
    to.flag("on", fact.on);
    to.text("who", fact.who);
}
void members(Members& to, const SinkConfirmed& fact) {
    to.text("sink", name_of(fact.sink));
    to.number("confirmed", fact.sequence);
}
void members(Members& to, const OrderFound& fact) {
    const Order& order = fact.order;
    to.id("order", order.id);
    if (order.signal != order.id) to.id("signal", order.signal);
    to.number("child", order.child);
    to.text("state", name_of(order.state));
    to.number("attempt", order.attempts);
    asked_for(to, order);
    to.time("accepted_at", order.accepted_at);
    to.time("changed_at", order.changed_at);
    to.decimal("filled", order.filled);
    to.decimal("filled_value", order.filled_value);
    to.text("broker_id", order.broker_id);
    to.text("reason", order.reason);
    to.text("where", fact.where);
    to.list("executions", fact.executions);
}
void members(Members& to, const StoresAsked& fact) { to.number("token", fact.token); }

void append_cell(std::string& to, std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
        to += text;
        return;
    }
    to += '"';
    for (const char c : text) {
        if (c == '"') to += '"';
        to += c;
    }
    to += '"';
}

std::string cell_text(const json::Value& value) {
    if (value.is_null()) return {};
    if (value.is_string()) return value.text();
    if (!value.is_array()) return json::dump(value);
    std::string joined;
    for (const json::Value& item : value.items()) joined += (joined.empty() ? "" : " ") + item.text();
    return joined;
}

}    // namespace

json::Value fact_json(Sequence sequence, const Fact& fact) {
    json::Value value =
        json::Value::object({{"sequence", sequence}, {"at", to_rfc3339(fact.at)}, {"kind", kind_of(fact)}});
    Members to(value);
    std::visit([&](const auto& data) { members(to, data); }, fact.data);
    return value;
}

const std::vector<std::string_view>& fact_columns() {
    static const std::vector<std::string_view> columns = {
        "sequence",     "at",          "kind",       "order",       "signal",       "parent",
        "child",        "attempt",     "state",      "symbol",      "side",         "type",
        "quantity",     "price",       "stop_loss",  "take_profit", "strategy",     "created_at",
        "deadline",     "accepted_at", "changed_at", "filled",      "filled_value", "broker_id",
        "execution_id", "executed_at", "executions", "reason",      "where",        "instance",
        "token",        "foreign",     "on",         "who",         "sink",         "confirmed"};
    return columns;
}

std::string fact_csv_header() {
    std::string line;
    for (const std::string_view column : fact_columns()) {
        if (!line.empty()) line += ',';
        line += column;
    }
    return line + "\r\n";
}

std::string fact_csv(const json::Value& fact) {
    std::string line;
    bool first = true;
    for (const std::string_view column : fact_columns()) {
        if (!std::exchange(first, false)) line += ',';
        append_cell(line, cell_text(fact[column]));
    }
    return line + "\r\n";
}

bool concerns(const Fact& fact, const Uuid& order) {
    return std::visit(
        [&](const auto& data) {
            using T = std::decay_t<decltype(data)>;
            if constexpr (std::is_same_v<T, SignalAccepted>)
                return data.signal.id == order;
            else if constexpr (std::is_same_v<T, OrderExecuted>)
                return data.execution.order == order || data.execution.signal == order;
            else if constexpr (std::is_same_v<T, OrderFound>)
                return data.order.id == order || data.order.signal == order;
            else if constexpr (std::is_same_v<T, OrderIntended>)
                return data.order == order || data.parent == order;
            else if constexpr (requires { data.order; })
                return data.order == order;
            else
                return false;
        },
        fact.data);
}

}    // namespace holdfast::trade
