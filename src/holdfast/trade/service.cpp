#include "holdfast/trade/service.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <future>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::trade {
namespace {

/// Inputs that go through the rules before their facts are handed to the disk: enough for one sync to serve many.
constexpr std::size_t k_batch_max = 4096;

Outcome outcome_of(const ledger::Answer& answer) {
    Outcome outcome;
    switch (answer.verdict) {
        case ledger::Verdict::accepted:
            outcome.verdict = Outcome::Verdict::accepted;
            break;
        case ledger::Verdict::duplicate:
            outcome.verdict = Outcome::Verdict::duplicate;
            break;
        case ledger::Verdict::refused:
            outcome.verdict = Outcome::Verdict::refused;
            break;
        case ledger::Verdict::unavailable:
            outcome.verdict = Outcome::Verdict::unavailable;
            break;
    }
    outcome.order = answer.order;
    outcome.text = answer.text;
    return outcome;
}

}    // namespace

// ---- start

Result<std::unique_ptr<Service>> Service::start(ServiceOptions options, std::unique_ptr<broker::Broker> broker,
                                                std::unique_ptr<LeaseStore> lease, Clock& clock) {
    std::unique_ptr<Service> service(new Service(std::move(options), std::move(broker), std::move(lease), clock));
    HF_DO(service->open());
    return service;
}

Service::Service(ServiceOptions options, std::unique_ptr<broker::Broker> broker, std::unique_ptr<LeaseStore> lease,
                 Clock& clock)
    : options_(std::move(options)), broker_(std::move(broker)), store_(std::move(lease)), clock_(clock) {}

Status Service::open() {
    options_.journal.on_change = [this] { wake(); };
    options_.journal.log.account = options_.account;
    options_.journal.realtime_priority = options_.realtime_priority;
    HF_TRY(journal_, Journal::open(options_.folder, std::move(options_.journal)));
    log_ = std::make_unique<JournalAsLog<Journal>>(*journal_, journal_->recovery().last);
    HF_TRY(auto replayed,
           replay_state(journal_->disk(), journal_->take_snapshot(), options_.horizon, journal_->durable()));
    ledger::State& state = replayed.state;
    snapshot_at_ = replayed.snapshot;
    snapshots_ = std::make_unique<SnapshotKeeper>(*journal_, options_.horizon);
    const bool fresh = state.sequence() == 0;
    // Whoever had that one has ended, for the journal is ours.
    const auto own = state.token() != 0 ? std::optional(state.token()) : std::nullopt;
    // A journal from the vault is older than the trading that followed it. And without tokens nobody can tell whether an
    // empty journal is the first one or the successor of one that was lost.
    restored_ = journal_->recovery().restored;
    const bool foreign = restored_ || (fresh && store_->name() == "none");
    pump_ = std::make_unique<Pump>(
        ledger::Engine(std::move(state), options_.rules, options_.instance, foreign, {clock_.now(), clock_.instant()}),
        *log_, *broker_, clock_, ears_);
    engine_thread_ = std::thread([this] { run(); });
    lease_ = std::make_unique<LeaseHolder>(std::move(store_), options_.margins, own, clock_,
                                           [this](const LeaseView& view) { lease_changed(view); });
    return {};
}

// ---- the engine's thread

void Service::push(Work work) {
    bool taken;
    {
        const std::lock_guard lock(mutex_);
        taken = !stopping_ || std::holds_alternative<Ask>(work);
        if (taken) work_.push_back(std::move(work));
    }
    // Not under the lock: who wakes up wants it, and may take this thread's processor for it.
    if (taken) return work_there_.notify_one();
    if (auto* with_answer = std::get_if<WithAnswer>(&work))
        with_answer->waiting.answer({Outcome::Verdict::unavailable, {}, "the engine is stopping"});
}

void Service::wake() {
    {
        const std::lock_guard lock(mutex_);
        woken_ = true;
    }
    work_there_.notify_one();
}

