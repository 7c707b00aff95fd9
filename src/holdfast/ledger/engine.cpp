#include "holdfast/ledger/engine.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

bool may_be_at_broker(OrderState state) { return state != OrderState::accepted && !is_closed(state); }

}    // namespace

Order outline_of(const ClosedOrder& closed) {
    Order order;
    order.id = order.signal = closed.id;
    order.state = closed.state;
    order.filled = closed.filled;
    return order;
}

Engine::Engine(State state, Rules rules, std::string instance, bool foreign, Now now)
    : state_(std::move(state)),
      rules_(std::move(rules)),
      instance_(std::move(instance)),
      foreign_(foreign),
      now_(now),
      told_(state_.sequence()) {
    for (const auto& [id, order] : state_.book().open()) {
        Running& running = running_[id];
        running.accepted_at = now.mono + -std::max(Duration::zero(), now.wall - order.accepted_at);
        if (may_be_at_broker(order.state)) {
            doubts_at_start_.insert(id);
        } else {
            running.queued = true;
            waiting_.push_back(id);
        }
    }
    // The oldest first, as they would have gone.
    std::ranges::sort(waiting_, {}, [&](const Uuid& id) { return std::pair(state_.book().find(id)->accepted_at, id); });
    timers_.push({now.mono, {}, ++timer_last_});    // a first look at what has expired meanwhile
}

const Order* Engine::note(FactData data) {
    if (!std::holds_alternative<SinkConfirmed>(data)) told_ = state_.sequence() + 1;
    out_->facts.push_back({now_.wall, std::move(data)});
    return state_.apply(state_.sequence() + 1, out_->facts.back());
}

unsigned Engine::bars() const {
    unsigned bars = 0;
    if (!lease_) bars |= static_cast<unsigned>(Bar::lease);
    if (!link_) bars |= static_cast<unsigned>(Bar::link);
    if (!doubts_at_start_.empty()) bars |= static_cast<unsigned>(Bar::in_doubt);
    if (!stores_) bars |= static_cast<unsigned>(Bar::stores);
    if (!state_.trading_on()) bars |= static_cast<unsigned>(Bar::paused);
    return bars;
}

std::optional<Instant> Engine::next_wake() const {
    if (timers_.empty()) return std::nullopt;
    return timers_.top().at;
}

void Engine::step(const Input& input, Now now, Output& out) {
    now_ = now;
    out_ = &out;
    if (lease_ && now.mono >= lease_until_) lease_ = false;
    std::visit([&](const auto& what) { take(what); }, input);
    begin_waiting();
    out_ = nullptr;
}

Duration Engine::age_of(const Order& order, const Running& running) const {
    return std::max(now_.mono - running.accepted_at, now_.wall - order.accepted_at);
}

bool Engine::is_past(const Order& order, const Running& running, std::string& why) const {
    if (order.deadline.nanoseconds != 0 && now_.wall > order.deadline) {
        why = "its deadline has passed";
        return true;
    }
    const Duration age = age_of(order, running);
    if (order.attempts == 0 && order.child == 0) {
        const bool told = order.created_at.nanoseconds != 0;
        if (age > rules_.signal_ttl || (told && now_.wall - order.created_at > rules_.signal_ttl)) {
            why = "not begun within its time";
            return true;
        }
    } else if (age > rules_.retry_max) {
        why = "could not be brought to the broker within the time for retries";
        return true;
    }
    return false;
}

void Engine::set_timer(const Uuid& id, Wait wait, Duration after) {
    Running& running = running_of(id);
    running.wait = wait;
    running.timer = ++timer_last_;
    timers_.push({now_.mono + after, id, running.timer});
}

// ---- signals

void Engine::take(const SignalArrived& input) {
    const Signal& signal = input.signal;
    if (auto fault = fault_of(signal)) return act(Answer{input.ticket, Verdict::refused, {}, std::move(*fault)});
    if (const Order* known = state_.book().find(signal.id))
        return act(Answer{input.ticket, Verdict::duplicate, *known, {}});
    if (const ClosedOrder* closed = state_.remembered().find_order(signal.id))
        return act(Answer{input.ticket, Verdict::duplicate, outline_of(*closed), {}});
    if (!lease_)
        return act(Answer{input.ticket, Verdict::unavailable, {}, "this instance does not trade the account now"});
    if (state_.book().open().size() >= rules_.open_max)
        return act(Answer{input.ticket, Verdict::unavailable, {}, "too many orders are open"});
    const Order* order = note(SignalAccepted{signal});
    act(Answer{input.ticket, Verdict::accepted, *order, {}});
    if (is_closed(order->state))
        return notify(Severity::warning, signal.id, "was executed already, by another instance");
    running_of(signal.id).accepted_at = now_.mono;
    running_of(signal.id).queued = true;
    waiting_.push_back(signal.id);
    set_timer(signal.id, Wait::expiry, rules_.signal_ttl + std::chrono::milliseconds(1));
}

