#include "holdfast/trade/journal.hpp"

#include <algorithm>

#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::trade {
namespace {

/// How often a full disk is asked again.
constexpr Duration k_retry = std::chrono::milliseconds(250);
constexpr Duration k_long = std::chrono::hours(1);

}    // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::string& folder, Options options) {
    HF_TRY(auto disk, JournalFolder::lock(folder));
    std::unique_ptr<Journal> journal(new Journal(std::move(disk), std::move(options)));
    HF_TRY(journal->snapshot_, newest_state_snapshot(*journal->disk_));
    const auto& snapshot = journal->snapshot_.snapshot;
    HF_TRY(journal->log_, JournalLog::open(*journal->disk_, journal->options_.log, snapshot ? snapshot->sequence : 0));
    HF_TRY(journal->identity_, settle_identity(*journal->disk_, journal->recovery()));
    journal->durable_ = journal->log_->durable();
    journal->writer_ = std::thread([raw = journal.get()] { raw->run(); });
    return journal;
}

Journal::~Journal() { stop(false); }

void Journal::stop(bool whole) {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        abandon_ = !whole;
    }
    wake_.notify_one();
    if (writer_.joinable()) writer_.join();
}

Status Journal::close() {
    stop(true);
    if (auto error = failure()) return fail(*std::move(error));
    // Without room for a next segment all may be well with this one.
    const std::lock_guard lock(mutex_);
    if (log_->durable() < log_->last()) {
        const auto& trouble = log_->trouble();
        return fail(trouble ? *trouble : Error{ErrorCode::internal, "the journal was not written to its end", {}});
    }
    return {};
}

Result<Sequence> Journal::append(ByteView payload) {
    std::unique_lock lock(mutex_);
    while (log_->must_wait(payload.size()) && !stop_) {
        wanted_ = true;
        wake_.notify_one();
        done_.wait(lock);
    }
    HF_ASSERT(!stop_);
    return log_->append(payload);
}

void Journal::commit() {
    {
        const std::lock_guard lock(mutex_);
        wanted_ = true;
    }
    wake_.notify_one();
}

Result<bool> Journal::wait(Sequence sequence, Duration timeout) {
    std::unique_lock lock(mutex_);
    done_.wait_for(lock, timeout, [&] { return log_->durable() >= sequence || log_->failure(); });
    if (log_->durable() >= sequence) return true;
    if (log_->failure()) return fail(*log_->failure());
    return false;
}

std::optional<Error> Journal::failure() const {
    const std::lock_guard lock(mutex_);
    return log_->failure();
}

std::optional<Error> Journal::trouble() const {
    const std::lock_guard lock(mutex_);
    return log_->trouble();
}

void Journal::publish(std::unique_lock<std::mutex>& lock) {
    const bool had_trouble = log_->trouble().has_value();
    const Sequence before = log_->durable();
    log_->finish();
    durable_.store(log_->durable(), std::memory_order_release);
    const bool changed = log_->durable() != before || log_->failure() || log_->trouble().has_value() != had_trouble;
    // Whoever wakes up wants the lock.
    lock.unlock();
    done_.notify_all();
    if (changed && options_.on_change) options_.on_change();
    lock.lock();
}

void Journal::run() {
    // Who opened this says so when it is not allowed.
    static_cast<void>(os::prefer_this_thread(options_.realtime_priority));
    std::unique_lock lock(mutex_);
    auto ask_again = std::chrono::steady_clock::now();
    while (!abandon_ && !log_->failure()) {
        if (log_->wants_spare() && std::chrono::steady_clock::now() >= ask_again) {
            lock.unlock();
            // finish() keeps what it said.
            static_cast<void>(log_->spare());
            ask_again = std::chrono::steady_clock::now() + k_retry;
            lock.lock();
            publish(lock);
        }
        if (log_->stuck()) {
            // Nothing is taken meanwhile: only time helps.
            wake_.wait_for(lock, k_retry, [&] { return stop_; });
            wanted_ = true;
        } else {
            const Duration pause = log_->wants_spare() ? k_retry : log_->needs_seal() ? options_.seal_after : k_long;
            const bool called = wake_.wait_for(lock, pause, [&] { return stop_ || wanted_; });
            if (!called) wanted_ = log_->seal();
        }
        if (abandon_) break;
        const bool last = stop_;    // whatever was appended before close() is in this batch
        if (std::exchange(wanted_, false) || last) {
            if (log_->begin()) {
                lock.unlock();
                static_cast<void>(log_->write());
                lock.lock();
                publish(lock);
            }
        }
        if (last && (log_->stuck() || !log_->seal())) break;
    }
    done_.notify_all();
}

Status Journal::settle_restored() {
    const std::lock_guard alone(upkeep_);
    HF_DO(disk_->remove(std::string(k_restored_marker)));
    return disk_->sync_names();
}

Status Journal::save_snapshot(Sequence sequence, ByteView state) {
    HF_ASSERT(sequence <= durable());
    const std::lock_guard alone(upkeep_);
    return save_state_snapshot(*disk_, sequence, state);
}

Status Journal::release(Sequence sequence) {
    const std::lock_guard alone(upkeep_);
    HF_TRY(const Sequence unneeded, remove_old_snapshots(*disk_, sequence));
    std::vector<std::string> names;
    {
        const std::lock_guard lock(mutex_);
        names = log_->release(unneeded);
    }
    // One after the other on the disk, too: a crash leaves no gap between segments.
    for (const std::string& name : names) {
        HF_DO(disk_->remove(name));
        HF_DO(disk_->sync_names());
        os::crash_point("journal.released");
    }
    return {};
}

}    // namespace holdfast::trade
