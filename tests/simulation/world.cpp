#include "world.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>

#include "holdfast/testing/sim_disk.hpp"
#include "holdfast/trade/journal_as_log.hpp"
#include "holdfast/trade/journal_log.hpp"
#include "holdfast/trade/journal_reader.hpp"
#include "holdfast/trade/replay.hpp"

namespace holdfast::simulation {
namespace {

using namespace std::chrono_literals;
using ledger::Decimal;
using ledger::Order;
using ledger::OrderState;
using ledger::Report;
using ledger::ReportKind;
using ledger::Uuid;
using testing::SimDisk;

constexpr std::int64_t k_epoch = 1'795'996'800'000'000'000;    // a midnight, so that days change in the middle of runs
constexpr Duration k_faults_end = 150s;    // then everything works, and must settle
constexpr Duration k_end = 2h;
constexpr Duration k_lease_ttl = 10s, k_lease_margin = 1s;
/// Small, so that each run makes, fills and releases some.
constexpr std::uint64_t k_segment_size = 8 * 1024, k_zero_ahead = 1024;
constexpr std::uint64_t k_snapshot_every = 25;    // facts

// ---------------------------------------------------------------- time and chance

class World {
public:
    World(std::uint64_t seed, Mutant kind, bool print) : mutant(kind), print_(print), random_(seed) {}

    void after(Duration delay, std::function<void()> what) {
        events_.push({now + std::max(Duration::zero(), delay), ++event_last_, std::move(what)});
    }
    void run() {
        while (!events_.empty() && events_.top().at <= k_end) {
            // The queue hands out const: the event is taken over before it leaves.
            Event event = std::move(const_cast<Event&>(events_.top()));
            events_.pop();
            now = event.at;
            event.what();
        }
        now = k_end;
    }
    std::uint64_t below(std::uint64_t n) { return random_() % n; }
    bool chance(unsigned percent) { return below(100) < percent; }
    /// Faults only until they end.
    bool fault(unsigned percent) { return now < k_faults_end && chance(percent); }
    Duration between(Duration a, Duration b) {
        return a + Duration(static_cast<std::int64_t>(below(static_cast<std::uint64_t>((b - a).count()) + 1)));
    }
    void trace(const std::string& line) {
        for (const char c : line) outcome.trace = (outcome.trace ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        if (print_) fmt::print("{:12.6f} {}\n", seconds(now), line);
    }
    void violation(std::string what) {
        trace("VIOLATION " + what);
        if (outcome.violations.size() < 20) outcome.violations.push_back(std::move(what));
    }
    std::string name_of(const Uuid& id) const { return id.text().substr(24); }

    const Mutant mutant;
    Duration now{};
    Outcome outcome;
    bool printing() const { return print_; }

private:
    struct Event {
        Duration at;
        std::uint64_t number;
        std::function<void()> what;
        bool operator<(const Event& other) const { return std::tie(at, number) > std::tie(other.at, other.number); }
    };
    const bool print_;
    std::mt19937_64 random_;
    std::priority_queue<Event> events_;
    std::uint64_t event_last_ = 0;
};

/// A host's clocks: mono counts on, wall jumps.
class HostClock final : public Clock {
public:
    HostClock(World& world, bool broken) : world_(world), broken_(broken) {}
    Timestamp now() const override { return {k_epoch + (world_.now + wall_offset - 60s).count()}; }
    Instant instant() const override {
        if (broken_) return {now().nanoseconds - k_epoch};
        return {world_.now.count()};
    }
    void sleep(Duration) override { HF_ASSERT(false); }
    Duration wall_offset{};

private:
    World& world_;
    const bool broken_;    // the mutant: leases by the wall clock
};

// ---------------------------------------------------------------- the broker

class SimBroker {
public:
    explicit SimBroker(World& world) : world_(world) {}

    struct Held {
        Order order;
        OrderState state = OrderState::acked;
        Decimal filled;
        std::vector<ledger::Execution> fills;
        std::string text;
        bool open() const { return !ledger::is_closed(state); }
    };
    using Deliver = std::function<void(Report)>;

