#include "holdfast/broker/paper_book.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace holdfast::broker {
namespace {

using Kind = PaperEvent::Kind;
using State = PaperOrder::State;

constexpr std::array<std::string_view, 7> k_kinds = {"received",  "acked",     "executed",    "rejected",
                                                     "cancelled", "duplicate", "cancel_asked"};
constexpr std::array<std::string_view, 8> k_reports = {"link_up",  "link_down", "acked",          "executed",
                                                       "rejected", "cancelled", "cancel_refused", "unknown"};

std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

double share(std::uint64_t luck) { return static_cast<double>(luck >> 11) * 0x1p-53; }

std::uint64_t hash_of(std::string_view text) {
    std::uint64_t x = 0xcbf29ce484222325u;
    for (const char c : text) x = (x ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    return x;
}

// Lévy's construction of a random walk, summed up from its coarse steps to its fine ones: any step of it is found without
// the ones before it. In steps of one standard deviation.
double walk_at(std::uint64_t seed, std::uint64_t step) {
    constexpr int k_levels = 20;
    double sum = 0;
    for (int level = 0; level < k_levels; ++level) {
        const std::uint64_t cell = step >> level, width = std::uint64_t(1) << level;
        const double within = static_cast<double>(step & (width - 1)) / static_cast<double>(width);
        const auto noise = [&](std::uint64_t at) {
            return 2 * share(mix(seed ^ mix(at * 32 + std::uint64_t(level)))) - 1;
        };
        sum += std::sqrt(static_cast<double>(width)) * (noise(cell) * (1 - within) + noise(cell + 1) * within);
    }
    return sum;
}

Result<Uuid> uuid_of(const json::Value& value, std::string_view what) {
    const auto id = Uuid::parse(value.text());
    if (!id) return fail(ErrorCode::corrupt, fmt::format("{}: not a UUID", what));
    return *id;
}

Result<Decimal> decimal_of(const json::Value& value) {
    if (value.is_null()) return Decimal{};
    return Decimal::parse(value.text());
}

json::Value execution_json(const ledger::Execution& execution) {
    return json::Value::object({{"id", execution.id},
                                {"order", execution.order.text()},
                                {"symbol", execution.symbol},
                                {"side", ledger::name_of(execution.side)},
                                {"quantity", execution.quantity.text()},
                                {"price", execution.price.text()},
                                {"executed_at", execution.executed_at.nanoseconds}});
}

Result<ledger::Execution> execution_of_json(const json::Value& value) {
    ledger::Execution execution;
    execution.id = value["id"].text();
    const auto side = ledger::side_of(value["side"].text());
    if (execution.id.empty() || !side) return fail(ErrorCode::corrupt, "not an execution");
    execution.side = *side;
    execution.symbol = value["symbol"].text();
    HF_TRY(execution.order, uuid_of(value["order"], "execution"));
    HF_TRY(execution.quantity, decimal_of(value["quantity"]));
    HF_TRY(execution.price, decimal_of(value["price"]));
    execution.executed_at.nanoseconds = value["executed_at"].integer();
    return execution;
}

}    // namespace

std::string_view name_of(State state) {
    constexpr std::array<std::string_view, 5> names = {"received", "working", "filled", "rejected", "cancelled"};
    return names[static_cast<std::size_t>(state)];
}

json::Value to_json(const Report& report) {
    json::Value value = json::Value::object({{"report", k_reports[static_cast<std::size_t>(report.kind)]}});
    if (!report.order.is_nil()) value.set("order", report.order.text());
    if (!report.broker_id.empty()) value.set("broker_id", report.broker_id);
    if (report.kind == ReportKind::executed) value.set("execution", execution_json(report.execution));
    if (report.cumulative.units != 0) value.set("cumulative", report.cumulative.text());
    if (report.question != 0) value.set("question", report.question);
    if (!report.text.empty()) value.set("text", report.text);
    return value;
}

Result<Report> report_of_json(const json::Value& value) {
    const auto kind = std::ranges::find(k_reports, value["report"].text());
    if (kind == k_reports.end()) return fail(ErrorCode::corrupt, "a report of unknown kind");
    Report report;
    report.kind = static_cast<ReportKind>(kind - k_reports.begin());
    HF_TRY(report.order, uuid_of(value["order"], "report"));
    report.broker_id = value["broker_id"].text();
    if (report.kind == ReportKind::executed) {
        HF_TRY(report.execution, execution_of_json(value["execution"]));
    }
    HF_TRY(report.cumulative, decimal_of(value["cumulative"]));
    report.question = value["question"].natural();
    report.text = value["text"].text();
    return report;
}

json::Value to_json(const ledger::Order& order) {
    json::Value value = json::Value::object({{"id", order.id.text()},
                                             {"signal", order.signal.text()},
                                             {"symbol", order.symbol},
                                             {"side", ledger::name_of(order.side)},
                                             {"type", ledger::name_of(order.type)},
                                             {"quantity", order.quantity.text()}});
    if (order.child != 0) value.set("child", order.child);
    if (order.price.positive()) value.set("price", order.price.text());
    if (order.stop_loss.positive()) value.set("stop_loss", order.stop_loss.text());
    if (order.take_profit.positive()) value.set("take_profit", order.take_profit.text());
    return value;
}

Result<ledger::Order> order_of_json(const json::Value& value) {
    ledger::Order order;
    HF_TRY(order.id, uuid_of(value["id"], "order"));
    HF_TRY(order.signal, uuid_of(value["signal"], "order"));
    const auto side = ledger::side_of(value["side"].text());
    const auto type = ledger::order_type_of(value["type"].text());
    if (!side || !type) return fail(ErrorCode::corrupt, "an order without side or type");
    order.side = *side;
    order.type = *type;
    order.child = static_cast<std::uint32_t>(value["child"].natural());
    order.symbol = value["symbol"].text();
    HF_TRY(order.quantity, decimal_of(value["quantity"]));
    HF_TRY(order.price, decimal_of(value["price"]));
    HF_TRY(order.stop_loss, decimal_of(value["stop_loss"]));
    HF_TRY(order.take_profit, decimal_of(value["take_profit"]));
    return order;
}

// ---- events: the only way to change an order

void PaperBook::note(PaperEvent event) {
    event.number = events_.size() + 1;
    PaperOrder& order = orders_[event.order];
    switch (event.kind) {
        case Kind::received:
            order.received_at = event.at;
            by_id_[order.request.id].push_back(event.order);
            break;
        case Kind::acked:
            order.state = State::working;
            order.broker_id = event.text;
            break;
        case Kind::executed:
            order.filled += event.execution.quantity;
            order.executions.push_back(events_.size());
            if (!(order.request.quantity - order.filled).positive()) order.state = State::filled;
            break;
        case Kind::rejected:
            order.state = State::rejected;
            order.text = event.text;
            break;
        case Kind::cancelled:
            order.state = State::cancelled;
            order.text = event.text;
            break;
        case Kind::duplicate:
            ++duplicates_;
            break;
        case Kind::cancel_asked:
            order.cancel_asked = true;
            break;
    }
    now_ = std::max(now_, event.at);
    events_.push_back(std::move(event));
}

void PaperBook::note(Kind kind, std::size_t order, Timestamp at, std::string text) {
    PaperEvent event;
    event.kind = kind;
    event.order = order;
    event.at = at;
    event.text = std::move(text);
    note(std::move(event));
}

std::string PaperBook::encode(const PaperEvent& event) const {
    json::Value value = json::Value::object({{"event", k_kinds[static_cast<std::size_t>(event.kind)]},
                                             {"number", event.number},
                                             {"at", event.at.nanoseconds},
                                             {"place", std::uint64_t(event.order)}});
    if (event.kind == Kind::received) value.set("order", to_json(orders_[event.order].request));
    if (event.kind == Kind::executed) value.set("execution", execution_json(event.execution));
    if (!event.text.empty()) value.set("text", event.text);
    return json::dump(value);
}

Status PaperBook::restore(std::string_view encoded) {
    HF_TRY(const json::Value value, json::parse(encoded, "event of the paper book"));
    const auto kind = std::ranges::find(k_kinds, value["event"].text());
    PaperEvent event;
    event.order = value["place"].natural();
    event.at.nanoseconds = value["at"].integer();
    event.text = value["text"].text();
    const auto bad = [&] {
        return fail(ErrorCode::corrupt, fmt::format("event {} of the paper book does not fit", events_.size() + 1));
    };
    if (kind == k_kinds.end() || value["number"].natural() != events_.size() + 1) return bad();
    event.kind = static_cast<Kind>(kind - k_kinds.begin());
    if (event.order > orders_.size() || (event.order == orders_.size()) != (event.kind == Kind::received)) return bad();
    if (event.kind == Kind::received) {
        PaperOrder order;
        HF_TRY(order.request, order_of_json(value["order"]));
        orders_.push_back(std::move(order));
    }
    if (event.kind == Kind::executed) {
        HF_TRY(event.execution, execution_of_json(value["execution"]));
    }
    note(std::move(event));
    return {};
}

void PaperBook::resume(Timestamp now) {
    now_ = std::max(now_, now);
    for (std::size_t place = 0; place < orders_.size(); ++place)
        if (orders_[place].open()) due_.insert({now_, place});
    advance(now_);
}

std::optional<Report> PaperBook::report_of(const PaperEvent& event) const {
    const PaperOrder& order = orders_[event.order];
    Report report;
    report.order = order.request.id;
    report.broker_id = order.broker_id;
    switch (event.kind) {
        case Kind::received:
        case Kind::duplicate:
        case Kind::cancel_asked:
            return std::nullopt;
        case Kind::acked:
            report.kind = ReportKind::acked;
            break;
        case Kind::executed:
            report.kind = ReportKind::executed;
            report.execution = event.execution;
            break;
        case Kind::rejected:
            report.kind = ReportKind::rejected;
            report.text = event.text;
            break;
        case Kind::cancelled:
            report.kind = ReportKind::cancelled;
            report.text = event.text;
            report.cumulative = order.filled;
            break;
    }
    return report;
}

const PaperOrder* PaperBook::find(const Uuid& id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &orders_[found->second.back()];
}

std::vector<Report> PaperBook::answer(const Uuid& id, std::uint64_t question) const {
    std::vector<Report> out;
    Report report;
    report.order = id;
    const auto found = by_id_.find(id);
    if (found == by_id_.end()) {
        report.kind = ReportKind::unknown;
        report.question = question;
        report.text = "unknown order";
        return {report};
    }
    for (const std::size_t place : found->second)
        for (const std::size_t event : orders_[place].executions) out.push_back(*report_of(events_[event]));
    const PaperOrder& order = orders_[found->second.back()];
    report.broker_id = order.broker_id;
    report.text = order.text;
    switch (order.state) {
        case State::received:
        case State::filled:
            return out;
        case State::working:
            report.kind = ReportKind::acked;
            break;
        case State::rejected:
            report.kind = ReportKind::rejected;
            break;
        case State::cancelled:
            report.kind = ReportKind::cancelled;
            report.cumulative = order.filled;
            break;
    }
    out.push_back(report);
    return out;
}

// ---- luck and prices

std::uint64_t PaperBook::luck(const PaperOrder& order, std::uint64_t salt) const {
    const auto& bytes = order.request.id.bytes;
    return mix(mix(rules_.seed ^ load_le<std::uint64_t>(bytes.data())) ^ load_le<std::uint64_t>(bytes.data() + 8) ^
               mix(salt));
}

Duration PaperBook::delay(const PaperOrder& order, std::uint64_t salt) const {
    const auto span = (rules_.delay_max - rules_.delay_min).count();
    if (span <= 0) return rules_.delay_min;
    return rules_.delay_min +
           Duration(static_cast<std::int64_t>(share(luck(order, 100 + salt)) * static_cast<double>(span)));
}

std::optional<Tick> PaperBook::quote(const std::string& symbol, Timestamp at) const {
    if (const auto tick = ticks_.find(symbol); tick != ticks_.end()) return tick->second;
    if (rules_.walk_step <= Duration::zero()) return std::nullopt;
    const auto step = static_cast<std::uint64_t>(at.nanoseconds / rules_.walk_step.count());
    // Exact from here on: a relative move of 0.01 % a step, a spread of 0.02 %.
    const double move = walk_at(mix(rules_.seed ^ hash_of(symbol)), step) * 1e-4;
    const double mid = static_cast<double>(rules_.walk_price.units) * std::exp(std::clamp(move, -4.0, 4.0));
    const auto units = static_cast<std::int64_t>(mid / 1000) * 1000;    // five places
    const std::int64_t half = std::max<std::int64_t>(units / 10'000, 1000);
    return Tick{symbol, Decimal{std::max<std::int64_t>(units - half, 1000)}, Decimal{units + half}, {}};
}

// ---- matching

void PaperBook::submit(const ledger::Order& request, Timestamp now) {
    advance(now);
    if (const auto known = by_id_.find(request.id); known != by_id_.end() && rules_.refuse_duplicates) {
        note(Kind::duplicate, known->second.back(), now_);
        return;
    }
    const std::size_t place = orders_.size();
    PaperOrder order;
    order.request = request;
    orders_.push_back(std::move(order));
    note(Kind::received, place, now_);
    due_.insert({now_ + delay(orders_[place], 0), place});
    advance(now_);
}

bool PaperBook::cancel(const Uuid& id, Timestamp now) {
    advance(now);
    const auto found = by_id_.find(id);
    if (found == by_id_.end() || !orders_[found->second.back()].open()) return false;
    const std::size_t place = found->second.back();
    note(Kind::cancel_asked, place, now_);
    if (orders_[place].state == State::working) note(Kind::cancelled, place, now_, "cancelled on request");
    return true;
}

void PaperBook::tick(const Tick& tick, Timestamp now) {
    advance(now);
    ticks_[tick.symbol] = tick;
    limited_[tick.symbol] = tick.size.positive();
    for (const std::size_t place : std::exchange(waiting_[tick.symbol], {})) due_.insert({now_, place});
    advance(now_);
}

void PaperBook::advance(Timestamp now) {
    while (!due_.empty() && due_.begin()->at <= std::max(now, now_)) {
        const Due due = *due_.begin();
        due_.erase(due_.begin());
        now_ = std::max(now_, due.at);    // a clock that is put back does not take events back
        PaperOrder& order = orders_[due.order];
        if (order.state == State::received) decide(due.order, now_);
        if (order.state == State::working) match(due.order, now_);
    }
    now_ = std::max(now_, now);
}

std::optional<Timestamp> PaperBook::next_due() const {
    if (due_.empty()) return std::nullopt;
    return due_.begin()->at;
}

void PaperBook::decide(std::size_t place, Timestamp at) {
    const PaperOrder& order = orders_[place];
    const ledger::Order& request = order.request;
    if (!rules_.symbols.empty() && std::ranges::find(rules_.symbols, request.symbol) == rules_.symbols.end())
        return note(Kind::rejected, place, at, "unknown symbol");
    if (!request.quantity.positive()) return note(Kind::rejected, place, at, "the quantity must be positive");
    if (request.type != ledger::OrderType::market && !request.price.positive())
        return note(Kind::rejected, place, at, "a limit or stop order needs a price");
    if (share(luck(order, 1)) < rules_.reject) return note(Kind::rejected, place, at, "no liquidity");
    note(Kind::acked, place, at, fmt::format("P{}", place + 1));
    if (order.cancel_asked) note(Kind::cancelled, place, at, "cancelled on request");
}

// Until there may be a new price.
void PaperBook::wait(std::size_t place, Timestamp at) {
    const std::string& symbol = orders_[place].request.symbol;
    if (rules_.walk_step > Duration::zero() && !ticks_.contains(symbol)) {
        const std::int64_t step = rules_.walk_step.count();
        due_.insert({Timestamp{(at.nanoseconds / step + 1) * step}, place});
    } else {
        waiting_[symbol].insert(place);
    }
}

void PaperBook::match(std::size_t place, Timestamp at) {
    PaperOrder& order = orders_[place];
    const ledger::Order& request = order.request;
    const auto tick = quote(request.symbol, at);
    if (!tick) return wait(place, at);
    const bool buy = request.side == ledger::Side::buy;
    const Decimal price = buy ? tick->ask : tick->bid;
    if (request.type == ledger::OrderType::limit && (buy ? price > request.price : price < request.price))
        return wait(place, at);
    // A stop that has been filled in part has been touched already.
    if (request.type == ledger::OrderType::stop && order.executions.empty() &&
        (buy ? price < request.price : price > request.price))
        return wait(place, at);
    Decimal quantity = request.quantity - order.filled;
    if (share(luck(order, 2)) < rules_.partial) {
        const std::int64_t pieces = 2 + static_cast<std::int64_t>(luck(order, 3) % 3);
        const Decimal piece{request.quantity.units / pieces};
        if (piece.positive() && order.executions.size() + 1 < static_cast<std::size_t>(pieces))
            quantity = std::min(quantity, piece);
    }
    if (const auto limited = limited_.find(request.symbol); limited != limited_.end() && limited->second) {
        Decimal& left = ticks_[request.symbol].size;
        quantity = std::min(quantity, left);
        if (!quantity.positive()) return wait(place, at);
        left = left - quantity;
    }
    PaperEvent event;
    event.kind = Kind::executed;
    event.order = place;
    event.at = at;
    event.execution.id = fmt::format("X{}-{}", place + 1, order.executions.size() + 1);
    // A book that is begun anew must not give its old names again.
    event.execution.id += fmt::format("-{:08x}", luck(order, 4) & 0xffffffff);
    event.execution.order = request.id;
    event.execution.symbol = request.symbol;
    event.execution.side = request.side;
    event.execution.quantity = quantity;
    event.execution.price = price;
    event.execution.executed_at = at;
    note(std::move(event));
    if (order.open()) due_.insert({at + delay(order, order.executions.size() + 1), place});
}

}    // namespace holdfast::broker