void Service::run() {
    if (auto preferred = os::prefer_this_thread(options_.realtime_priority); !preferred)
        log_warning("the engine's thread runs without real-time priority",
                    {{"error", preferred.error().message}, {"hint", preferred.error().hint}});
    std::deque<Work> batch;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            const auto ready = [this] { return !work_.empty() || woken_ || stopped_; };
            if (const auto at = pump_->next_wake()) {
                const Duration wait =
                    std::clamp<Duration>(*at - clock_.instant(), Duration::zero(), std::chrono::seconds(1));
                work_there_.wait_for(lock, wait, ready);
            } else {
                work_there_.wait(lock, ready);
            }
            if (stopped_ && work_.empty()) return;
            woken_ = false;
            if (work_.size() <= k_batch_max) {
                batch.swap(work_);
            } else {
                const auto end = work_.begin() + static_cast<std::ptrdiff_t>(k_batch_max);
                std::move(work_.begin(), end, std::back_inserter(batch));
                work_.erase(work_.begin(), end);
            }
        }
        for (Work& work : batch) take(work);
        batch.clear();
        if (const auto at = pump_->next_wake(); at && *at <= clock_.instant()) pump_->feed(ledger::TimePassed{});
        commit();
        if (!journal_->failure()) pump_->release();
        commit();
        settle_restored();
        maybe_snapshot(false);
    }
}

void Service::commit() {
    if (log_->hand_over()) journal_->commit();
}

void Service::settle_restored() {
    if (!restored_ || journal_->durable() != pump_->engine().state().sequence()) return;
    if ((pump_->engine().bars() & ~static_cast<unsigned>(ledger::Bar::paused)) != 0) return;
    restored_ = false;
    if (auto settled = journal_->settle_restored(); !settled)
        log_warning("the journal still counts as restored", {{"error", settled.error().message}});
}

void Service::take(Work& work) {
    if (auto* input = std::get_if<ledger::Input>(&work)) {
        pump_->feed(*input);
    } else if (auto* with_answer = std::get_if<WithAnswer>(&work)) {
        const std::uint64_t ticket = ++ticket_last_;
        if (auto* signal = std::get_if<ledger::SignalArrived>(&with_answer->input)) signal->ticket = ticket;
        if (auto* cancel = std::get_if<ledger::CancelAsked>(&with_answer->input)) cancel->ticket = ticket;
        answers_.emplace(ticket, std::move(with_answer->waiting));
        pump_->feed(with_answer->input);
    } else {
        std::get<Ask>(work)();
    }
}

void Service::Ears::answered(const ledger::Answer& answer) {
    const auto at = service_.answers_.find(answer.ticket);
    if (at == service_.answers_.end()) return;
    const Waiting waiting = std::move(at->second);
    service_.answers_.erase(at);
    Outcome outcome = outcome_of(answer);
    if (outcome.verdict == Outcome::Verdict::duplicate && outcome.order && !waiting.signal.id.is_nil() &&
        !asks_for(waiting.signal, *outcome.order))
        outcome = {Outcome::Verdict::refused, std::move(outcome.order), "another signal has this UUID already"};
    waiting.answer(outcome);
}

void Service::Ears::notified(const ledger::Notify& notify) {
    if (service_.options_.notify) service_.options_.notify(notify);
}

void Service::maybe_snapshot(bool now) {
    const ledger::Sequence durable = journal_->durable();
    if (durable == snapshot_at_ || (!now && durable < snapshot_at_ + options_.snapshot_every)) return;
    snapshot_at_ = durable;
    ledger::Sequence released = durable;
    const auto confirmed = [&](ledger::Sink sink) { return pump_->engine().state().confirmed(sink); };
    for (const ledger::Sink sink : options_.sinks) released = std::min(released, confirmed(sink));
    // The vault counts once it has had a part of the journal.
    if (confirmed(ledger::Sink::vault) != 0) released = std::min(released, confirmed(ledger::Sink::vault));
    snapshots_->ask(durable, released);
}

void Service::with_engine(const std::function<void()>& what) {
    std::promise<void> done;
    push(Ask([&] {
        what();
        done.set_value();
    }));
    done.get_future().wait();
}

// ---- for everybody

void Service::submit(Submission submission) {
    push(WithAnswer{ledger::SignalArrived{submission.signal, 0},
                    {std::move(submission.signal), std::move(submission.answer)}});
}

