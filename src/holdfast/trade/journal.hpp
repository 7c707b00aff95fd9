#pragma once
// The journal of one account in one folder: what is appended is durable soon, in its order, and stays until it is released.
//
//   promises  append() and commit() never wait for the disk (append does when pending_max bytes wait to be written). One
//             thread writes and syncs; one sync serves all that was appended before it began. A sequence up to durable()
//             survives kill -9 and power loss; nothing else is promised, so acknowledge only then
//   full disk the next segment is reserved early, so that append() says disk_full before what it took is in danger; what
//             was taken waits and is written when there is room. Asked again four times a second
//   failure   a write or sync that fails for any other reason ends this object's work: failure() says why, all later calls
//             return it. Nobody knows then what is on the disk but a new open()
//   threads   append and commit: one; durable, wait, reader, failure, save_snapshot, release: any
//   source    docs/formats/journal.md, docs/decisions/0014-journal.md

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "holdfast/base/clock.hpp"
#include "holdfast/trade/journal_identity.hpp"
#include "holdfast/trade/journal_log.hpp"
#include "holdfast/trade/journal_reader.hpp"
#include "holdfast/trade/state_snapshot.hpp"

namespace holdfast::trade {

class Journal {
public:
    struct Options {
        JournalOptions log;
        /// After this time without work a seal protects the last records against damage that looks like a torn tail.
        Duration seal_after = std::chrono::milliseconds(100);
        unsigned realtime_priority = 0;    // of the thread that writes (os::prefer_this_thread); not given: none
        /// Called by the journal's thread after durable() grew, or when failure() or trouble() changed: to wake an event
        /// loop. Must neither block nor call this journal's append, wait or close.
        std::function<void()> on_change;
    };

    /// Locks the folder, takes the newest valid state snapshot, cuts a torn tail, and starts the writer. locked, corrupt.
    static Result<std::unique_ptr<Journal>> open(const std::string& folder, Options options);
    /// Without close(): as if killed; what was not yet durable may be lost.
    ~Journal();

    /// 1 to ledger::k_payload_max bytes. Written with the next commit().
    Result<Sequence> append(ByteView payload);
    /// What was appended so far shall be durable; does not wait.
    void commit();
    Sequence durable() const { return durable_.load(std::memory_order_acquire); }
    /// Until durable() reached `sequence`, or the time is over: false. Errors: failure().
    Result<bool> wait(Sequence sequence, Duration timeout);
    std::optional<Error> failure() const;
    /// disk_full, while it lasts.
    std::optional<Error> trouble() const;
    /// Writes all that was appended and a seal, then stops. trouble() or failure() when that could not be done.
    Status close();

    const Recovery& recovery() const { return log_->recovery(); }
    const JournalIdentity& identity() const { return identity_; }
    /// As found at open; its state is moved out.
    FoundSnapshot take_snapshot() { return std::move(snapshot_); }
    /// Records from `from` on (0: the oldest); follow with next(durable()). Outlived by this journal.
    Result<JournalReader> reader(Sequence from) const { return JournalReader::open(*disk_, from); }
    /// To read segments and snapshots, any of which release() may remove meanwhile.
    const JournalDisk& disk() const { return *disk_; }

    /// What a restored journal lacked has been asked of broker and stores and is durable: recovery().restored is false from
    /// the next open on.
    Status settle_restored();

    /// `sequence` must be durable.
    Status save_snapshot(Sequence sequence, ByteView state);
    /// All stores have everything up to `sequence`. Removes snapshots and whole segments, but none without which the state at
    /// `sequence`, at any later one, or at the older of the newest two snapshots could not be worked out.
    Status release(Sequence sequence);

private:
    Journal(std::unique_ptr<JournalFolder> disk, Options options)
        : disk_(std::move(disk)), options_(std::move(options)) {}
    void run();
    void publish(std::unique_lock<std::mutex>& lock);
    void stop(bool whole);

    std::unique_ptr<JournalFolder> disk_;
    Options options_;
    FoundSnapshot snapshot_;
    JournalIdentity identity_;
    std::unique_ptr<JournalLog> log_;
    std::atomic<Sequence> durable_ = 0;

    mutable std::mutex mutex_;    // guards the log's appending side and what follows
    std::condition_variable wake_, done_;
    bool wanted_ = false, stop_ = false, abandon_ = false;
    std::mutex upkeep_;    // one snapshot or release at a time
    std::thread writer_;
};

}    // namespace holdfast::trade
