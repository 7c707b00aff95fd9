#include "holdfast/trade/journal_changes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>

namespace holdfast::trade {
namespace {

using ledger::Change;
using ledger::Sequence;

constexpr Sequence k_never = ~Sequence{0};
/// How late a wake() may be heard.
constexpr Duration k_slice = std::chrono::milliseconds(50);
/// How often files may vanish between the look at the folder and their opening.
constexpr int k_tries = 5;

class JournalChanges final : public ChangeSource {
public:
    JournalChanges(Journal& journal, ledger::Horizon horizon) : journal_(journal), horizon_(horizon) {}

    Sequence durable() const override { return journal_.durable(); }
    Result<Oldest> oldest() override;
    Result<std::vector<Change>> read(Sequence after, std::size_t max, std::vector<Change> changes) override;
    void wait(Sequence after, Duration at_most) override;
    void wake() override;

private:
    struct Folder {
        Sequence first = 1;    // of its oldest record
        std::vector<Sequence> snapshots;    // to which records follow
    };
    Result<Folder> look() const;
    Result<Sequence> oldest_base();
    Result<ledger::State> read_state(Sequence snapshot) const;
    Status start_at(Sequence base);
    Status begin_after(Sequence after);
    Result<std::optional<Change>> next(Sequence limit);

    Journal& journal_;
    const ledger::Horizon horizon_;
    std::optional<JournalReader> reader_;    // of what follows at_; none: to be begun anew
    Sequence at_ = 0;
    ledger::Book book_;    // after at_, as token_ is
    std::uint64_t token_ = 0;    // of the newest session
    std::vector<ledger::Order> found_;    // open at the oldest snapshot and not handed out yet: the next one last
    std::optional<Sequence> oldest_;    // the oldest snapshot, as it was last found whole