void Engine::begin_waiting() {
    // Through the open gate in the order in which they came; each is looked at once.
    while (bars() == 0 && !waiting_.empty()) {
        const Uuid id = waiting_.front();
        waiting_.pop_front();
        const auto running = running_.find(id);
        if (running == running_.end() || !running->second.queued) continue;
        running->second.queued = false;
        try_begin(id);
    }
}

void Engine::try_begin(const Uuid& id) {
    const Order* order = state_.book().find(id);
    if (order == nullptr || order->state != OrderState::accepted) return;
    Running& running = running_of(id);
    std::string why;
    if (is_past(*order, running, why))
        return close(id, order->attempts == 0 ? OrderState::expired : OrderState::failed, std::move(why));
    const bool foreign = order->created_at.nanoseconds == 0 || order->created_at <= state_.foreign_until();
    if (order->cancel_requested) return close(id, OrderState::cancelled, "cancelled before it was sent");
    if (state_.foreign_until().nanoseconds != 0 && foreign && !running.asked_first) return ask(id);
    order = note(OrderIntended{id, order->attempts + 1, 0, {}, {}});
    running.question = 0;
    running.cancel_sent = false;
    clear_timer(running);
    act(Send{*order, lease_until_});
}

void Engine::take(const HandedOver& input) {
    const Order* order = state_.book().find(input.order);
    if (order == nullptr || order->attempts != input.attempt) return;
    if (!input.sent) {
        // An answer that came before this one counts more: then it did leave.
        if (order->state == OrderState::intended) failed_attempt(*order, input.reason);
        return;
    }
    if (order->state != OrderState::intended) return;
    note(OrderSent{input.order, input.attempt});
    if (link_) set_timer(input.order, Wait::answer, rules_.answer_max);
}

void Engine::failed_attempt(const Order& order, std::string reason) {
    const Uuid id = order.id;
    const std::uint32_t attempts = order.attempts;
    settled(id);
    const Order* after = note(AttemptFailed{id, attempts, reason});
    Running& running = running_of(id);
    running.question = 0;
    running.asked_first = true;    // it is certain that the broker has no order of this ID
    std::string why;
    if (after->cancel_requested) return close(id, OrderState::cancelled, "cancelled before it reached the broker");
    if (is_past(*after, running, why)) return close(id, OrderState::failed, why + ": " + reason);
    if (attempts <= rules_.retries.size()) return set_timer(id, Wait::retry, rules_.retries[attempts - 1]);
    if (attempts == rules_.retries.size() + 1) {
        note(OrderParked{id, reason});
        notify(Severity::error, id,
               fmt::format("could not be sent in {} attempts: {}; it is tried every minute", attempts, reason));
    } else {
        note(OrderParked{id, reason});
    }
    set_timer(id, Wait::retry, rules_.parked_retry);
}

void Engine::close(const Uuid& id, OrderState state, std::string reason) {
    const Severity severity =
        state == OrderState::cancelled || state == OrderState::expired ? Severity::warning : Severity::error;
    notify(severity, id, fmt::format("{}: {}", name_of(state), reason));
    note(OrderClosed{id, state, std::move(reason)});
    settled(id);
    running_.erase(id);
}

// ---- the broker

void Engine::ask(const Uuid& id) {
    Running& running = running_of(id);
    if (!link_) return clear_timer(running);    // asked when the link is up
    running.question = ++question_last_;
    running.cancel_sent = false;    // should it have been lost, it goes again with the answer
    running.ask_again = running.ask_again == Duration::zero() ? rules_.ask_again
                                                              : std::min(running.ask_again * 2, rules_.ask_again_max);
    act(Ask{*state_.book().find(id), running.question});
    set_timer(id, Wait::ask_again, running.ask_again);
}

