#include "holdfast/ledger/book.hpp"

#include <algorithm>

namespace holdfast::ledger {
namespace {

// What adds up of a broker's words stays within half of 64 bits: a quantity less such a sum is then still a number.
void add(Decimal& to, Decimal what) {
    __extension__ using Wide = __int128;
    to = {static_cast<std::int64_t>(
        std::clamp<Wide>(static_cast<Wide>(to.units) + what.units, INT64_MIN / 2, INT64_MAX / 2))};
}

Order order_of(const Signal& signal, Timestamp at) {
    Order order;
    order.id = order.signal = signal.id;
    order.symbol = signal.symbol;
    order.side = signal.side;
    order.type = signal.type;
    order.quantity = signal.quantity;
    order.price = signal.price;
    order.stop_loss = signal.stop_loss;
    order.take_profit = signal.take_profit;
    order.strategy = signal.strategy;
    order.created_at = signal.created_at;
    order.deadline = signal.deadline;
    order.accepted_at = at;
    return order;
}

}    // namespace

const Order* Book::find(const Uuid& order) const {
    const auto at = open_.find(order);
    return at == open_.end() ? nullptr : &at->second;
}

const Order* Book::close(std::unordered_map<Uuid, Order>::iterator at) {
    closed_ = std::move(at->second);
    open_.erase(at);
    return &closed_;
}

Order child_of(const Order& parent, Timestamp at) {
    Order child = parent;
    child.child = parent.child + 1;
    child.id = child_id(parent.signal, child.child);
    child.state = OrderState::accepted;
    child.attempts = 0;
    child.quantity = parent.remainder();
    child.filled = child.filled_value = {};
    child.broker_id.clear();
    child.reason.clear();
    child.parked = child.cancel_requested = false;
    child.accepted_at = child.changed_at = at;
    return child;
}

void Book::add_orphan(const Uuid& order, Decimal filled, Decimal value) {
    Orphan& orphan = orphans_[order];
    add(orphan.filled, filled);
    add(orphan.filled_value, value);
}

const Order* Book::enter(Order order) {
    if (const auto orphan = orphans_.find(order.id); orphan != orphans_.end()) {
        add(order.filled, orphan->second.filled);
        add(order.filled_value, orphan->second.filled_value);
        orphans_.erase(orphan);
    }
    const Uuid id = order.id;
    const auto at = open_.insert_or_assign(id, std::move(order)).first;
    if (at->second.remainder().positive()) return &at->second;
    at->second.state = OrderState::filled;
    return close(at);
}

const Order* Book::apply(const Fact& fact) {
    const auto touch = [&](const Uuid& id) {
        const auto at = open_.find(id);
        if (at != open_.end()) at->second.changed_at = fact.at;
        return at;
    };
    if (const auto* accepted = std::get_if<SignalAccepted>(&fact.data)) {
        Order order = order_of(accepted->signal, fact.at);
        order.changed_at = fact.at;
        return enter(std::move(order));
    }
    if (const auto* found = std::get_if<OrderFound>(&fact.data)) {
        if (is_closed(found->order.state)) {
            open_.erase(found->order.id);
            closed_ = found->order;
            return &closed_;
        }
        return enter(found->order);
    }
    if (const auto* intended = std::get_if<OrderIntended>(&fact.data)) {
        if (intended->child != 0 && !open_.contains(intended->order)) {
            // It takes over what its parent left unfilled. The parent closes with the next fact, so it is still here.
            const Order* parent = find(intended->parent);
            if (parent == nullptr) return nullptr;
            Order child = child_of(*parent, fact.at);
            child.id = intended->order;
            child.quantity = intended->quantity;
            open_[child.id] = std::move(child);
        }
        const auto at = touch(intended->order);
        if (at == open_.end()) return nullptr;
        at->second.state = OrderState::intended;
        at->second.attempts = intended->attempt;
        at->second.parked = false;
        return &at->second;
    }
    if (const auto* sent = std::get_if<OrderSent>(&fact.data)) {
        const auto at = touch(sent->order);
        if (at == open_.end()) return nullptr;
        if (at->second.state == OrderState::intended) at->second.state = OrderState::sent;
        return &at->second;
    }
    if (const auto* acked = std::get_if<OrderAcked>(&fact.data)) {
        const auto at = touch(acked->order);
        if (at == open_.end()) return nullptr;
        if (at->second.state < OrderState::acked)
            at->second.state = at->second.filled.positive() ? OrderState::partially_filled : OrderState::acked;
        if (!acked->broker_id.empty()) at->second.broker_id = acked->broker_id;
        return &at->second;
    }
    if (const auto* executed = std::get_if<OrderExecuted>(&fact.data)) {
        const Execution& execution = executed->execution;
        const Decimal value = product(execution.quantity, execution.price);
        const auto at = touch(execution.order);
        if (at == open_.end()) {
            add_orphan(execution.order, execution.quantity, value);
            return nullptr;
        }
        Order& order = at->second;
        add(order.filled, execution.quantity);
        add(order.filled_value, value);
        if (order.remainder().positive()) {
            order.state = OrderState::partially_filled;
            return &order;
        }
        order.state = OrderState::filled;
        return close(at);
    }
    if (const auto* closed = std::get_if<OrderClosed>(&fact.data)) {
        const auto at = touch(closed->order);
        if (at == open_.end()) return nullptr;
        at->second.state = closed->state;
        at->second.reason = closed->reason;
        return close(at);
    }
    if (const auto* failed = std::get_if<AttemptFailed>(&fact.data)) {
        const auto at = touch(failed->order);
        if (at == open_.end()) return nullptr;
        at->second.state = OrderState::accepted;    // certain that it is not at the broker: may be tried again
        at->second.reason = failed->reason;
        return &at->second;
    }
    if (const auto* parked = std::get_if<OrderParked>(&fact.data)) {
        const auto at = touch(parked->order);
        if (at == open_.end()) return nullptr;
        at->second.parked = true;
        return &at->second;
    }
    if (const auto* cancel = std::get_if<CancelRequested>(&fact.data)) {
        const auto at = touch(cancel->order);
        if (at == open_.end()) return nullptr;
        at->second.cancel_requested = true;
        return &at->second;
    }
    return nullptr;
}

}    // namespace holdfast::ledger