    /// A new session ends the one before. Returns its number.
    std::uint64_t logon(Deliver deliver) {
        if (session_ != 0) drop(session_);
        session_ = ++session_last_;
        deliver_ = std::move(deliver);
        const std::uint64_t session = session_;
        world_.after(world_.between(1ms, 50ms), [this, session] {
            if (session != session_) return;
            deliver_({ReportKind::link_up, {}, {}, {}, {}, 0, {}});
            // What it may have missed comes again, as the resend of a FIX session brings it: what was on its way when the
            // last session ended is known to nobody.
            for (const auto& [id, orders] : orders_)
                for (const Held& held : orders)
                    for (const auto& fill : held.fills) tell_fill(held, fill);
        });
        return session;
    }
    /// What is on its way from the client arrives in order before the end, or never.
    void drop(std::uint64_t session) {
        if (session != session_) return;
        std::size_t arrive = inbound_.empty() ? 0 : world_.below(inbound_.size() + 1);
        for (; arrive > 0; --arrive) {
            auto what = std::move(inbound_.front());
            inbound_.pop_front();
            what();
        }
        inbound_.clear();
        const Deliver deliver = std::move(deliver_);
        session_ = 0;
        deliver_ = nullptr;
        if (deliver) deliver({ReportKind::link_down, {}, {}, {}, {}, 0, {}});
    }
    bool is_up(std::uint64_t session) const { return session != 0 && session == session_; }

    bool send(std::uint64_t session, const Order& order) {
        return arrive(session, [this, order] { take_in(order); });
    }
    bool cancel(std::uint64_t session, const Order& order) {
        return arrive(session, [this, id = order.id] { take_cancel(id); });
    }
    bool query(std::uint64_t session, const Uuid& id, std::uint64_t question) {
        return arrive(session, [this, id, question] { answer(id, question); });
    }

    const std::map<Uuid, std::vector<Held>>& orders() const { return orders_; }

private:
    bool arrive(std::uint64_t session, std::function<void()> what) {
        if (!is_up(session)) return false;
        inbound_.push_back(std::move(what));
        world_.after(world_.fault(3) ? world_.between(1s, 12s) : world_.between(100us, 20ms), [this, session] {
            // One event a message: whatever is first in line is taken in, so order is kept.
            if (session != session_ || inbound_.empty()) return;
            auto next = std::move(inbound_.front());
            inbound_.pop_front();
            next();
        });
        return true;
    }

    void take_in(const Order& order) {
        world_.trace("broker takes " + world_.name_of(order.id));
        auto& same = orders_[order.id];
        same.push_back({order, OrderState::acked, {}, {}, {}});
        const std::size_t index = same.size() - 1;
        const Uuid id = order.id;
        const auto fate = world_.below(100);
        if (fate < 6) {
            same.back().state = OrderState::rejected;
            same.back().text = "not enough money";
            return tell(same.back(), ReportKind::rejected);
        }
        if (fate < 90) tell(same.back(), ReportKind::acked);
        const unsigned fills = 1 + static_cast<unsigned>(world_.below(3));
        const bool works_long = fate >= 78 && fate < 90;
        for (unsigned i = 1; i <= fills; ++i) {
            const bool last = i == fills;
            world_.after(works_long ? world_.between(5s, 400s) : world_.between(0ms, 800ms),
                         [this, id, index, last] { fill(id, index, last); });
        }
        if (fate < 15)
            world_.after(world_.between(0ms, 600ms), [this, id, index] {
                Held& held = orders_[id][index];
                if (!held.open()) return;
                held.state = OrderState::cancelled;
                held.text = "immediate or cancel";
                tell(held, ReportKind::cancelled);
            });
    }
    void fill(const Uuid& id, std::size_t index, bool last) {
        Held& held = orders_[id][index];
        if (!held.open()) return;
        const Decimal left = held.order.quantity - held.filled;
        const Decimal part = last ? left : Decimal{std::max<std::int64_t>(1, left.units / 2)};
        if (!part.positive()) return;
        ledger::Execution execution;
        execution.id = fmt::format("E{}", ++execution_last_);
        execution.order = id;
        execution.symbol = held.order.symbol;
        execution.side = held.order.side;
        execution.quantity = part;
        execution.price = Decimal::whole(static_cast<std::int64_t>(100 + world_.below(10)));
        execution.executed_at = {k_epoch + world_.now.count()};
        held.filled += part;
        held.state = held.filled >= held.order.quantity ? OrderState::filled : OrderState::partially_filled;
        held.fills.push_back(execution);
        world_.trace(fmt::format("broker fills {} {} {}", world_.name_of(id), execution.id, part.text()));
        tell_fill(held, held.fills.back());
    }
    void take_cancel(const Uuid& id) {
        const auto at = orders_.find(id);
        if (at == orders_.end()) return;
        Held& held = at->second.front();
        if (!held.open()) return tell(held, ReportKind::cancel_refused);
        held.state = OrderState::cancelled;
        held.text = "as asked";
        tell(held, ReportKind::cancelled);
    }
    void answer(const Uuid& id, std::uint64_t question) {
        const auto at = orders_.find(id);
        if (at == orders_.end()) {
            world_.trace("broker does not know " + world_.name_of(id));
            Report report;
            report.kind = ReportKind::unknown;
            report.order = id;
            report.question = question;
            return transmit(report);
        }
        Held& held = at->second.front();
        for (const auto& fill : held.fills) tell_fill(held, fill);
        switch (held.state) {
            case OrderState::filled:
                return;
            case OrderState::rejected:
                return tell(held, ReportKind::rejected);
            case OrderState::cancelled:
                return tell(held, ReportKind::cancelled);
            default:
                return tell(held, ReportKind::acked);
        }
    }

