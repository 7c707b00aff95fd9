#pragma once
// An engine that trades with a broker inside this process, which notes when each order reaches it; and the facts of a day that
// such an engine has behind it.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "holdfast/broker/broker.hpp"
#include "holdfast/ledger/fact.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/trade/service.hpp"

namespace holdfast::bench {

/// The n-th signal of a producer: IDs of version 7, as they come.
ledger::Signal signal_number(std::uint64_t n);

/// Facts of `count` orders: accepted, intended, sent, acked, and as many executions as are wanted, the last of which fills it;
/// of the last `open` ones it leaves something over.
struct Day {
    std::uint64_t count = 0, open = 0;
    unsigned executions = 6;
    void each_fact(const std::function<void(const ledger::Fact&)>& take) const;
    /// Into an empty journal; returns when all are durable. The last one.
    Result<ledger::Sequence> write(trade::Journal& journal) const;
};

/// Fills each market order at once; a limit order works for ever.
class InstantBroker final : public broker::Broker {
public:
    using Sent = std::function<void(const ledger::Order&)>;
    explicit InstantBroker(Sent sent) : sent_(std::move(sent)) {}
    Status start(broker::ReportSink sink) override;
    bool send(const ledger::Order& order) override;
    bool cancel(const ledger::Order&) override { return true; }
    bool query(const ledger::Order& order, std::uint64_t question) override;
    void stop() override {}
    std::string name() const override { return "instant"; }

private:
    Sent sent_;
    broker::ReportSink sink_;
};

/// An engine of one instance over the journal in `folder`; `sent` hears of each order that reaches the broker, at that moment.
Result<std::unique_ptr<trade::Service>> open_desk(const std::string& folder, InstantBroker::Sent sent, Clock& clock);
/// Submits the signal until it is taken, within a minute.
Status submit_until_taken(trade::Service& desk, const ledger::Signal& signal);

/// Seconds from handing over each of so many signals a second until the broker has its order.
class SignalLatency {
public:
    /// A desk of its own in `folder`.
    static Result<std::unique_ptr<SignalLatency>> open(const std::string& folder);
    /// As long as `more` says so.
    Result<std::vector<double>> measure(double per_second, const std::function<bool()>& more);

private:
    void sent(const ledger::Order& order);

    os::SystemClock clock_;
    // No lock: the engine must not wait for the one who measures.
    std::vector<double> took_;    // the engine's, until all that was handed over has arrived
    std::atomic<std::uint64_t> arrived_ = 0;
    std::uint64_t handed_over_ = 0;
    std::uint64_t next_ = 1'000'000'000;    // the number of the next signal
    std::unique_ptr<trade::Service> desk_;
};

}    // namespace holdfast::bench
