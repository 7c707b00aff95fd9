#include "holdfast/trade/snapshot_keeper.hpp"

#include <utility>

#include "holdfast/base/log.hpp"

namespace holdfast::trade {

SnapshotKeeper::SnapshotKeeper(Journal& journal, ledger::Horizon horizon)
    : journal_(journal), horizon_(horizon), thread_([this] { run(); }) {}

SnapshotKeeper::~SnapshotKeeper() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void SnapshotKeeper::ask(Sequence sequence, Sequence released) {
    {
        const std::lock_guard lock(mutex_);
        asked_ = Order{sequence, released};
    }
    changed_.notify_all();
}

void SnapshotKeeper::finish() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !asked_ && !busy_; });
}

void SnapshotKeeper::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return asked_ || ending_; });
        if (ending_) return;
        const Order order = *std::exchange(asked_, std::nullopt);
        busy_ = true;
        lock.unlock();
        if (auto saved = save(order); !saved)
            log_warning("a state snapshot could not be saved; starts take longer", {{"error", saved.error().message}});
        else if (auto done = journal_.release(order.released); !done)
            log_warning("old journal segments could not be removed", {{"error", done.error().message}});
        lock.lock();
        busy_ = false;
        changed_.notify_all();
    }
}

Status SnapshotKeeper::save(const Order& order) {
    HF_TRY(const FoundSnapshot found, newest_state_snapshot(journal_.disk()));
    if (found.snapshot && found.snapshot->sequence >= order.sequence) return {};
    HF_TRY(const Replayed replayed, replay_state(journal_.disk(), found, horizon_, order.sequence));
    Bytes state;
    replayed.state.append_snapshot(state);
    return journal_.save_snapshot(replayed.state.sequence(), state);
}

}    // namespace holdfast::trade
