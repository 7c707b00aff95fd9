#pragma once
// Keeps one sink level with the journal, on a thread of its own: it reads durable changes from the sink's own watermark on and
// hands them over as SinkPolicy says. A sink that is down holds nothing up but itself.
//
//   start     the first attempt is made at once, so what failed before is tried within the first second
//   memory    one batch, two while whole ones wait
//   restart   there is no state of its own: the sink's watermark says where to go on
//   errors    logged and counted; what the profile says is told by `notify`. mismatch: the store holds facts of this journal
//             that it does not have (somebody put an older copy in its place), and is left alone until resume()

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "holdfast/trade/failed_syncs.hpp"
#include "holdfast/trade/sink.hpp"
#include "holdfast/trade/sink_policy.hpp"

namespace holdfast::trade {

/// The journal as a sink sees it. Each projection has one of its own.
///   threads   wait() and durable() may run beside wake() of another thread; else one at a time, not always the same
class ChangeSource {
public:
    virtual ~ChangeSource() = default;
    /// The last fact that no crash can take away any more.
    virtual ledger::Sequence durable() const = 0;
    struct Oldest {
        ledger::Sequence sequence = 1;    // the first that is kept
        bool released = false;    // there were earlier ones; false: the journal, or its identity, begins here
    };
    virtual Result<Oldest> oldest() = 0;
    /// Durable changes after `after`, in order, at most `max`, without gaps from the first of them on. Asking for an older place
    /// than before is allowed (a store went back) and may take its time. The memory of `room` is used for what it returns.
    virtual Result<std::vector<ledger::Change>> read(ledger::Sequence after, std::size_t max,
                                                     std::vector<ledger::Change> room = {}) = 0;
    /// Until something after `after` is durable, at most so long; earlier when wake() was called.
    virtual void wait(ledger::Sequence after, Duration at_most) = 0;
    virtual void wake() = 0;
};

struct ProjectionStatus {
    std::string sink;
    SinkState state = SinkState::following;
    ledger::Sequence watermark = 0;    // what the store was last seen to hold
    ledger::Sequence durable = 0;
    /// Up to here it needs nothing: what follows the watermark matters to the journal only.
    ledger::Sequence level = 0;
    std::uint64_t backlog = 0;    // facts between that and the last one; all, until the store has been asked
    std::uint64_t written = 0;    // facts that this process has written
    std::uint64_t batches = 0;
    unsigned attempts = 0;    // that failed in a row
    std::string error;    // of the last attempt; empty when it succeeded
    /// Facts that the store lacks and the journal no longer holds: (first, last); 0: none.
    ledger::Sequence hole_first = 0, hole_last = 0;
};

struct ProjectionOptions {
    SinkProfile profile;
    /// What the user has to be told, with the remedy.
    std::function<void(const Error&)> notify;
    /// The store holds everything up to there: for SinkConfirmed.
    std::function<void(ledger::Sequence)> confirmed;
    FailedSyncs* failed_syncs = nullptr;    // outlives the projection; null: nothing is written there
};

class Projection {
public:
    /// Begins at once. All that is handed over outlives it or is owned by it.
    Projection(std::unique_ptr<Sink> sink, std::unique_ptr<ChangeSource> source, const Clock& clock,
               ProjectionOptions options);
    /// Stops after the batch that is under way; what was not written is written after the next start.
    ~Projection();

    ProjectionStatus status() const;
    /// Ends a suspension.
    void resume();
    /// Until the store needs nothing up to `sequence`, at most so long; false: not yet.
    bool wait_for(ledger::Sequence sequence, Duration at_most) const;
    Sink& sink() { return *sink_; }

private:
    void run();
    /// One look: reads, and writes when it is time. Returns how long nothing is to be done.
    Duration step();
    Result<std::vector<ledger::Change>> read(ledger::Sequence after);
    Status write();
    Status find_mark();
    void failed(const Error& error);
    void publish(const std::function<void(ProjectionStatus&)>& change);

    const std::unique_ptr<Sink> sink_;
    const std::unique_ptr<ChangeSource> source_;
    const Clock& clock_;
    const ProjectionOptions options_;
    SinkPolicy policy_;    // guarded by mutex_: resume() comes from other threads
    std::optional<ledger::Sequence> mark_;    // nullopt: has to be asked for
    std::vector<ledger::Change> batch_;    // what follows after_
    ledger::Sequence after_ = 0;
    std::vector<ledger::Change> ahead_;    // read while the batch was written: what follows it
    std::vector<ledger::Change> spare_;    // empty: memory for the next batch
    bool tried_ = false;    // the batch stays as it is: it may be in the store
    bool doubted_ = false;    // the store went back, and nothing was written since
    std::optional<Timestamp> failing_since_;
    bool parked_ = true;    // a row may be in failed_syncs, of this process or an earlier one

    mutable std::mutex mutex_;
    mutable std::condition_variable moved_;
    ProjectionStatus status_;
    std::atomic<bool> ending_ = false;
    std::thread thread_;
};

}    // namespace holdfast::trade
