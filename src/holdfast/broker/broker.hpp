#pragma once
// The way to a broker: four verbs out, reports in. A new adapter passes the suite in broker/broker_suite.hpp.
//
//   promises   what an adapter must keep, because the engine's promise of at most one order rests on it:
//              1. sent() is false only when the order certainly never left; anything else is true
//              2. a query is answered `unknown` only when the broker has taken in everything that was sent to it before the
//                 question, on this session and on all earlier ones, and does not know the ID
//              3. executions may come late, twice and again after a reconnect, but none is held back for good: what was
//                 executed while we were away comes after the reconnect or with the answer to a query
//              4. an execution ID is the broker's own, and the same at each repetition
//              5. `rejected` means that no order of this ID exists: a rejection because the ID is known already is answered
//                 by the state of the order that has it
//              6. `cancelled` says in `cumulative` how much the broker has filled of the order in all
//              7. link_up is said when what is sent from then on is read: an adapter whose line throws away what comes too
//                 early (FIX, while a gap in the sequence is filled) waits that out first
//              8. each query that was handed over is answered while the link holds; the answer to one is lost with the link,
//                 and link_down tells of it. A broker may still stay silent: the caller asks again, under a new number
//   threads    start() and stop() from one thread, verbs from one, also while those run; reports come on the adapter's
//              thread(s), in the order in which the broker made them
//   errors     reports, never exceptions; link changes are reports, too

#include <functional>
#include <memory>
#include <string>

#include "holdfast/ledger/report.hpp"

namespace holdfast::broker {

using ledger::Decimal;
using ledger::Uuid;

using ledger::Report;
using ledger::ReportKind;
using ReportSink = std::function<void(Report)>;

class Broker {
public:
    virtual ~Broker();
    /// Connects in the background and keeps reconnecting; reports go to `sink` until stop() returns. Again after a stop(): an
    /// engine that loses its lease ends the session, and begins a new one with the next lease.
    virtual Status start(ReportSink sink) = 0;
    /// True: handed over, and may become an order. False: certainly not (promise 1).
    virtual bool send(const ledger::Order& order) = 0;
    /// False: not handed over.
    virtual bool cancel(const ledger::Order& order) = 0;
    /// Answered by executed for each execution the broker can still tell of, then acked (working), rejected, cancelled or
    /// unknown for its state; for a filled one the executions are the answer. `unknown` carries `question`, because only an
    /// answer to a question that was put after the last sending proves anything. False: not asked.
    virtual bool query(const ledger::Order& order, std::uint64_t question) = 0;
    virtual void stop() = 0;
    /// "paper", "fix: FOO->BAR at host:port"
    virtual std::string name() const = 0;
};

}    // namespace holdfast::broker
