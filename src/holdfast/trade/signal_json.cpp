#include "holdfast/trade/signal_json.hpp"

#include <fmt/core.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::trade {
namespace {

using ledger::Decimal;
using ledger::Signal;

enum class Field : unsigned {
    id,
    symbol,
    side,
    type,
    quantity,
    price,
    stop_loss,
    take_profit,
    strategy,
    created_at,
    deadline,
    count
};
constexpr std::string_view k_names[] = {"id",        "symbol",      "side",     "type",       "quantity", "price",
                                        "stop_loss", "take_profit", "strategy", "created_at", "deadline"};
static_assert(std::size(k_names) == static_cast<std::size_t>(Field::count));

std::unexpected<Error> bad(std::string text) { return fail(ErrorCode::usage, std::move(text)); }

// For messages: short, and nothing in it that a terminal or a log would take for more than text.
std::string shown(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 32)) out += c > ' ' && c < 127 && c != '"' ? c : c == ' ' ? ' ' : '?';
    return '"' + out + (text.size() > 32 ? "…\"" : "\"");
}

// "1.5e-3" becomes "0.0015"; text without an exponent stays. Bounded: no number that we take has more digits than that.
std::optional<std::string> without_exponent(std::string_view text) {
    const std::size_t e = text.find_first_of("eE");
    if (e == std::string_view::npos) return std::string(text);
    std::string_view power_text = text.substr(e + 1), digits = text.substr(0, e);
    if (power_text.starts_with('+')) {
        power_text.remove_prefix(1);
        if (power_text.starts_with('-')) return std::nullopt;
    }
    int power = 0;
    const auto [end, error] = std::from_chars(power_text.data(), power_text.data() + power_text.size(), power);
    if (error != std::errc() || end != power_text.data() + power_text.size() || power < -40 || power > 40)
        return std::nullopt;
    std::string out = digits.starts_with('-') ? "-" : "";
    if (!out.empty()) digits.remove_prefix(1);
    const std::size_t point = std::min(digits.find('.'), digits.size());
    std::string all(digits.substr(0, point));
    if (point < digits.size()) all += digits.substr(point + 1);
    if (all.empty() || all.size() > 64 || point == 0 || point + 1 == digits.size()) return std::nullopt;
    int place = static_cast<int>(point) + power;
    if (place <= 0) {
        all.insert(0, static_cast<std::size_t>(1 - place), '0');
        place = 1;
    }
    if (static_cast<std::size_t>(place) > all.size()) all.append(static_cast<std::size_t>(place) - all.size(), '0');
    // Zeros in front are no digits of it: they would count as too many.
    const std::size_t lead = std::min(all.find_first_not_of('0'), static_cast<std::size_t>(place) - 1);
    out += all.substr(lead, static_cast<std::size_t>(place) - lead);
    if (static_cast<std::size_t>(place) < all.size()) out += '.' + all.substr(static_cast<std::size_t>(place));
    return out;
}

