#pragma once
/// The rules of the trade path, as a pure state machine: `step(input, now)` notes facts and asks for actions.
///
///   promises   at most one order a signal is live at the broker (children only for what is certain to be unfilled); an order is
///              sent again only when it is certain that the broker never had it; what is past its time is not begun
///   contract   the owner appends the facts of a step to the journal, in order, and carries out its actions only when
///              all facts up to then are durable. A crash may come anywhere: a new Engine on the replayed State goes on
///   time       `wall` for what outlives the process (deadlines, ages), `mono` for waits and leases. A wall clock that
///              jumps may expire a signal early, and never revives one
///   threads    one at a time; no I/O, no clock, no randomness inside

#include <deque>
#include <queue>
#include <string>
#include <tuple>
#include <unordered_set>
#include <variant>
#include <vector>

#include "holdfast/ledger/report.hpp"
#include "holdfast/ledger/state.hpp"

namespace holdfast::ledger {

struct Now {
    Timestamp wall;
    Instant mono;
};

struct Rules {
    Duration signal_ttl = std::chrono::seconds(30);    // a signal not begun by then expires
    Duration answer_max = std::chrono::seconds(5);    // silence after a sending until the broker is asked
    Duration look_again = std::chrono::minutes(1);    // a working order is asked for that often
    Duration ask_again = std::chrono::seconds(2);    // doubled each time, up to ask_again_max
    Duration ask_again_max = std::chrono::seconds(30);
    std::vector<Duration> retries = {std::chrono::seconds(1), std::chrono::seconds(2), std::chrono::seconds(4),
                                     std::chrono::seconds(8), std::chrono::seconds(16)};
    Duration parked_retry = std::chrono::minutes(1);
    Duration retry_max = std::chrono::hours(1);    // since it was accepted; a nearer deadline goes before it
    bool resume_remainder = true;    // what the broker closed partially filled goes on as a child order
    std::uint32_t children_max = 16;
    std::size_t open_max = 100'000;    // orders; more signals are answered `unavailable`
};

// What comes in.
struct SignalArrived {
    Signal signal;
    std::uint64_t ticket = 0;    // for the answer
};
struct CancelAsked {
    Uuid order;
    std::uint64_t ticket = 0;
};
/// What became of a Send. False: it certainly never left.
struct HandedOver {
    Uuid order;
    std::uint32_t attempt = 0;
    bool sent = true;
    std::string reason;    // why not
};
struct BrokerSaid {
    Report report;
};
/// The lease is ours until `not_after` (no lease used: the end of time), or no longer (`held` false).
struct LeaseChanged {
    bool held = true;
    std::uint64_t token = 0;
    Instant not_after;
    std::optional<std::uint64_t> previous = std::nullopt;    // the token before this one; nothing: not certain
};
/// All stores have told what others traded before the session of `token`, and the engine was told all of it.
struct StoresTold {
    std::uint64_t token = 0;
};
/// The stores have been compared with the journal and nothing is missing any more.
struct StoresAgreed {};
struct SwitchTurned {
    bool on = true;
    std::string who;
};
struct SinkAdvanced {
    Sink sink = Sink::redis;
    Sequence sequence = 0;
};
/// An order that a store told of when the journal had been lost.
struct FoundInStore {
    Order order;
    std::vector<std::string> executions;    // IDs that are counted in it
    std::string where;
};
/// Gives up what has not left: the link to the broker is disabled.
struct DropPending {
    std::string reason;
};
/// The broker is asked for every order that it may have, as after a reconnect.
struct LookAgain {};
struct TimePassed {};
using Input = std::variant<SignalArrived, CancelAsked, HandedOver, BrokerSaid, LeaseChanged, StoresTold, StoresAgreed,
                           SwitchTurned, SinkAdvanced, FoundInStore, DropPending, LookAgain, TimePassed>;

// What goes out.
enum class Verdict : std::uint8_t { accepted, duplicate, refused, unavailable };
struct Answer {
    std::uint64_t ticket = 0;
    Verdict verdict = Verdict::accepted;
    std::optional<Order> order;    // accepted, duplicate: what is known of it (of a closed one: ID, state, filled)
    std::string text;
};
/// Check `not_after` against the clock immediately before the bytes leave; when it has passed, answer HandedOver{sent: false}.
struct Send {
    Order order;
    Instant not_after;
};
struct Cancel {
    Order order;
};
struct Ask {
    Order order;
    std::uint64_t question = 0;
};
enum class Severity : std::uint8_t { info, warning, error };
struct Notify {
    Severity severity = Severity::info;
    Uuid order;    // nil: about no order
    std::string text;
};
using Action = std::variant<Answer, Send, Cancel, Ask, Notify>;

struct Output {
    std::vector<Fact> facts;
    std::vector<Action> actions;
    void clear() {
        facts.clear();
        actions.clear();
    }
};

/// What keeps new orders from leaving.
enum class Bar : std::uint8_t { lease = 1, link = 2, in_doubt = 4, stores = 8, paused = 16 };

/// All that is still known of an order that is closed: ID, state, filled.
Order outline_of(const ClosedOrder& closed);

class Engine {
public:
    /// Goes on where `state` ends. `instance` names this engine in SessionStarted, `foreign` says that others may have
    /// traded since the journal's last fact.
    Engine(State state, Rules rules, std::string instance, bool foreign, Now now);

