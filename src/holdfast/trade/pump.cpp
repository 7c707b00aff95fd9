#include "holdfast/trade/pump.hpp"

namespace holdfast::trade {

Pump::Pump(ledger::Engine engine, Log& log, broker::Broker& broker, const Clock& clock, Listener& listener)
    : engine_(std::move(engine)),
      log_(log),
      broker_(broker),
      clock_(clock),
      listener_(listener),
      appended_(engine_.state().sequence()) {}

void Pump::feed(const ledger::Input& input) {
    if (const auto* signal = std::get_if<ledger::SignalArrived>(&input))
        if (auto trouble = log_.trouble())
            return listener_.answered({signal->ticket, ledger::Verdict::unavailable, {}, std::move(*trouble)});
    output_.clear();
    engine_.step(input, now(), output_);
    for (const ledger::Fact& fact : output_.facts) {
        payload_.clear();
        append_fact(payload_, fact);
        appended_ = log_.append(payload_);
    }
    HF_ASSERT(appended_ == engine_.state().sequence());
    for (ledger::Action& action : output_.actions) pending_.push_back({appended_, std::move(action)});
}

void Pump::release() {
    // Carrying out feeds, and so adds to the end: what is added waits for its own facts.
    while (!pending_.empty() && pending_.front().after <= log_.durable()) {
        ledger::Action action = std::move(pending_.front().action);
        pending_.pop_front();
        carry_out(action);
    }
}

void Pump::carry_out(ledger::Action& action) {
    if (const auto* send = std::get_if<ledger::Send>(&action)) {
        const ledger::Order& order = send->order;
        // The last look before the bytes leave. Between here and the adapter's write there is no wait; docs/trade-path.md
        // says what remains.
        if (clock_.instant() >= send->not_after)
            return feed(ledger::HandedOver{order.id, order.attempts, false, "the lease has ended"});
        const bool sent = broker_.send(order);
        return feed(ledger::HandedOver{order.id, order.attempts, sent, sent ? "" : "the broker is not connected"});
    }
    if (const auto* cancel = std::get_if<ledger::Cancel>(&action)) {
        broker_.cancel(cancel->order);    // not handed over: asked again with the order's state after the reconnect
    } else if (const auto* ask = std::get_if<ledger::Ask>(&action)) {
        broker_.query(ask->order, ask->question);    // not handed over: the engine asks again
    } else if (const auto* answer = std::get_if<ledger::Answer>(&action)) {
        listener_.answered(*answer);
    } else if (const auto* notify = std::get_if<ledger::Notify>(&action)) {
        listener_.notified(*notify);
    }
}

}    // namespace holdfast::trade
