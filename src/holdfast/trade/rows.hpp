#pragma once
// Orders and executions as rows: one list of columns for every store, to write them, to read them back, and for the tables' DDL.
//
//   source   docs/formats/trade-stores.md

#include <charconv>
#include <concepts>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "holdfast/ledger/model.hpp"

namespace holdfast::trade {

template <class T, class U>
concept IsA = std::same_as<std::remove_const_t<T>, U>;

/// Calls io(name, value) for each column. Side, type and state are enumerations of ledger/model.hpp.
void columns(auto&& io, IsA<ledger::Order> auto& order) {
    io("order_id", order.id);
    io("signal_id", order.signal);
    io("child", order.child);
    io("state", order.state);
    io("attempts", order.attempts);
    io("symbol", order.symbol);
    io("side", order.side);
    io("type", order.type);
    io("quantity", order.quantity);
    io("price", order.price);
    io("stop_loss", order.stop_loss);
    io("take_profit", order.take_profit);
    io("strategy", order.strategy);
    io("created_at", order.created_at);
    io("deadline", order.deadline);
    io("accepted_at", order.accepted_at);
    io("changed_at", order.changed_at);
    io("filled", order.filled);
    io("filled_value", order.filled_value);
    io("broker_id", order.broker_id);
    io("reason", order.reason);
    io("parked", order.parked);
    io("cancel_requested", order.cancel_requested);
}

void columns(auto&& io, IsA<ledger::Execution> auto& execution) {
    io("execution_id", execution.id);
    io("order_id", execution.order);
    io("signal_id", execution.signal);
    io("symbol", execution.symbol);
    io("side", execution.side);
    io("quantity", execution.quantity);
    io("price", execution.price);
    io("executed_at", execution.executed_at);
}

/// A value as text; times in nanoseconds since 1970, flags as 1 and 0.
inline std::string text_of(const ledger::Uuid& id) { return id.text(); }
inline std::string text_of(std::uint32_t n) { return std::to_string(n); }
inline std::string text_of(bool flag) { return flag ? "1" : "0"; }
inline std::string text_of(ledger::Decimal d) { return d.text(); }
inline std::string text_of(Timestamp t) { return std::to_string(t.nanoseconds); }
inline std::string text_of(const std::string& text) { return text; }
template <class Choice>
    requires std::is_enum_v<Choice>
std::string text_of(Choice choice) {
    return std::string(name_of(choice));
}

/// Reads a row whose values are such texts. The first column that is missing or wrong is remembered.
class RowReader {
public:
    using Lookup = std::function<std::optional<std::string_view>(std::string_view name)>;
    explicit RowReader(Lookup lookup) : lookup_(std::move(lookup)) {}

    template <class T>
    void operator()(std::string_view name, T& value) {
        const auto text = lookup_(name);
        if (!wrong_.empty() || (text && take(*text, value))) return;
        wrong_ = name;
    }
    const std::string& wrong() const { return wrong_; }

private:
    template <std::integral T>
    static bool take(std::string_view text, T& n) {
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
        return error == std::errc() && end == text.data() + text.size();
    }
    static bool take(std::string_view text, bool& flag) {
        flag = text == "1" || text == "true";
        return flag || text == "0" || text == "false";
    }
    static bool take(std::string_view text, std::string& value) {
        value = text;
        return true;
    }
    static bool take(std::string_view text, Timestamp& t) { return take(text, t.nanoseconds); }
    static bool take(std::string_view text, ledger::Uuid& id) { return set(ledger::Uuid::parse(text), id); }
    static bool take(std::string_view text, ledger::Side& side) { return set(ledger::side_of(text), side); }
    static bool take(std::string_view text, ledger::OrderType& type) { return set(ledger::order_type_of(text), type); }
    static bool take(std::string_view text, ledger::OrderState& s) { return set(ledger::order_state_of(text), s); }
    static bool take(std::string_view text, ledger::Decimal& d) {
        const auto parsed = ledger::Decimal::parse(text);
        if (parsed) d = *parsed;
        return parsed.has_value();
    }
    template <class T>
    static bool set(std::optional<T> from, T& to) {
        if (from) to = *from;
        return from.has_value();
    }

    Lookup lookup_;
    std::string wrong_;
};

/// The columns' names in their order, as columns() calls them.
template <class Row>
std::vector<std::string_view> column_names() {
    std::vector<std::string_view> names;
    const Row row;
    columns([&](std::string_view name, const auto&) { names.push_back(name); }, row);
    return names;
}

/// `what` names the row in the error (corrupt).
template <class Row>
Result<Row> read_row(RowReader::Lookup lookup, std::string_view what) {
    Row row;
    RowReader reader(std::move(lookup));
    columns(reader, row);
    if (!reader.wrong().empty())
        return fail(ErrorCode::corrupt, std::string(what) + ": the column " + reader.wrong() + " is missing or wrong");
    return row;
}

}    // namespace holdfast::trade