    void tell(const Held& held, ReportKind kind) {
        Report report;
        report.kind = kind;
        report.order = held.order.id;
        report.broker_id = "B" + held.order.id.text().substr(30);
        report.cumulative = held.filled;
        report.text = held.text;
        transmit(report);
    }
    void tell_fill(const Held& held, const ledger::Execution& fill) {
        Report report;
        report.kind = ReportKind::executed;
        report.order = held.order.id;
        report.execution = fill;
        transmit(report);
    }
    void transmit(const Report& report) {
        if (session_ == 0 || world_.fault(6)) return;
        const int copies = world_.fault(8) ? 2 : 1;
        for (int i = 0; i < copies; ++i) {
            const Duration delay = world_.fault(4) ? world_.between(1s, 15s) : world_.between(50us, 30ms);
            world_.after(delay, [this, session = session_, report] {
                if (session == session_) deliver_(report);
            });
        }
    }

    World& world_;
    std::map<Uuid, std::vector<Held>> orders_;    // several of one ID only when the engine is wrong
    std::deque<std::function<void()>> inbound_;
    Deliver deliver_;
    std::uint64_t session_ = 0, session_last_ = 0, execution_last_ = 0;
};

// ---------------------------------------------------------------- lease, disk, stores

/// PostgreSQL's part: one row, its own clock.
struct LeaseStore {
    World& world;
    std::string holder;
    std::uint64_t token = 0, previous = 0;
    Duration expires{};

    /// The token, or 0 when another holds it.
    std::uint64_t ask(const std::string& who) {
        if (holder != who && world.now < expires) return 0;
        if (holder != who || world.now >= expires) previous = token++;    // lapsed: somebody could have been there
        holder = who;
        expires = world.now + k_lease_ttl;
        return token;
    }
};

/// A table of executions and a mark for each journal, written together.
struct Store {
    struct Content {
        std::map<std::string, ledger::Execution> executions;
        std::map<Uuid, OrderState> orders;
        std::map<const SimDisk*, std::uint64_t> marks;
    };
    Content content;
    Duration away_until{};    // its server is down
};

// ---------------------------------------------------------------- an instance

struct Producer {
    std::map<Uuid, ledger::Signal> signals;
    std::set<Uuid> acknowledged;
};

class Instance final : public broker::Broker, public trade::Listener {
public:
    Instance(World& world, std::string name, SimDisk& disk, HostClock& clock, LeaseStore& lease, SimBroker& broker,
             Store& store, Producer& producer)
        : world_(world),
          name_(std::move(name)),
          disk_(disk),
          clock_(clock),
          lease_(lease),
          broker_(broker),
          store_(store),
          producer_(producer),
          sim_log_(*this) {}

    std::string name() const override { return name_; }
    bool alive() const { return pump_ != nullptr; }
    bool holds_lease() const {
        return alive() && (pump_->engine().bars() & static_cast<unsigned>(ledger::Bar::lease)) == 0;
    }
    const ledger::State& state() const { return pump_->engine().state(); }
    unsigned bars() const { return pump_->engine().bars(); }

