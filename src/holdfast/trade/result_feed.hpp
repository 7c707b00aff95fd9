#pragma once
// The newest changes of orders, in memory, for producers that wait for results. What is older than the feed reaches is asked for by
// the order's ID.
//
//   memory    the last `size` changes
//   threads   any

#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/ledger/model.hpp"
#include "holdfast/ledger/record.hpp"

namespace holdfast::trade {

struct OrderChange {
    ledger::Sequence sequence = 0;    // of the fact that changed it; only grows
    ledger::Order order;    // after it
};

struct ResultPage {
    std::vector<OrderChange> changes;
    ledger::Sequence next = 0;    // what to ask for after this
    bool gap = false;    // changes between `after` and the first one here are no longer in the feed
};

class ResultFeed {
public:
    /// `begin`: the journal's last sequence when this engine started. What came before is a gap.
    explicit ResultFeed(ledger::Sequence begin, std::size_t size = 16384) : size_max_(size), forgotten_(begin) {}

    void publish(ledger::Sequence sequence, ledger::Order order);
    /// Changes after `after`, at most `max`; waits up to `wait` for the first one.
    ResultPage read(ledger::Sequence after, std::size_t max, Duration wait) const;
    /// Where the feed stands: what a reader that wants only news begins with.
    ledger::Sequence last() const;
    /// Nobody waits any more.
    void close();

private:
    const std::size_t size_max_;
    mutable std::mutex mutex_;
    mutable std::condition_variable news_;
    std::deque<OrderChange> changes_;
    ledger::Sequence forgotten_;    // the last one that is not here any more
    bool closed_ = false;
};

}    // namespace holdfast::trade
