#include "holdfast/trade/projection.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <future>
#include <iterator>
#include <utility>

#include "holdfast/base/log.hpp"

namespace holdfast::trade {
namespace {

using ledger::Change;
using ledger::Sequence;

// The longest sleep: how late a clock that was set, or a wake that was missed, is noticed.
constexpr Duration k_look_max = std::chrono::seconds(1);

}    // namespace

Projection::Projection(std::unique_ptr<Sink> sink, std::unique_ptr<ChangeSource> source, const Clock& clock,
                       ProjectionOptions options)
    : sink_(std::move(sink)),
      source_(std::move(source)),
      clock_(clock),
      options_(std::move(options)),
      policy_(options_.profile, sink_->batch_max()) {
    status_.sink = sink_->name();
    // Until the store has been asked, it may lack everything.
    status_.durable = status_.backlog = source_->durable();
    thread_ = std::thread([this] { run(); });
}

Projection::~Projection() {
    ending_ = true;
    source_->wake();
    thread_.join();
}

void Projection::run() {
    while (!ending_) {
        const Duration pause = step();
        if (ending_ || pause <= Duration::zero()) continue;
        // With a full batch nothing new can be taken: only time helps.
        const Sequence have = batch_.empty() ? mark_.value_or(0) : batch_.back().sequence;
        const bool deaf = !mark_ || tried_ || batch_.size() >= sink_->batch_max();
        source_->wait(deaf ? ~Sequence{0} : have, std::min(pause, k_look_max));
    }
}

void Projection::publish(const std::function<void(ProjectionStatus&)>& change) {
    const std::lock_guard lock(mutex_);
    change(status_);
    status_.state = policy_.state();
    status_.attempts = policy_.attempts();
    status_.durable = source_->durable();
    status_.level = std::max(status_.level, status_.watermark);
    status_.backlog = status_.durable > status_.level ? status_.durable - status_.level : 0;
    moved_.notify_all();
}

Status Projection::find_mark() {
    HF_TRY(const Sequence mark, sink_->watermark());
    HF_TRY(const ChangeSource::Oldest oldest, source_->oldest());
    const Sequence durable = source_->durable();
    if (mark > durable)
        return fail(
            ErrorCode::mismatch,
            fmt::format("{} holds facts of this journal up to {}, and the journal ends at {}: it was set back",
                        sink_->name(), mark, durable),
            "bring the newer one back; one that is restored from the vault, or begun anew, has watermarks of its own");
    if (after_ != mark) {
        batch_.clear();
        tried_ = false;
    }
    mark_ = after_ = mark;
    const bool hole = oldest.released && oldest.sequence > mark + 1;
    if (hole && options_.notify)
        options_.notify({ErrorCode::incomplete,
                         fmt::format("{} lacks the facts {} to {}, which the journal no longer holds", sink_->name(),
                                     mark + 1, oldest.sequence - 1),
                         "restore a newer copy of the store from the vault; it goes on with what follows"});
    publish([&](ProjectionStatus& status) {
        status.watermark = mark;
        if (hole) {
            status.hole_first = mark + 1;
            status.hole_last = oldest.sequence - 1;
        }
    });
    if (options_.confirmed) options_.confirmed(mark);
    return {};
}

Status Projection::write() {
    if (batch_.empty()) return {};
    const Sequence last = batch_.back().sequence;
    const std::size_t count = batch_.size();
    // Whole batches wait: the next one is read while the store works on this one. What goes wrong there is met again by the
    // step that needs it.
    std::future<Result<std::vector<Change>>> reading;
    if (count >= sink_->batch_max() && ahead_.empty() && source_->durable() > last)
        reading = std::async(std::launch::async,
                             [&] { return source_->read(last, sink_->batch_max(), std::exchange(spare_, {})); });
    const Status applied = sink_->apply(*mark_, batch_);
    if (reading.valid())
        if (auto read = reading.get()) ahead_ = *std::move(read);
    HF_DO(applied);
    mark_ = after_ = last;
    // Tens of MB, which the kernel would otherwise take back, and clear page by page, with each batch.
    spare_ = std::exchange(batch_, {});
    if (count >= sink_->batch_max())
        spare_.clear();
    else
        spare_ = {};
    tried_ = doubted_ = false;
    failing_since_.reset();
    {
        const std::lock_guard lock(mutex_);
        policy_.written(clock_.instant());
    }
    if (parked_ && options_.failed_syncs != nullptr) {
        // Not a reason to write the batch again: the row goes with the next one.
        if (const Status cleared = options_.failed_syncs->clear(sink_->name()); cleared) {
            parked_ = false;
        } else {
            log_warning("failed_syncs cannot be cleared",
                        {{"sink", std::string(sink_->name())}, {"error", cleared.error().message}});
        }
    }
    publish([&](ProjectionStatus& status) {
        status.watermark = last;
        status.written += count;
        ++status.batches;
        status.error.clear();
    });
    if (options_.confirmed) options_.confirmed(last);
    return {};
}

void Projection::failed(const Error& error) {
    // The store went back, or its connection now leads to another one: its own watermark is the only truth.
    mark_.reset();
    tried_ = !batch_.empty();
    if (error.code == ErrorCode::changed && !std::exchange(doubted_, true)) {
        log_warning("a store went back and gets again what it lacks",
                    {{"sink", std::string(sink_->name())}, {"reason", error.message}});
        return;
    }
    const Timestamp now = clock_.now();
    if (!failing_since_) failing_since_ = now;
    SinkPolicy::Outcome outcome;
    unsigned attempts = 0;
    {
        const std::lock_guard lock(mutex_);
        outcome = policy_.failed(worth_retrying(error), clock_.instant());
        attempts = policy_.attempts();
    }
    publish([&](ProjectionStatus& status) { status.error = error.message; });
    if (outcome.tell) {
        log_error("a store does not take the trades", {{"sink", std::string(sink_->name())}, {"error", error.message}});
        if (options_.notify) options_.notify(error);
    }
    if (!outcome.park || options_.failed_syncs == nullptr) return;
    const ProjectionStatus seen = status();
    parked_ = true;
    const Status put = options_.failed_syncs->put(
        {std::string(sink_->name()), seen.watermark + 1, seen.durable, attempts, error.message, *failing_since_, now});
    if (!put)
        log_warning("failed_syncs cannot be written; the journal keeps the facts",
                    {{"sink", std::string(sink_->name())}, {"error", put.error().message}});
}

Result<std::vector<Change>> Projection::read(Sequence after) {
    std::vector<Change> ahead = std::exchange(ahead_, {});
    if (!ahead.empty() && ahead.front().sequence == after + 1) return ahead;
    return source_->read(after, sink_->batch_max() - batch_.size(), std::exchange(spare_, {}));
}

Duration Projection::step() {
    {
        const std::lock_guard lock(mutex_);
        // Before the watermark is known every fact counts as waiting: the first question is asked at once.
        if (!mark_) policy_.waiting(sink_->batch_max(), true, clock_.instant());
    }
    const auto pause_of = [&](Instant now) -> std::optional<Duration> {
        const std::lock_guard lock(mutex_);
        const SinkPolicy::Action action = policy_.next(now);
        const auto* wait = std::get_if<SinkPolicy::Wait>(&action);
        if (wait == nullptr) return std::nullopt;
        return wait->until ? *wait->until - now : k_look_max;
    };
    if (!mark_) {
        if (const auto pause = pause_of(clock_.instant())) return *pause;
        if (const Status found = find_mark(); !found) {
            failed(found.error());
            return Duration::zero();
        }
    }
    if (!tried_ && batch_.size() < sink_->batch_max()) {
        const Sequence have = batch_.empty() ? *mark_ : batch_.back().sequence;
        if (source_->durable() > have) {
            auto more = read(have);
            if (!more) {
                failed(more.error());
                return Duration::zero();
            }
            if (batch_.empty()) {
                batch_ = *std::move(more);
            } else {
                std::move(more->begin(), more->end(), std::back_inserter(batch_));
            }
        }
    }
    std::size_t rows = 0;
    bool execution = false;
    for (const Change& change : batch_) {
        rows += matters_to_stores(change);
        execution = execution || std::holds_alternative<ledger::OrderExecuted>(change.fact.data);
    }
    // Only what a store has rows for is a reason to write; else each confirmation would ask for the next one. A batch that is
    // full of such facts goes all the same, to make room.
    const bool level = rows == 0 && !tried_;
    if (tried_ || batch_.size() >= sink_->batch_max()) rows = std::max(rows, batch_.size());
    const Instant now = clock_.instant();
    {
        const std::lock_guard lock(mutex_);
        policy_.waiting(rows, execution, now);
    }
    publish(
        [&](ProjectionStatus& status) { status.level = level && !batch_.empty() ? batch_.back().sequence : after_; });
    if (const auto pause = pause_of(now)) return *pause;
    if (const Status done = write(); !done) failed(done.error());
    return Duration::zero();
}

ProjectionStatus Projection::status() const {
    const std::lock_guard lock(mutex_);
    return status_;
}

void Projection::resume() {
    {
        const std::lock_guard lock(mutex_);
        policy_.resume(clock_.instant());
    }
    source_->wake();
}

bool Projection::wait_for(Sequence sequence, Duration at_most) const {
    std::unique_lock lock(mutex_);
    return moved_.wait_for(lock, at_most, [&] { return status_.level >= sequence; });
}

}    // namespace holdfast::trade