    void start() {
        if (alive()) return;
        ++life_;
        world_.trace(name_ + " starts");
        auto state = open_journal();
        if (!state) {
            // A full disk, for a journal that has nothing yet. Whoever looks after the process starts it again.
            if (state.error().code != ErrorCode::disk_full)
                world_.violation(name_ + ": the journal does not open: " + state.error().message);
            world_.after(1s, [this] { start(); });
            return;
        }
        syncing_ = false;
        session_ = 0;
        now_held_ = false;
        pump_ = std::make_unique<trade::Pump>(
            ledger::Engine(std::move(*state), {}, name_, false, {clock_.now(), clock_.instant()}), sim_log_, *this,
            clock_, *this);
        renew();
        follow();
        soon(world_.between(0ms, 500ms), [this] { deliver(ledger::StoresAgreed{}); });
        wake();
    }
    void crash() {
        if (!alive()) return;
        ++world_.outcome.crashes;
        // The process, or the machine with it; in the middle of a write, or between two.
        const bool power = !disk_.has_power() || world_.chance(50);
        if (syncing_ && disk_.has_power() && world_.chance(50)) {
            disk_.fail_power_after(world_.below(6));
            static_cast<void>(journal_->write());
        }
        promised_ = journal_->durable();
        world_.trace(fmt::format("{} {}, {} of {} records are durable", name_, power ? "loses power" : "is killed",
                                 promised_, log_->last()));
        power ? disk_.crash() : disk_.kill();
        ++life_;
        pump_.reset();
        reader_.reset();
        log_.reset();
        journal_.reset();
        hang_up();
        backlog_.clear();
        wake_at_.reset();
        paused_ = false;
    }
    void pause(bool on) {
        if (!alive() || paused_ == on) return;
        paused_ = on;
        world_.trace(name_ + (on ? " is stopped" : " goes on"));
        if (on) return;
        auto backlog = std::move(backlog_);
        backlog_.clear();
        for (auto& what : backlog) what();
    }
    void cut_link() {
        if (session_ != 0) broker_.drop(session_);
    }
    void cancel_something() {
        if (!alive() || paused_ || state().book().open().empty()) return;
        std::vector<Uuid> ids;
        for (const auto& [id, order] : state().book().open()) ids.push_back(id);
        std::ranges::sort(ids);
        deliver(ledger::CancelAsked{ids[world_.below(ids.size())], 0});
    }
    void turn(bool on) { deliver(ledger::SwitchTurned{on, "somebody"}); }
    void submit(const ledger::Signal& signal) {
        tickets_.push_back(signal.id);
        const std::uint64_t ticket = tickets_.size();
        deliver(ledger::SignalArrived{signal, ticket});
    }
    void fill_disk(bool full) { disk_.set_room(full ? 0 : ~std::uint64_t{0}); }
    void mend_disk() {
        fill_disk(false);
        disk_.fail_power_after(~std::uint64_t{0});
    }

private:
    /// The journal's log, and what the simulation wants to know of it.
    struct SimLog final : trade::Log {
        explicit SimLog(Instance& instance) : owner(instance) {}
        ledger::Sequence append(ByteView payload) override {
            const ledger::Sequence sequence = owner.log_->append(payload);
            ++owner.world_.outcome.facts;
            if (owner.world_.printing())
                owner.world_.trace(fmt::format("{} notes {} {}", owner.name_, sequence,
                                               ledger::kind_of(*ledger::parse_fact(payload))));
            owner.maybe_crash();
            owner.sync();
            return sequence;
        }
        ledger::Sequence durable() const override {
            if (owner.world_.mutant == Mutant::ack_before_fsync) return owner.log_->last();
            return owner.log_->durable();
        }
        std::optional<std::string> trouble() const override { return owner.log_->trouble(); }
        Instance& owner;
    };

    Result<ledger::State> open_journal() {
        HF_TRY(const auto found, trade::newest_state_snapshot(disk_));
        trade::JournalOptions options;
        options.account = "simulated";
        options.segment_size = k_segment_size;
        options.zero_ahead = k_zero_ahead;
        options.salt = 1 + world_.below(1'000'000);
        HF_TRY(journal_, trade::JournalLog::open(disk_, options, found.snapshot ? found.snapshot->sequence : 0));
        HF_TRY(auto replayed, trade::replay_state(disk_, found, horizon(), journal_->durable()));
        log_ = std::make_unique<trade::JournalAsLog<trade::JournalLog>>(*journal_, journal_->recovery().last);
        snapshot_at_ = replayed.snapshot;
        if (journal_->durable() < promised_)
            world_.violation(
                fmt::format("{} was promised {} records and finds {}", name_, promised_, journal_->durable()));
        return std::move(replayed.state);
    }