void Service::cancel(const ledger::Uuid& order, std::function<void(const Outcome&)> answer) {
    push(WithAnswer{ledger::CancelAsked{order, 0}, {{}, std::move(answer)}});
}

void Service::turn(bool on, std::string who) { push(ledger::Input(ledger::SwitchTurned{on, std::move(who)})); }

void Service::tell(ledger::Input input) { push(std::move(input)); }

std::optional<ledger::Order> Service::find(const ledger::Uuid& id) const {
    const ledger::State& state = pump_->engine().state();
    if (const ledger::Order* order = state.book().find(id)) return *order;
    const ledger::ClosedOrder* closed = state.remembered().find_order(id);
    if (closed == nullptr) return std::nullopt;
    return ledger::outline_of(*closed);
}

std::optional<ledger::Order> Service::order(const ledger::Uuid& id) {
    std::optional<ledger::Order> found;
    with_engine([&] { found = find(id); });
    return found;
}

std::vector<ledger::Order> Service::open_orders() {
    std::vector<ledger::Order> orders;
    with_engine([&] {
        for (const auto& [id, order] : pump_->engine().state().book().open()) orders.push_back(order);
    });
    std::ranges::sort(orders, {}, [](const ledger::Order& order) { return std::pair(order.accepted_at, order.id); });
    return orders;
}

ServiceStatus Service::status() {
    ServiceStatus status;
    with_engine([&] {
        const ledger::Engine& engine = pump_->engine();
        status.bars = engine.bars();
        status.trading_on = engine.state().trading_on();
        status.stores_due = engine.state().stores_due();
        status.token = engine.state().token();
        status.appended = engine.state().sequence();
        status.durable = journal_->durable();
        for (const ledger::Sink sink : ledger::k_sinks)
            status.confirmed[static_cast<std::size_t>(sink) - 1] = engine.state().confirmed(sink);
        status.open = engine.state().book().open().size();
        status.in_doubt = engine.in_doubt();
        status.waiting = engine.waiting();
        status.remembered = engine.state().remembered().orders();
        status.broker = broker_->name();
        status.journal_trouble = log_->trouble().value_or("");
    });
    const LeaseStatus lease = lease_->status();
    if (lease.view.held)
        status.lease = "held";
    else if (!lease.trouble.empty())
        status.lease = "no answer: " + lease.trouble;
    else
        status.lease = lease.holder.empty()
                           ? "free"
                           : fmt::format("held by {}, for {:.0f} s unless renewed", lease.holder,
                                         std::max(0.0, seconds(lease.holder_until - clock_.instant())));
    return status;
}

std::optional<Error> Service::failure() const { return journal_->failure(); }

// ---- the lease's thread

void Service::lease_changed(const LeaseView& view) {
    push(ledger::Input(ledger::LeaseChanged{view.held, view.token, view.not_after, view.previous}));
    if (!view.held) {
        if (std::exchange(in_session_, false)) broker_->stop();
        return;
    }
    // A session only under the lease: the broker ends an older one when a new one begins.
    if (in_session_) return;
    auto started =
        broker_->start([this](broker::Report report) { push(ledger::Input(ledger::BrokerSaid{std::move(report)})); });
    if (!started)
        log_error("the broker's adapter does not start; it is tried again", {{"error", started.error().message}});
    in_session_ = started.has_value();
}

// ---- stop

Status Service::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (stopped_) return {};
        stopping_ = true;
    }
    lease_->stop();
    // All that was taken becomes durable and is answered; a disk that stays full is not waited for.
    for (int i = 0; i < 500; ++i) {
        bool done = false;
        with_engine([&] { done = pump_->pending() == 0 && journal_->durable() == pump_->engine().state().sequence(); });
        if (done || journal_->failure()) break;
        clock_.sleep(std::chrono::milliseconds(10));
    }
    with_engine([&] { maybe_snapshot(true); });
    snapshots_->finish();
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        work_there_.notify_all();
    }
    engine_thread_.join();
    return journal_->close();
}

Service::~Service() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = stopped_ = true;
        work_there_.notify_all();
    }
    if (lease_) lease_->stop();
    if (engine_thread_.joinable()) engine_thread_.join();
    snapshots_.reset();
    journal_.reset();
}

}    // namespace holdfast::trade