void Engine::settled(const Uuid& id) {
    doubts_at_start_.erase(id);
    if (const auto running = running_.find(id); running != running_.end()) {
        clear_timer(running->second);
        running->second.question = 0;
        running->second.ask_again = {};
    }
}

void Engine::link_up() {
    link_ = true;
    ask_for_all();
}

void Engine::ask_for_all() {
    // All that may be at the broker is asked for: what happened while we were away comes with the answers.
    std::vector<Uuid> ids;
    for (const auto& [id, order] : state_.book().open())
        if (may_be_at_broker(order.state) || running_of(id).wait == Wait::ask_again) ids.push_back(id);
    std::ranges::sort(ids);
    for (const Uuid& id : ids) {
        running_of(id).ask_again = {};
        ask(id);
    }
}

void Engine::take(const BrokerSaid& input) {
    const Report& report = input.report;
    switch (report.kind) {
        case ReportKind::link_up:
            return link_up();
        case ReportKind::link_down:
            link_ = false;
            for (auto& [id, running] : running_)
                if (running.wait == Wait::answer || running.wait == Wait::ask_again) running.timer = 0;
            return;
        case ReportKind::executed:
            return executed(report);
        case ReportKind::changed:
            return notify(Severity::error, report.order, report.text);
        default:
            break;
    }
    const Order* order = state_.book().find(report.order);
    if (order == nullptr) {
        // Of one that is closed here, or was never ours: nothing of it can be lost, so it is only said.
        if (report.kind == ReportKind::acked && state_.remembered().find_order(report.order) == nullptr)
            notify(Severity::warning, report.order, "the broker has an order that this journal does not know");
        return;
    }
    const Uuid id = report.order;
    switch (report.kind) {
        case ReportKind::acked: {
            settled(id);
            if (order->state < OrderState::acked || (order->broker_id.empty() && !report.broker_id.empty()))
                order = note(OrderAcked{id, report.broker_id});
            set_timer(id, Wait::answer, rules_.look_again);
            if (order->cancel_requested && !running_of(id).cancel_sent) {
                running_of(id).cancel_sent = true;
                act(Cancel{*order});
            }
            return;
        }
        case ReportKind::rejected:
            if (order->filled.positive()) return closed_at_broker(*order, report);
            return close(id, OrderState::rejected, report.text);
        case ReportKind::cancelled:
            return closed_at_broker(*order, report);
        case ReportKind::cancel_refused:
            notify(Severity::warning, id, "the broker did not cancel it: " + report.text);
            running_of(id).cancel_sent = false;
            return ask(id);
        case ReportKind::unknown: {
            Running& running = running_of(id);
            // Only the answer to a question that was put after the last sending proves anything.
            if (report.question == 0 || report.question != running.question) return;
            if (order->state == OrderState::accepted) {
                if (order->filled.positive())
                    return close(id, OrderState::failed, "it was executed in part, and the broker does not know it");
                settled(id);
                running.asked_first = true;
                if (!running.queued) {
                    running.queued = true;
                    waiting_.push_front(id);
                }
                return set_timer(id, Wait::expiry, std::chrono::milliseconds(1));
            }
            if (order->state == OrderState::intended || order->state == OrderState::sent)
                return failed_attempt(*order, "the broker does not know it");
            return close(id, OrderState::failed, "the broker had it and does not know it any more");
        }
        default:
            return;
    }
}

void Engine::executed(const Report& report) {
    Execution execution = report.execution;
    execution.order = report.order;
    if (state_.remembered().has_execution(execution.id)) return;
    const Order* order = state_.book().find(execution.order);
    if (order != nullptr) {
        execution.signal = order->signal;
        execution.symbol = order->symbol;
        execution.side = order->side;
        if (order->state == OrderState::accepted)
            notify(Severity::error, order->id, "executed although it was not known to be at the broker");
    } else {
        execution.signal = execution.order;
        notify(Severity::warning, execution.order, "executed after it was closed here, or not ours");
    }
    const Uuid id = execution.order;
    order = note(OrderExecuted{std::move(execution)});
    if (order == nullptr) return;
    if (order->remainder().units < 0) notify(Severity::error, id, "filled beyond its quantity");
    if (is_closed(order->state)) {
        settled(id);
        running_.erase(id);
        return;
    }
    // It tells that the order is there, but not whether more had come before: a question that is open stays open.
    if (running_of(id).wait != Wait::ask_again) set_timer(id, Wait::answer, rules_.look_again);
    if (order->cancel_requested && !running_of(id).cancel_sent) {
        running_of(id).cancel_sent = true;
        act(Cancel{*order});
    }
}