    /// What trade::Journal's thread does: room for the next segment, then one write and one sync for all that waits.
    void sync() {
        if (syncing_) return;
        log_->hand_over();
        if (!journal_->begin() && !journal_->trouble()) return;
        syncing_ = true;
        const Duration takes = journal_->trouble() ? 250ms
                               : world_.fault(2)   ? world_.between(50ms, 900ms)
                                                   : world_.between(80us, 4ms);
        world_.after(takes, [this, life = life_] {
            if (life != life_) return;
            if (world_.fault(1)) disk_.fail_power_after(world_.below(12));
            if (journal_->wants_spare()) static_cast<void>(journal_->spare());
            if (journal_->begin()) static_cast<void>(journal_->write());
            journal_->finish();
            syncing_ = false;
            if (!disk_.has_power()) return crash_and_come_back();
            if (const auto& failure = journal_->failure())
                return world_.violation(fmt::format("{}: the journal fails: {}", name_, failure->message));
            maybe_crash();
            // In an idle moment; not each time, so that torn tails are met without one, too.
            if (journal_->needs_seal() && world_.chance(20)) journal_->seal();
            sync();
            run([] {});
        });
    }
    void crash_and_come_back() {
        crash();
        world_.after(world_.between(50ms, 10s), [this] { start(); });
    }
    /// At a boundary of I/O: what was just appended, synced or sent is done, and nothing after it.
    void maybe_crash() {
        if (!world_.fault(1)) return;
        world_.after(0ms, [this, life = life_] {
            if (life == life_) crash_and_come_back();
        });
    }
    /// In this life, and only while the process is not stopped; else when it goes on.
    void soon(Duration delay, std::function<void()> what) {
        world_.after(delay, [this, life = life_, what = std::move(what)] {
            if (life == life_) run(what);
        });
    }
    void run(std::function<void()> what) {
        if (!alive()) return;
        if (paused_) {
            backlog_.push_back([this, what = std::move(what), life = life_] {
                if (life == life_) run(what);
            });
            return;
        }
        what();
        if (!alive()) return;
        pump_->release();
        wake();
    }
    void deliver(ledger::Input input) {
        run([this, input = std::move(input)] { pump_->feed(input); });
    }
    void wake() {
        const auto at = pump_->next_wake();
        if (!at || (wake_at_ && *wake_at_ <= *at && *wake_at_ >= clock_.instant())) return;
        wake_at_ = at;
        soon(std::max(Duration(1us), *at - clock_.instant()), [this] {
            wake_at_.reset();
            pump_->feed(ledger::TimePassed{});
        });
    }

    void renew() {
        // Counted from before the question left.
        const Instant asked_at = clock_.instant();
        soon(world_.fault(5) ? world_.between(1s, 8s) : world_.between(1ms, 20ms), [this, asked_at] {
            const std::uint64_t token = world_.fault(5) ? 0 : lease_.ask(name_);
            // The mutant: the one before is always called ours.
            const std::uint64_t previous =
                world_.mutant == Mutant::trust_every_token ? pump_->engine().state().token() : lease_.previous;
            soon(world_.between(1ms, 20ms), [this, asked_at, token, previous] {
                const Instant not_after = asked_at + (k_lease_ttl - k_lease_margin);
                const bool held = token != 0 && clock_.instant() < not_after;
                if (held) {
                    pump_->feed(ledger::LeaseChanged{true, token, not_after, previous});
                    held_until_ = not_after;
                    now_held_ = true;
                    log_on();
                } else if (clock_.instant() >= held_until_) {
                    if (now_held_) {
                        pump_->feed(ledger::LeaseChanged{false, 0, {}});
                        hang_up();
                    }
                    now_held_ = false;
                }
                soon(world_.now > k_faults_end + 30s ? 4s : world_.between(1s, 3s), [this] { renew(); });
            });
        });
    }
    void log_on() {
        if (session_ != 0 || !alive()) return;
        session_ = broker_.logon([this, life = life_](Report report) {
            if (life != life_) return;
            if (report.kind == ReportKind::link_down) {
                session_ = 0;
                soon(world_.between(100ms, 3s), [this] {
                    if (now_held_ && clock_.instant() < held_until_) log_on();
                });
            }
            deliver(ledger::BrokerSaid{std::move(report)});
        });
    }
    void hang_up() {
        if (session_ == 0) return;
        const std::uint64_t session = std::exchange(session_, 0);
        broker_.drop(session);
    }