    std::mutex mutex_;
    std::condition_variable wake_;
    bool woken_ = false;
};

// A release may come between the look at the folder and the opening of what was seen in it.
template <class Work>
auto again_when_gone(const Work& work) -> decltype(work()) {
    for (int i = 1;; ++i) {
        auto done = work();
        if (done || done.error().code != ErrorCode::not_found || i == k_tries) return done;
    }
}

Result<JournalChanges::Folder> JournalChanges::look() const {
    HF_TRY(const auto names, journal_.disk().list());
    Folder folder;
    if (const auto segments = segments_of(names); !segments.empty()) folder.first = segments.front();
    folder.snapshots = snapshots_of(names);
    std::erase_if(folder.snapshots, [&](Sequence snapshot) { return snapshot + 1 < folder.first; });
    return folder;
}

// 0: the journal's beginning, else a snapshot.
Result<Sequence> JournalChanges::oldest_base() {
    HF_TRY(const Folder folder, look());
    if (folder.first == 1) return 0;
    for (const Sequence snapshot : folder.snapshots) {
        if (oldest_ == snapshot) return snapshot;
        const auto state = read_state(snapshot);
        if (state) return *(oldest_ = snapshot);
        if (state.error().code != ErrorCode::corrupt) return fail(state.error());
    }
    return fail(ErrorCode::corrupt,
                fmt::format("the journal begins at {} and no state snapshot says what was before", folder.first),
                "bring the folder back from the vault");
}

Result<ChangeSource::Oldest> JournalChanges::oldest() {
    return again_when_gone([&]() -> Result<Oldest> {
        HF_TRY(const Sequence base, oldest_base());
        HF_TRY(const Folder folder, look());
        return Oldest{base + 1, folder.first > journal_.identity().first};
    });
}

Result<ledger::State> JournalChanges::read_state(Sequence snapshot) const {
    HF_TRY(const StateSnapshot read, read_state_snapshot(journal_.disk(), snapshot));
    return ledger::State::read_snapshot(read.state, horizon_);
}

Status JournalChanges::start_at(Sequence base) {
    ledger::Book book;
    std::uint64_t token = 0;
    if (base > 0) {
        HF_TRY(const ledger::State state, read_state(base));
        book = state.book();
        token = state.token();
    }
    HF_TRY(JournalReader reader, journal_.reader(base + 1));
    reader_.emplace(std::move(reader));
    found_.clear();
    book_ = std::move(book);
    token_ = token;
    at_ = base;
    return {};
}

Status JournalChanges::begin_after(Sequence after) {
    reader_.reset();
    HF_TRY(Folder folder, look());
    auto& snapshots = folder.snapshots;
    std::erase_if(snapshots, [&](Sequence snapshot) { return snapshot > after; });
    for (; !reader_ && !snapshots.empty(); snapshots.pop_back()) {
        // A damaged one is passed over for the one before.
        const Status started = start_at(snapshots.back());
        if (!started && started.error().code != ErrorCode::corrupt) return started;
    }
    if (!reader_) {
        HF_TRY(const Sequence base, oldest_base());
        HF_DO(start_at(base));
        if (base > 0) {
            // In the order of their last facts: of a place among the sequences that are gone, what changed after it is told.
            for (const auto& [id, order] : book_.open()) found_.push_back(order);
            std::ranges::sort(found_, std::greater(), [](const auto& o) { return std::pair(o.changed_at, o.id); });
            // Each came with a fact of its own.
            if (found_.size() > base)
                return fail(ErrorCode::corrupt,
                            fmt::format("the state {} holds more orders than facts", snapshot_name(base)));
            at_ -= found_.size();
        }
    }
    while (at_ < after) {
        HF_TRY(const auto passed, next(after));
        if (!passed) return fail(ErrorCode::corrupt, fmt::format("the journal has no sequence {}", at_ + 1));
    }
    return {};
}

Result<std::optional<Change>> JournalChanges::next(Sequence limit) {
    if (!found_.empty()) {
        if (at_ >= limit) return std::nullopt;
        ++at_;
        ledger::Order order = std::move(found_.back());
        found_.pop_back();
        return Change{
            at_, ledger::version_of(token_, at_), {order.changed_at, ledger::OrderFound{order, {}, "journal"}}, order};
    }
    HF_TRY(const auto record, reader_->next(limit));
    if (!record) return std::nullopt;
    auto fact = ledger::parse_fact(record->payload);
    if (!fact) return fail(std::move(fact).error().within(fmt::format("journal record {}", record->sequence)));
    if (const auto* session = std::get_if<ledger::SessionStarted>(&fact->data))
        token_ = std::max(token_, session->token);
    Change change{record->sequence, ledger::version_of(token_, record->sequence), *std::move(fact), std::nullopt};
    if (const ledger::Order* order = book_.apply(change.fact)) change.order = *order;
    at_ = record->sequence;
    return change;
}

Result<std::vector<Change>> JournalChanges::read(Sequence after, std::size_t max, std::vector<Change> changes) {
    changes.clear();
    const Sequence durable = journal_.durable();
    if (after >= durable) return changes;
    changes.reserve(std::min<Sequence>(max, durable - after));
    const auto collect = [&]() -> Status {
        if (!reader_ || at_ != after) HF_DO(again_when_gone([&] { return begin_after(after); }));
        while (changes.size() < max) {
            HF_TRY(auto change, next(durable));
            if (!change) break;
            changes.push_back(*std::move(change));
        }
        return {};
    };
    if (const Status collected = collect(); !collected) {
        reader_.reset();
        const Error& error = collected.error();
        if (error.code == ErrorCode::not_found) return fail(ErrorCode::changed, error.message);
        return fail(error);
    }
    return changes;
}

void JournalChanges::wait(Sequence after, Duration at_most) {
    using Moment = std::chrono::steady_clock;
    const auto end = Moment::now() + at_most;
    for (;;) {
        const Duration left = end - Moment::now();
        {
            std::unique_lock lock(mutex_);
            if (after == k_never) wake_.wait_for(lock, left, [&] { return woken_; });
            if (std::exchange(woken_, false)) return;
        }
        if (left <= Duration::zero()) return;
        if (after == k_never) continue;
        const auto grown = journal_.wait(after + 1, std::min(left, k_slice));
        if (grown && *grown) return;
        if (!grown) after = k_never;    // nothing more will ever come
    }
}

void JournalChanges::wake() {
    {
        const std::lock_guard lock(mutex_);
        woken_ = true;
    }
    wake_.notify_all();
}

}    // namespace

std::unique_ptr<ChangeSource> journal_changes(Journal& journal, ledger::Horizon horizon) {
    return std::make_unique<JournalChanges>(journal, horizon);
}

}    // namespace holdfast::trade
