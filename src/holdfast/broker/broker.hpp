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
//   threads    verbs from one thread; reports come on the adapter's thread(s), in the order in which the broker made them
//   errors     reports, never exceptions; link changes are reports, too

#include <functional>
#include <memory>
#include <string>

#include "holdfast/ledger/model.hpp"

namespace holdfast::broker {

using ledger::Decimal;
using ledger::Uuid;

enum class ReportKind : std::uint8_t {
    link_up,    // logged on, in sequence: verbs may be used
    link_down,
    acked,    // the broker has the order and it is working
    executed,    // `execution` is filled in
    rejected,    // definite, at the broker: it will never be executed
    cancelled,    // closed by the broker with what has been filled so far (cancelled, expired, done for the day)
    cancel_refused,    // the order goes on as it was
    unknown,    // answer to a query: definite (promise 2)
};

struct Report {
    ReportKind kind = ReportKind::link_down;
    Uuid order;    // client order ID; nil for link reports
    std::string broker_id;    // acked: the broker's name for it
    ledger::Execution execution;    // executed; `signal` is left nil: the engine knows it
    std::string text;    // the broker's reason, for people
};

using ReportSink = std::function<void(Report)>;

class Broker {
public:
    virtual ~Broker() = default;
    /// Connects in the background and keeps reconnecting; reports go to `sink` until stop() returns.
    virtual Status start(ReportSink sink) = 0;
    /// True: handed over, and may become an order. False: certainly not (promise 1).
    virtual bool send(const ledger::Order& order) = 0;
    /// False: not handed over.
    virtual bool cancel(const ledger::Order& order) = 0;
    /// Answered by acked (working), executed for each execution the broker can still tell of, then rejected, cancelled or
    /// acked for its state, or unknown. False: not asked.
    virtual bool query(const Uuid& order, const ledger::Order* known) = 0;
    virtual void stop() = 0;
    /// "paper", "fix: FOO->BAR at host:port"
    virtual std::string name() const = 0;
};

}    // namespace holdfast::broker