    /// The projection: what the store has not confirmed, again and again.
    void follow() {
        // Seldom once all is quiet: that keeps the long settling cheap.
        soon(world_.now > k_faults_end + 30s ? 30s : world_.between(200ms, 900ms), [this] {
            std::uint64_t& mark = store_.content.marks[&disk_];
            if (journal_->durable() > mark && world_.now >= store_.away_until && !world_.fault(15)) project(mark);
            if (confirmed_ > state().confirmed(ledger::Sink::clickhouse))
                pump_->feed(ledger::SinkAdvanced{ledger::Sink::clickhouse, confirmed_});
            follow();
            keep_snapshots();
        });
    }
    void project(std::uint64_t& mark) {
        if (!reader_ || reader_at_ != mark) {
            auto opened = trade::JournalReader::open(disk_, mark + 1);
            if (!opened) {
                world_.violation(
                    fmt::format("{}: the store needs what the journal has dropped: {}", name_, opened.error().message));
                mark = journal_->durable();
                return;
            }
            reader_ = *std::move(opened);
            reader_at_ = mark;
        }
        std::uint64_t to = mark;
        while (to < mark + 50) {
            const auto record = reader_->next(journal_->durable());
            if (!record) return world_.violation(name_ + ": the journal does not read: " + record.error().message);
            if (!*record) break;
            to = (*record)->sequence;
            const auto fact = ledger::parse_fact((*record)->payload);
            if (const auto* executed = std::get_if<ledger::OrderExecuted>(&fact->data))
                store_.content.executions[executed->execution.id] = executed->execution;
        }
        reader_at_ = mark = to;
        // Applied, and the answer lost: nothing is confirmed, and the same comes again or more.
        if (!world_.fault(15)) confirmed_ = mark;
    }
    /// As trade::SnapshotKeeper: what is on the disk is replayed and saved; then what every store has may go.
    void keep_snapshots() {
        const ledger::Sequence durable = journal_->durable();
        if (durable < snapshot_at_ + k_snapshot_every) return;
        snapshot_at_ = durable;
        if (world_.fault(20)) disk_.fail_power_after(world_.below(8));
        const auto done = keep_snapshot(
            durable, world_.mutant == Mutant::trim_before_confirm ? durable : std::min(durable, confirmed_));
        if (!disk_.has_power()) return crash_and_come_back();
        if (!done) {
            world_.trace(fmt::format("{} keeps no snapshot: {}", name_, done.error().message));
            if (done.error().code != ErrorCode::disk_full)
                world_.violation(name_ + ": no snapshot can be kept: " + done.error().message);
        }
    }
    Status keep_snapshot(ledger::Sequence durable, ledger::Sequence released) {
        HF_TRY(const auto found, trade::newest_state_snapshot(disk_));
        HF_TRY(const auto replayed, trade::replay_state(disk_, found, horizon(), durable));
        Bytes bytes;
        replayed.state.append_snapshot(bytes);
        HF_DO(trade::save_state_snapshot(disk_, durable, bytes));
        HF_TRY(const ledger::Sequence unneeded, trade::remove_old_snapshots(disk_, released));
        for (const std::string& name : journal_->release(unneeded)) {
            world_.trace(name_ + " releases " + name);
            HF_DO(disk_.remove(name));
            HF_DO(disk_.sync_names());
        }
        return {};
    }
    ledger::Horizon horizon() const {
        ledger::Horizon horizon;
        if (world_.mutant == Mutant::dedupe_by_time_only) horizon.orders_days = 0;
        return horizon;
    }

    // broker::Broker
    Status start(broker::ReportSink) override { return {}; }
    bool send(const Order& order) override {
        if (clock_true_past_lease()) world_.trace(name_ + " sends without a lease");
        const bool sent = broker_.send(session_, order);
        maybe_crash();
        world_.trace(fmt::format("{} sends {} attempt {}: {}", name_, world_.name_of(order.id), order.attempts, sent));
        return sent;
    }
    bool clock_true_past_lease() const { return lease_.holder != name_ || world_.now >= lease_.expires; }
    bool cancel(const Order& order) override { return broker_.cancel(session_, order); }
    bool query(const Order& order, std::uint64_t question) override {
        world_.trace(fmt::format("{} asks for {}", name_, world_.name_of(order.id)));
        if (world_.mutant == Mutant::resend_on_timeout) {
            Report report;
            report.kind = ReportKind::unknown;
            report.order = order.id;
            report.question = question;
            soon(1500ms, [this, report] { pump_->feed(ledger::BrokerSaid{report}); });
        }
        return broker_.query(session_, order.id, question);
    }
    void stop() override {}

