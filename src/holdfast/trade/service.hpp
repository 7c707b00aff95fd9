#pragma once
// The trade engine of one account as a running thing: the rules, their journal, the lease and the broker.
//
//   start     the journal is locked and replayed; then the lease is asked for; with it the broker's session begins; what may be
//             at the broker is asked for; when the stores agree, too, the gate opens (Status says what it waits for)
//   promises  those of trade/pump.hpp and ledger/engine.hpp. Answers come from the engine's thread, in no order
//   failure   when the journal fails for good, nothing is acted upon any more and failure() says why: the process is to be
//             started anew
//   threads   all calls from any; four of its own: the engine's, the journal's, the lease's, the snapshots' (and the broker adapter's)

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <variant>

#include "holdfast/base/json.hpp"
#include "holdfast/trade/intake.hpp"
#include "holdfast/trade/journal.hpp"
#include "holdfast/trade/journal_as_log.hpp"
#include "holdfast/trade/lease_holder.hpp"
#include "holdfast/trade/snapshot_keeper.hpp"

namespace holdfast::trade {

struct ServiceOptions {
    std::string account, instance;
    std::string folder;    // of the journal
    Journal::Options journal;
    ledger::Rules rules;
    ledger::Horizon horizon;
    watch::LeaseMargins margins;
    /// The stores of this account: the journal keeps what one of them has not confirmed.
    std::vector<ledger::Sink> sinks;
    /// A state snapshot after that many facts, and at a clean stop.
    std::uint64_t snapshot_every = 200'000;
    unsigned realtime_priority = 0;    // of the engine's and the journal's thread (os::prefer_this_thread)
    std::function<void(const ledger::Notify&)> notify;    // on the engine's thread; must not wait
};

/// What `trade status` shows. A moment's view.
struct ServiceStatus {
    unsigned bars = 0;
    bool trading_on = true;
    bool stores_due = false;    // ledger::State::stores_due
    std::uint64_t token = 0;
    std::string lease;    // "held", or who has it
    ledger::Sequence appended = 0, durable = 0;
    std::array<ledger::Sequence, std::size(ledger::k_sinks)> confirmed{};
    std::size_t open = 0, in_doubt = 0, waiting = 0, remembered = 0;
    std::string broker, journal_trouble;
};

class Service {
public:
    static Result<std::unique_ptr<Service>> start(ServiceOptions options, std::unique_ptr<broker::Broker> broker,
                                                  std::unique_ptr<LeaseStore> lease, Clock& clock);
    /// As if killed; stop() is the clean way.
    ~Service();

    void submit(Submission submission);
    void cancel(const ledger::Uuid& order, std::function<void(const Outcome&)> answer);
    void turn(bool on, std::string who);
    /// For what stores and their projections have to say.
    void tell(ledger::Input input);

    /// What is known of an order now; nothing: never heard of.
    std::optional<ledger::Order> order(const ledger::Uuid& id);
    std::vector<ledger::Order> open_orders();
    ServiceStatus status();
    Journal& journal() { return *journal_; }
    std::optional<Error> failure() const;

    /// Takes nothing more, writes what was taken, ends the session and gives the lease back. Open orders stay open at the
    /// broker and are asked for at the next start.
    Status stop();

private:
    class Ears final : public Listener {
    public:
        explicit Ears(Service& service) : service_(service) {}
        void answered(const ledger::Answer& answer) override;
        void notified(const ledger::Notify& notify) override;

    private:
        Service& service_;
    };
    using Ask = std::function<void()>;    // run on the engine's thread
    struct Waiting {
        ledger::Signal signal;    // nil ID: of a cancel
        std::function<void(const Outcome&)> answer;
    };
    struct WithAnswer {
        ledger::Input input;    // its ticket is given by the engine's thread
        Waiting waiting;
    };
    using Work = std::variant<ledger::Input, WithAnswer, Ask>;

    Service(ServiceOptions options, std::unique_ptr<broker::Broker> broker, std::unique_ptr<LeaseStore> lease,
            Clock& clock);
    Status open();
    void run();
    void take(Work& work);
    void lease_changed(const LeaseView& view);
    void push(Work work);
    void wake();
    /// `what` on the engine's thread; returns when it is done.
    void with_engine(const std::function<void()>& what);
    void commit();    // of what the engine's thread appended
    void maybe_snapshot(bool now);
    void settle_restored();
    std::optional<ledger::Order> find(const ledger::Uuid& id) const;

    ServiceOptions options_;
    std::unique_ptr<broker::Broker> broker_;
    std::unique_ptr<LeaseStore> store_;    // until the lease is asked for
    Clock& clock_;
    std::unique_ptr<Journal> journal_;
    std::unique_ptr<SnapshotKeeper> snapshots_;
    std::unique_ptr<JournalAsLog<Journal>> log_;
    Ears ears_{*this};
    std::unique_ptr<Pump> pump_;
    bool restored_ = false;    // the journal came out of the vault and has not been settled yet
    ledger::Sequence snapshot_at_ = 0;
    std::uint64_t ticket_last_ = 0;
    std::unordered_map<std::uint64_t, Waiting> answers_;

    mutable std::mutex mutex_;
    std::condition_variable work_there_;
    std::deque<Work> work_;
    bool woken_ = false, stopping_ = false, stopped_ = false;

    bool in_session_ = false;    // the broker's adapter was started; the lease's thread alone uses it
    std::thread engine_thread_;
    std::unique_ptr<LeaseHolder> lease_;
};

}    // namespace holdfast::trade