void Engine::closed_at_broker(const Order& order, const Report& report) {
    const Uuid id = order.id;
    Running& running = running_of(id);
    if (report.cumulative > order.filled) {
        // Executions of it are still on their way: until they are here, what is left of it is not certain.
        if (running.wait != Wait::ask_again) ask(id);
        return;
    }
    const bool go_on = rules_.resume_remainder && order.filled.positive() && order.remainder().positive() &&
                       !order.cancel_requested && report.kind == ReportKind::cancelled &&
                       order.child < rules_.children_max;
    std::string why;
    if (!go_on || is_past(order, running, why)) {
        return close(id,
                     order.filled.positive() || report.kind == ReportKind::cancelled ? OrderState::cancelled
                                                                                     : OrderState::rejected,
                     report.text.empty() ? "closed by the broker" : report.text);
    }
    // The gate counts for a child as for any order; the parent stays open and is asked for again until it may go.
    const unsigned other_bars = bars() & ~static_cast<unsigned>(Bar::in_doubt);
    if (other_bars != 0) {
        doubts_at_start_.erase(id);
        running.ask_again = rules_.ask_again / 2;
        return set_timer(id, Wait::ask_again, rules_.ask_again);
    }
    const Order child = child_of(order, now_.wall);
    if (state_.book().find(child.id) != nullptr || state_.remembered().find_order(child.id) != nullptr)
        return close(id, OrderState::cancelled,
                     fmt::format("closed by the broker; the remainder went on as child {}", child.child));
    if (state_.foreign_until().nanoseconds == 0) return send_child(id);
    asked_children_[child.id] = {id, ++question_last_};
    act(Ask{child, question_last_});
    set_timer(id, Wait::ask_again, rules_.ask_again);
}

void Engine::send_child(const Uuid& parent) {
    const Order child = child_of(*state_.book().find(parent), now_.wall);
    const Order* next = note(OrderIntended{child.id, 1, child.child, parent, child.quantity});
    running_of(child.id).accepted_at = now_.mono;
    act(Send{*next, lease_until_});
    close(parent, OrderState::cancelled,
          fmt::format("closed by the broker; the remainder goes on as child {}", child.child));
}

/// A report about a child that was asked for. True: nothing more is to be done with it.
bool Engine::adopt_child(const Report& report) {
    const auto asked = asked_children_.find(report.order);
    if (asked == asked_children_.end()) return false;
    const AskedChild child = asked->second;
    const Order* parent = state_.book().find(child.parent);
    if (report.kind == ReportKind::unknown) {
        if (report.question != child.question) return true;
        asked_children_.erase(asked);
        if (parent == nullptr) return true;
        if (bars() == 0) {
            send_child(child.parent);
        } else {
            set_timer(child.parent, Wait::ask_again, rules_.ask_again);
        }
        return true;
    }
    asked_children_.erase(asked);
    if (parent == nullptr || state_.book().find(report.order) != nullptr) return false;
    Order found = child_of(*parent, now_.wall);
    found.state = OrderState::sent;
    found.attempts = 1;
    const std::uint32_t number = found.child;
    note(OrderFound{std::move(found), {}, "broker"});
    running_of(report.order).accepted_at = now_.mono;
    set_timer(report.order, Wait::answer, rules_.answer_max);
    close(child.parent, OrderState::cancelled,
          fmt::format("closed by the broker; the remainder went on as child {}", number));
    return false;
}

// ---- people, leases, stores

void Engine::take(const CancelAsked& input) {
    const Order* order = state_.book().find(input.order);
    if (order == nullptr) {
        const ClosedOrder* closed = state_.remembered().find_order(input.order);
        if (closed == nullptr) return act(Answer{input.ticket, Verdict::refused, {}, "no such order"});
        return act(Answer{input.ticket, Verdict::duplicate, outline_of(*closed), "it is closed already"});
    }
    if (order->state == OrderState::accepted && running_of(input.order).question == 0) {
        Order copy = *order;
        close(input.order, OrderState::cancelled, "cancelled before it was sent");
        copy.state = OrderState::cancelled;
        return act(Answer{input.ticket, Verdict::accepted, std::move(copy), {}});
    }
    if (!order->cancel_requested) order = note(CancelRequested{input.order});
    act(Answer{input.ticket, Verdict::accepted, *order, {}});
    Running& running = running_of(input.order);
    if (order->state >= OrderState::acked && link_ && !running.cancel_sent) {
        running.cancel_sent = true;
        act(Cancel{*order});
    }
}