Result<Field> field_of(std::string_view name) {
    const auto known = std::ranges::find(k_names, name);
    if (known != std::end(k_names)) return static_cast<Field>(known - std::begin(k_names));
    const std::string near = policy::suggest(name, {std::begin(k_names), std::end(k_names)});
    return bad(
        fmt::format("unknown key {}{}", shown(name), near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
}

std::string_view name_of(Field field) { return k_names[static_cast<unsigned>(field)]; }

bool is_number(Field field) {
    return field == Field::quantity || field == Field::price || field == Field::stop_loss ||
           field == Field::take_profit;
}

class Builder {
public:
    Status set(Field field, std::string_view text) {
        HF_DO(note(field));
        return take(field, text);
    }
    // null: as if it were absent, but not twice.
    Status note(Field field) {
        if (noted_ >> static_cast<unsigned>(field) & 1) return bad(fmt::format("{} is there twice", name_of(field)));
        noted_ |= 1u << static_cast<unsigned>(field);
        return {};
    }

    Result<Signal> finish() const {
        for (const Field field : {Field::id, Field::symbol, Field::side, Field::quantity})
            if (!(taken_ >> static_cast<unsigned>(field) & 1)) return bad(fmt::format("{} is missing", name_of(field)));
        if (auto fault = fault_of(signal_)) return bad(std::move(*fault));
        return signal_;
    }

private:
    Status take(Field field, std::string_view text) {
        taken_ |= 1u << static_cast<unsigned>(field);
        switch (field) {
            case Field::id: {
                const auto id = ledger::Uuid::parse(text);
                if (!id) return bad(fmt::format("id is not a UUID: {}", shown(text)));
                signal_.id = *id;
                return {};
            }
            case Field::symbol:
                signal_.symbol = text;
                return {};
            case Field::side: {
                const auto side = ledger::side_of(text);
                if (!side) return bad(fmt::format("side is buy or sell, not {}", shown(text)));
                signal_.side = *side;
                return {};
            }
            case Field::type: {
                const auto type = ledger::order_type_of(text);
                if (!type) return bad(fmt::format("type is market, limit or stop, not {}", shown(text)));
                signal_.type = *type;
                return {};
            }
            case Field::quantity:
                return decimal(field, text, signal_.quantity);
            case Field::price:
                return decimal(field, text, signal_.price);
            case Field::stop_loss:
                return decimal(field, text, signal_.stop_loss);
            case Field::take_profit:
                return decimal(field, text, signal_.take_profit);
            case Field::strategy:
                if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }))
                    return bad("strategy holds a control character");
                if (!simdjson::validate_utf8(text.data(), text.size())) return bad("strategy is not UTF-8");
                signal_.strategy = text;
                return {};
            case Field::created_at:
                return time(field, text, signal_.created_at);
            case Field::deadline:
                return time(field, text, signal_.deadline);
            case Field::count:
                break;
        }
        return {};
    }

    static Status decimal(Field field, std::string_view text, Decimal& to) {
        const std::string_view name = name_of(field);
        const auto plain = without_exponent(text);
        auto value = plain ? Decimal::parse(*plain) : fail(ErrorCode::corrupt, "not a number that is taken here");
        if (!value) return bad(fmt::format("{} is {}: {}", name, value.error().message, shown(text)));
        to = *value;
        return {};
    }

    static Status time(Field field, std::string_view text, Timestamp& to) {
        const std::string_view name = name_of(field);
        const auto value = parse_rfc3339(text);
        if (!value) return bad(fmt::format("{} is not a time like 2026-11-27T11:00:00.123Z: {}", name, shown(text)));
        if (value->nanoseconds <= 0) return bad(fmt::format("{} lies before 1970", name));
        to = *value;
        return {};
    }

    Signal signal_;
    unsigned noted_ = 0, taken_ = 0;    // a bit a field
};

namespace od = simdjson::ondemand;

std::unexpected<Error> not_json(simdjson::error_code code) {
    return bad(fmt::format("the body is not JSON: {}", simdjson::error_message(code)));
}

// The document is known to be whole, valid JSON: what is read here are its tokens.
Result<Signal> read_signal(od::value value) {
    od::object object;
    if (value.get_object().get(object)) return bad("a signal is an object: {\"id\": …}");
    Builder builder;
    for (auto member : object) {
        std::string_view key;
        if (const auto error = member.unescaped_key().get(key)) return not_json(error);
        HF_TRY(const Field field, field_of(key));
        od::json_type type;
        if (const auto error = member.value().type().get(type)) return not_json(error);
        std::string_view text;
        if (type == od::json_type::string) {
            if (const auto error = member.value().get_string().get(text)) return not_json(error);
            HF_DO(builder.set(field, text));
        } else if (type == od::json_type::number && is_number(field)) {
            text = member.value().raw_json_token();
            HF_DO(builder.set(field, text.substr(0, text.find_last_not_of(" \t\r\n") + 1)));
        } else if (type == od::json_type::null) {
            HF_DO(builder.note(field));
        } else {
            return bad(fmt::format("{} must be a string{}", name_of(field), is_number(field) ? " or a number" : ""));
        }
    }
    return builder.finish();
}

