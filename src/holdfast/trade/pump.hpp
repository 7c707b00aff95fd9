#pragma once
// Between the rules and the world: inputs go through the engine, its facts into the journal, and its actions out once all
// facts before them are durable. No threads and no waiting in it: the engine's thread drives it, and so does the simulator.
//
//   promises   no action leaves before the facts of its step and of all steps before are durable; actions leave in order; the
//              lease is looked at immediately before an order is handed over
//   threads    one at a time

#include <deque>
#include <functional>

#include "holdfast/broker/broker.hpp"
#include "holdfast/ledger/engine.hpp"

namespace holdfast::trade {

/// Where facts become durable.
class Log {
public:
    virtual ~Log() = default;
    /// Takes the record over; cannot fail. It is durable when durable() has reached its sequence.
    virtual ledger::Sequence append(ByteView payload) = 0;
    /// All records up to here survive everything but the loss of the disk.
    virtual ledger::Sequence durable() const = 0;
    /// Why nothing becomes durable at the moment (a full disk); nothing: all is well.
    virtual std::optional<std::string> trouble() const { return std::nullopt; }
};

/// Who hears what the engine has to say.
class Listener {
public:
    virtual ~Listener() = default;
    virtual void answered(const ledger::Answer& answer) = 0;
    virtual void notified(const ledger::Notify& notify) = 0;
};

class Pump {
public:
    Pump(ledger::Engine engine, Log& log, broker::Broker& broker, const Clock& clock, Listener& listener);

    /// One input: its facts are appended, its actions wait. While the log is in trouble signals are answered `unavailable`.
    void feed(const ledger::Input& input);
    /// Carries out what is durable by now. What the broker's adapter answers at once (handed over or not) is fed.
    void release();
    /// Until when there is nothing to do but for inputs and the log.
    std::optional<Instant> next_wake() const { return engine_.next_wake(); }
    /// Actions that wait for the log.
    std::size_t pending() const { return pending_.size(); }
    const ledger::Engine& engine() const { return engine_; }

private:
    struct Pending {
        ledger::Sequence after;
        ledger::Action action;
    };
    ledger::Now now() const { return {clock_.now(), clock_.instant()}; }
    void carry_out(ledger::Action& action);

    ledger::Engine engine_;
    Log& log_;
    broker::Broker& broker_;
    const Clock& clock_;
    Listener& listener_;
    std::deque<Pending> pending_;
    ledger::Output output_;
    ledger::Sequence appended_ = 0;
    Bytes payload_;
};

}    // namespace holdfast::trade