void Engine::take(const LeaseChanged& input) {
    if (!input.held) {
        lease_ = false;
        return;
    }
    lease_ = true;
    lease_until_ = input.not_after;
    if (session_ && input.token == state_.token()) return;
    // Nobody else held the lease if the one before is this journal's own, or it is still the same.
    const bool others = input.token != state_.token() && input.previous != state_.token();
    note(SessionStarted{instance_, input.token, foreign_ || others});
    foreign_ = false;
    session_ = true;
}

void Engine::take(const StoresTold& input) {
    if (state_.stores_due() && input.token == state_.token()) note(StoresAsked{input.token});
}

void Engine::take(const StoresAgreed&) { stores_ = true; }

void Engine::take(const SwitchTurned& input) {
    if (state_.trading_on() != input.on) note(TradingSwitched{input.on, input.who});
}

void Engine::take(const SinkAdvanced& input) {
    const Sequence known = state_.confirmed(input.sink);
    // Not for a confirmation of confirmations alone, or each would call for the next. But a store that went back is noted, so
    // that the journal keeps what it lacks.
    if (input.sequence < known || (input.sequence > known && known < told_))
        note(SinkConfirmed{input.sink, input.sequence});
}

void Engine::take(const FoundInStore& input) {
    if (state_.book().find(input.order.id) != nullptr || state_.remembered().find_order(input.order.id) != nullptr)
        return;
    note(OrderFound{input.order, input.executions, input.where});
    if (!is_closed(input.order.state)) {
        Running& running = running_of(input.order.id);
        running.accepted_at = now_.mono + -std::max(Duration::zero(), now_.wall - input.order.accepted_at);
        doubts_at_start_.insert(input.order.id);
        ask(input.order.id);
    }
}

void Engine::take(const DropPending& input) {
    std::vector<Uuid> ids;
    for (const auto& [id, order] : state_.book().open())
        if (order.state == OrderState::accepted && running_of(id).question == 0) ids.push_back(id);
    std::ranges::sort(ids);
    for (const Uuid& id : ids) close(id, OrderState::failed, input.reason);
}

void Engine::take(const LookAgain&) {
    if (link_) ask_for_all();
}

void Engine::take(const TimePassed&) {
    while (!timers_.empty() && timers_.top().at <= now_.mono) {
        const Timer timer = timers_.top();
        timers_.pop();
        if (timer.order.is_nil()) {
            for (const Uuid& id : std::vector(waiting_.begin(), waiting_.end()))
                if (running_of(id).timer == 0) set_timer(id, Wait::expiry, Duration::zero());
            continue;
        }
        const auto at = running_.find(timer.order);
        if (at == running_.end() || at->second.timer != timer.number) continue;
        const Wait wait = at->second.wait;
        clear_timer(at->second);
        const Order* order = state_.book().find(timer.order);
        if (order == nullptr) continue;
        switch (wait) {
            case Wait::none:
                break;
            case Wait::answer:
                ask(timer.order);
                break;
            case Wait::ask_again:
                // A question before the first sending waits no longer than the signal may.
                if (std::string why; order->state == OrderState::accepted && is_past(*order, at->second, why))
                    close(timer.order, OrderState::expired, std::move(why));
                else
                    ask(timer.order);
                break;
            case Wait::expiry:
            case Wait::retry: {
                std::string why;
                if (is_past(*order, at->second, why)) {
                    close(timer.order, order->attempts == 0 ? OrderState::expired : OrderState::failed, std::move(why));
                    break;
                }
                if (!at->second.queued) {
                    at->second.queued = true;
                    waiting_.push_back(timer.order);
                }
                // It may wait at the gate until it is too old; then this looks again.
                set_timer(timer.order, Wait::expiry, std::chrono::seconds(1));
                break;
            }
        }
    }
}

}    // namespace holdfast::ledger