void member(std::string& to, std::string_view name, std::string_view text) {
    to += to.empty() ? '{' : ',';
    json::append_quoted(to, name);
    to += ':';
    json::append_quoted(to, text);
}
void member(std::string& to, std::string_view name, Decimal value) {
    if (value.units != 0) member(to, name, value.text());
}
void member(std::string& to, std::string_view name, Timestamp value) {
    if (value.nanoseconds != 0) member(to, name, to_rfc3339(value));
}

// What a signal and its order have in common.
template <class T>
void demand(std::string& to, const T& what) {
    member(to, "symbol", what.symbol);
    member(to, "side", ledger::name_of(what.side));
    member(to, "type", ledger::name_of(what.type));
    member(to, "quantity", what.quantity);
    member(to, "price", what.price);
    member(to, "stop_loss", what.stop_loss);
    member(to, "take_profit", what.take_profit);
    if (!what.strategy.empty()) member(to, "strategy", what.strategy);
    member(to, "created_at", what.created_at);
    member(to, "deadline", what.deadline);
}

}    // namespace

Result<std::vector<Signal>> parse_signals(std::string_view json) {
    const simdjson::padded_string padded(json);
    {
        // On Demand looks at what it is asked for and no more: that the whole is JSON is checked first.
        simdjson::dom::parser parser;
        if (const auto error = parser.parse(padded).error()) return not_json(error);
    }
    od::parser parser;
    od::document document;
    if (const auto error = parser.iterate(padded).get(document)) return not_json(error);
    std::vector<Signal> signals;
    od::value whole;
    // A lone number or string is no value to On Demand.
    if (document.get_value().get(whole)) return bad("a signal is an object: {\"id\": …}");
    od::array array;
    if (whole.get_array().get(array)) {
        HF_TRY(auto signal, read_signal(whole));
        signals.push_back(std::move(signal));
        return signals;
    }
    for (auto element : array) {
        od::value value;
        if (const auto error = element.get(value)) return not_json(error);
        if (signals.size() == k_signals_max)
            return bad(fmt::format("there are more than {} signals; send them in several requests", k_signals_max));
        auto signal = read_signal(value);
        if (!signal) return bad(fmt::format("signal {}: {}", signals.size() + 1, signal.error().message));
        signals.push_back(*std::move(signal));
    }
    if (signals.empty()) return bad("there is no signal in the array");
    return signals;
}

Result<Signal> signal_from_fields(std::span<const std::pair<std::string_view, std::string_view>> fields) {
    Builder builder;
    for (const auto& [name, text] : fields) {
        HF_TRY(const Field field, field_of(name));
        HF_DO(builder.set(field, text));
    }
    return builder.finish();
}

std::string signal_json(const Signal& signal) {
    std::string out;
    member(out, "id", signal.id.text());
    demand(out, signal);
    return out + '}';
}

std::string order_json(const ledger::Order& order) {
    std::string out;
    member(out, "id", order.id.text());
    if (order.child != 0) member(out, "signal", order.signal.text());
    member(out, "state", ledger::name_of(order.state));
    if (!order.symbol.empty()) demand(out, order);
    member(out, "filled", order.filled.text());
    member(out, "filled_value", order.filled_value);
    member(out, "accepted_at", order.accepted_at);
    member(out, "changed_at", order.changed_at);
    if (!order.broker_id.empty()) member(out, "broker_id", order.broker_id);
    if (!order.reason.empty()) member(out, "reason", order.reason);
    return out + '}';
}

}    // namespace holdfast::trade