    /// Adds to `out`. The facts are folded into the state here; the owner numbers them in the same order.
    void step(const Input& input, Now now, Output& out);
    /// When step(TimePassed) has something to do, if nothing else happens.
    std::optional<Instant> next_wake() const;

    const State& state() const { return state_; }
    /// Bits of Bar; 0: the gate is open.
    unsigned bars() const;
    std::size_t in_doubt() const { return doubts_at_start_.size(); }
    std::size_t waiting() const { return waiting_.size(); }

private:
    enum class Wait : std::uint8_t { none, expiry, retry, answer, ask_again };
    /// What need not survive the engine.
    struct Running {
        Instant accepted_at;
        Wait wait = Wait::none;
        std::uint64_t timer = 0;    // of the timer that counts
        std::uint64_t question = 0;    // of the newest query since the last sending; 0: none
        Duration ask_again{};
        bool queued = false;    // in waiting_
        bool asked_first = false;    // a foreign-time signal that the broker does not know
        bool cancel_sent = false;
    };
    struct Timer {
        Instant at;
        Uuid order;
        std::uint64_t number;
        bool operator>(const Timer& other) const { return std::tie(at, number) > std::tie(other.at, other.number); }
    };

    void take(const SignalArrived& input);
    void take(const CancelAsked& input);
    void take(const HandedOver& input);
    void take(const BrokerSaid& input);
    void take(const LeaseChanged& input);
    void take(const StoresTold& input);
    void take(const StoresAgreed& input);
    void take(const SwitchTurned& input);
    void take(const SinkAdvanced& input);
    void take(const FoundInStore& input);
    void take(const DropPending& input);
    void take(const LookAgain& input);
    void take(const TimePassed& input);

    const Order* note(FactData data);
    void act(Action action) { out_->actions.push_back(std::move(action)); }
    void notify(Severity severity, const Uuid& order, std::string text) {
        act(Notify{severity, order, std::move(text)});
    }

    void begin_waiting();
    void try_begin(const Uuid& id);
    bool is_past(const Order& order, const Running& running, std::string& why) const;
    void ask(const Uuid& id);
    void failed_attempt(const Order& order, std::string reason);
    void close(const Uuid& id, OrderState state, std::string reason);
    void link_up();
    void ask_for_all();
    void executed(const Report& report);
    void closed_at_broker(const Order& order, const Report& report);
    void send_child(const Uuid& parent);
    bool adopt_child(const Report& report);
    void settled(const Uuid& id);
    void set_timer(const Uuid& id, Wait wait, Duration after);
    void clear_timer(Running& running) { running.wait = Wait::none, running.timer = 0; }
    Duration age_of(const Order& order, const Running& running) const;
    Running& running_of(const Uuid& id) { return running_[id]; }

    State state_;
    const Rules rules_;
    const std::string instance_;
    bool foreign_;
    Now now_;
    Output* out_ = nullptr;
    Sequence told_;    // of the newest fact that is more than a sink's confirmation

    bool session_ = false, lease_ = false, link_ = false, stores_ = false;
    Instant lease_until_{};
    std::unordered_map<Uuid, Running> running_;
    /// Children that the broker is asked for before they are made: another instance may have sent them.
    struct AskedChild {
        Uuid parent;
        std::uint64_t question = 0;
    };
    std::unordered_map<Uuid, AskedChild> asked_children_;
    std::unordered_set<Uuid> doubts_at_start_;    // to be answered before the gate opens
    std::deque<Uuid> waiting_;    // accepted orders that wait for the gate
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    std::uint64_t timer_last_ = 0, question_last_ = 0;
};

}    // namespace holdfast::ledger