    // trade::Listener
    void answered(const ledger::Answer& answer) override {
        if (answer.ticket == 0) return;
        const Uuid id = tickets_[answer.ticket - 1];
        if (answer.verdict == ledger::Verdict::accepted || answer.verdict == ledger::Verdict::duplicate)
            producer_.acknowledged.insert(id);
    }
    void notified(const ledger::Notify&) override {}

    World& world_;
    const std::string name_;
    SimDisk& disk_;
    HostClock& clock_;
    LeaseStore& lease_;
    SimBroker& broker_;
    Store& store_;
    Producer& producer_;
    SimLog sim_log_;
    std::unique_ptr<trade::JournalLog> journal_;
    std::unique_ptr<trade::JournalAsLog<trade::JournalLog>> log_;
    std::optional<trade::JournalReader> reader_;    // of the projection
    std::unique_ptr<trade::Pump> pump_;
    std::uint64_t life_ = 0, session_ = 0, confirmed_ = 0;
    ledger::Sequence reader_at_ = 0, snapshot_at_ = 0;
    ledger::Sequence promised_ = 0;    // durable when it last crashed
    bool paused_ = false, syncing_ = false, now_held_ = false;
    Instant held_until_{};
    std::optional<Instant> wake_at_;
    std::vector<std::function<void()>> backlog_;
    std::vector<Uuid> tickets_;
};

// ---------------------------------------------------------------- one account

class Account {
public:
    Account(World& world, std::uint64_t number, bool two_hosts)
        : world_(world), number_(number), lease_{world, {}, 0, {}}, broker_(world) {
        const bool broken = world.mutant == Mutant::lease_by_wall_clock;
        for (int i = 0; i < 2; ++i) clocks_.push_back(std::make_unique<HostClock>(world, broken));
        for (int i = 0; i < (two_hosts ? 2 : 1); ++i)
            disks_.push_back(std::make_unique<SimDisk>(world.below(~std::uint64_t{0})));
        for (std::size_t i = 0; i < disks_.size(); ++i)
            instances_.push_back(std::make_unique<Instance>(world, fmt::format("{}{}", i == 0 ? 'A' : 'B', number),
                                                            *disks_[i], *clocks_[i], lease_, broker_, store_,
                                                            producer_));
        for (auto& instance : instances_) instance->start();
        produce();
        trouble();
        // The end of all faults: everything runs, and each link is made anew, as every link is some day.
        world_.after(k_faults_end, [this] {
            for (auto& instance : instances_) {
                instance->mend_disk();
                instance->pause(false);
                instance->start();
                instance->turn(true);
                instance->cut_link();
            }
        });
    }

