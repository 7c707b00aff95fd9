#pragma once
// State snapshots beside the running engine, worked out from what is on the disk as a start does it: the engine's thread, which
// orders wait for, neither encodes nor writes one.
//
//   memory   while one is made, a second state
//   failure  warned of in the log: starts take longer, and the journal keeps its segments
//   threads  calls from any; one of its own

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "holdfast/trade/journal.hpp"
#include "holdfast/trade/replay.hpp"

namespace holdfast::trade {

class SnapshotKeeper {
public:
    /// `journal` outlives it.
    SnapshotKeeper(Journal& journal, ledger::Horizon horizon);
    /// Ends after the one that it is at.
    ~SnapshotKeeper();
    /// Shall be: a snapshot at `sequence`, which is durable; then the release of what every store has, up to `released`. Does
    /// not wait. Of those that are asked for while one is made, only the last one comes about.
    void ask(Sequence sequence, Sequence released);
    /// Returns when all that was asked for is done.
    void finish();

private:
    struct Order {
        Sequence sequence, released;
    };
    void run();
    Status save(const Order& order);

    Journal& journal_;
    const ledger::Horizon horizon_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Order> asked_;
    bool busy_ = false, ending_ = false;
    std::thread thread_;
};

}    // namespace holdfast::trade