    void check() {
        std::map<Uuid, Decimal> filled;    // by signal
        std::map<std::string, ledger::Execution> executions;
        for (const auto& [id, orders] : broker_.orders()) {
            std::size_t live = 0;
            for (const auto& held : orders) {
                if (held.state != OrderState::rejected) ++live;
                filled[held.order.signal] += held.filled;
                for (const auto& fill : held.fills) executions[fill.id] = fill;
            }
            if (live > 1)
                world_.violation(fmt::format("order {} reached the broker {} times", world_.name_of(id), live));
        }
        world_.outcome.executions += executions.size();
        for (const auto& [id, signal] : producer_.signals)
            if (filled[id] > signal.quantity)
                world_.violation(fmt::format("signal {} was filled with {} instead of {}", world_.name_of(id),
                                             filled[id].text(), signal.quantity.text()));
        for (const auto& [id, execution] : executions) {
            const auto at = store_.content.executions.find(id);
            if (at == store_.content.executions.end())
                world_.violation("execution " + id + " is not in the store");
            else if (at->second.quantity != execution.quantity || at->second.price != execution.price ||
                     at->second.order != execution.order)
                world_.violation("execution " + id + " differs in the store");
        }
        for (const auto& [id, execution] : store_.content.executions)
            if (!executions.contains(id)) world_.violation("the store has an execution that never was: " + id);
        for (const Uuid& id : producer_.acknowledged) {
            bool known = false;
            for (const auto& instance : instances_) {
                if (!instance->alive()) continue;
                known = known || instance->state().remembered().find_order(id) != nullptr ||
                        instance->state().book().find(id) != nullptr;
            }
            if (!known && world_.mutant != Mutant::dedupe_by_time_only)
                world_.violation("signal " + world_.name_of(id) + " was acknowledged and is gone");
        }
        for (const auto& instance : instances_) {
            if (!instance->holds_lease()) continue;
            if (const unsigned bars = instance->bars(); bars != 0)
                world_.violation(fmt::format("the gate is still closed ({})", bars));
            for (const auto& [id, order] : instance->state().book().open()) {
                const auto at = broker_.orders().find(id);
                const bool works = at != broker_.orders().end() && at->second.front().open();
                if (!works)
                    world_.violation(
                        fmt::format("order {} never settled: {} here, {} at the broker", world_.name_of(id),
                                    ledger::name_of(order.state),
                                    at == broker_.orders().end() ? "not" : ledger::name_of(at->second.front().state)));
            }
        }
        for (const auto& instance : instances_)
            if (!instance->alive()) world_.violation(instance->name() + " does not run at the end");
        if (std::ranges::none_of(instances_, [](const auto& i) { return i->holds_lease(); }))
            world_.violation("nobody holds the lease at the end");
    }

private:
    void produce() {
        const std::uint64_t count = 20 + world_.below(60);
        for (std::uint64_t i = 0; i < count; ++i)
            world_.after(world_.between(0s, k_faults_end - 5s), [this, i] {
                ledger::Signal signal;
                signal.id.bytes[0] = std::byte(number_);
                store_le(signal.id.bytes.data() + 8, __builtin_bswap64(i + 1));
                signal.symbol = "EURUSD";
                signal.quantity = Decimal::whole(static_cast<std::int64_t>(1 + world_.below(9)));
                if (world_.chance(60)) signal.created_at = {k_epoch + (world_.now - 60s).count()};
                if (world_.chance(20))
                    signal.deadline = {k_epoch + (world_.now - 60s + world_.between(1s, 120s)).count()};
                producer_.signals[signal.id] = signal;
                ++world_.outcome.signals;
                submit(signal, 8);
                // The same once more, soon or a long time after.
                if (world_.chance(30))
                    world_.after(world_.chance(50) ? world_.between(0ms, 100ms) : world_.between(1s, 100s),
                                 [this, signal] { submit(signal, 3); });
            });
    }
    /// To some instance, and again until it is acknowledged or the producer gives up.
    void submit(const ledger::Signal& signal, int tries) {
        if (tries == 0) return;
        std::vector<Instance*> able;
        for (auto& instance : instances_)
            if (instance->alive()) able.push_back(instance.get());
        if (!able.empty()) able[world_.below(able.size())]->submit(signal);
        world_.after(world_.between(500ms, 3s), [this, signal, tries] {
            if (!producer_.acknowledged.contains(signal.id)) submit(signal, tries - 1);
        });
    }
    void trouble() {
        world_.after(world_.between(500ms, 12s), [this] {
            if (world_.now >= k_faults_end) return;
            Instance& one = *instances_[world_.below(instances_.size())];
            switch (world_.below(10)) {
                case 0:
                case 1:
                case 2:
                    one.crash();
                    world_.after(world_.between(50ms, 15s), [&one] { one.start(); });
                    break;
                case 3:
                    one.pause(true);
                    world_.after(world_.between(100ms, 40s), [&one] { one.pause(false); });
                    break;
                case 4:
                    one.cut_link();
                    break;
                case 5:
                    clocks_[world_.below(clocks_.size())]->wall_offset = world_.between(-90s, 90s);
                    break;
                case 6:
                    one.cancel_something();
                    break;
                case 7:
                    if (!one.alive()) break;
                    one.turn(false);
                    world_.after(world_.between(1s, 10s), [&one] { one.turn(true); });
                    break;
                case 9:
                    store_.away_until = world_.now + world_.between(1s, 60s);
                    break;
                case 8:
                    one.fill_disk(true);
                    world_.after(world_.between(100ms, 8s), [&one] { one.fill_disk(false); });
                    break;
            }
            trouble();
        });
    }

    World& world_;
    const std::uint64_t number_;
    LeaseStore lease_;
    SimBroker broker_;
    Store store_;
    Producer producer_;
    std::vector<std::unique_ptr<HostClock>> clocks_;
    std::vector<std::unique_ptr<SimDisk>> disks_;
    std::vector<std::unique_ptr<Instance>> instances_;
};

}    // namespace

Outcome simulate(std::uint64_t seed, Mutant mutant, bool print) {
    World world(seed, mutant, print);
    std::vector<std::unique_ptr<Account>> accounts;
    const std::uint64_t count = 1 + world.below(2);
    for (std::uint64_t i = 1; i <= count; ++i)
        accounts.push_back(std::make_unique<Account>(world, i, world.chance(50)));
    world.run();
    for (auto& account : accounts) account->check();
    return world.outcome;
}

}    // namespace holdfast::simulation
