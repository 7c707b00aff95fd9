#pragma once
/// The market and the order book of the paper broker, without sockets, threads, files or a clock.
///
///   promises   the same rules, calls and times give the same events, byte for byte, however often time is passed in between;
///              each order's luck (delay, rejection, number of fills) hangs on the seed and its ID alone
///   matching   against the newest tick of its symbol, or against a walk: a price that is a function of seed, symbol and
///              time, so that nothing of it has to be saved. A market order takes the other side's price; a limit waits for
///              its price or better, and gets the tick's; a stop becomes a market order once its price is touched
///   limits     no margin, no fees, no queue position. Stop loss and take profit are carried and not acted on
///   state      events, numbered from 1: restore() of all of them gives the same book
///   threads    one at a time

#include <map>
#include <set>
#include <span>

#include "holdfast/base/json.hpp"
#include "holdfast/broker/broker.hpp"

namespace holdfast::broker {

struct PaperRules {
    std::uint64_t seed = 1;
    Duration delay_min{}, delay_max{};    // from receiving to acknowledging, and between partial fills
    double reject = 0;    // share of orders, 0 to 1
    double partial = 0;    // share of orders that are filled in 2 to 4 pieces
    bool refuse_duplicates = true;    // off: a known ID is one more order, as no honest broker does it
    std::vector<std::string> symbols;    // all others are rejected; empty: every symbol is traded
    Duration walk_step{};    // a new price so often; zero: ticks only
    Decimal walk_price = Decimal::whole(100);    // where walks begin
};

struct Tick {
    std::string symbol;
    Decimal bid, ask;
    Decimal size;    // what may be traded on it, each side; zero: all that is wanted
};

struct PaperEvent {
    enum class Kind : std::uint8_t { received, acked, executed, rejected, cancelled, duplicate, cancel_asked };
    Kind kind = Kind::received;
    std::uint64_t number = 0;
    std::size_t order = 0;    // its place in orders()
    Timestamp at;
    ledger::Execution execution;    // executed
    std::string text;    // acked: the broker's name for it; rejected, cancelled: why
};

struct PaperOrder {
    enum class State : std::uint8_t { received, working, filled, rejected, cancelled };
    ledger::Order request;
    State state = State::received;
    Timestamp received_at;
    std::string broker_id, text;
    Decimal filled;
    bool cancel_asked = false;
    std::vector<std::size_t> executions;    // places in events(), from 0

    bool open() const { return state == State::received || state == State::working; }
};
std::string_view name_of(PaperOrder::State state);

class PaperBook {
public:
    explicit PaperBook(PaperRules rules) : rules_(std::move(rules)) {}

    // Each first lets the time come to `now`. What came of it: events().
    void submit(const ledger::Order& order, Timestamp now);
    /// False: refused (not open, or not known).
    bool cancel(const Uuid& order, Timestamp now);
    void tick(const Tick& tick, Timestamp now);
    void advance(Timestamp now);
    /// When advance() has something to do, if nothing else happens.
    std::optional<Timestamp> next_due() const;

    /// All that is known of an order, as Broker::query promises it; nothing while it is not decided whether the order is
    /// taken: that decision is the answer.
    std::vector<Report> answer(const Uuid& order, std::uint64_t question) const;
    /// What an event says to the one who trades; nothing for received, duplicate and cancel_asked.
    std::optional<Report> report_of(const PaperEvent& event) const;

    /// The newest order of that ID; null without.
    const PaperOrder* find(const Uuid& order) const;
    std::span<const PaperEvent> events() const { return events_; }
    std::span<const PaperOrder> orders() const { return orders_; }
    std::uint64_t duplicates() const { return duplicates_; }    // refused
    std::optional<Tick> quote(const std::string& symbol, Timestamp at) const;

    /// One line of JSON, for the book's file.
    std::string encode(const PaperEvent& event) const;
    /// In the order of their numbers; corrupt for anything that encode() does not give.
    Status restore(std::string_view encoded);
    /// Once, after the last restore(): what fell due while nobody was there happens now.
    void resume(Timestamp now);

private:
    struct Due {
        Timestamp at;
        std::size_t order;
        auto operator<=>(const Due&) const = default;
    };
    void note(PaperEvent event);
    void note(PaperEvent::Kind kind, std::size_t order, Timestamp at, std::string text = {});
    void decide(std::size_t order, Timestamp at);
    void match(std::size_t order, Timestamp at);
    void wait(std::size_t order, Timestamp at);
    Duration delay(const PaperOrder& order, std::uint64_t salt) const;
    std::uint64_t luck(const PaperOrder& order, std::uint64_t salt) const;

    const PaperRules rules_;
    std::vector<PaperEvent> events_;
    std::vector<PaperOrder> orders_;
    std::map<Uuid, std::vector<std::size_t>> by_id_;
    std::set<Due> due_;
    std::map<std::string, std::set<std::size_t>> waiting_;    // for a tick, by symbol
    std::map<std::string, Tick> ticks_;    // `size` is what is left of it
    std::map<std::string, bool> limited_;    // whether the newest tick had a size
    std::uint64_t duplicates_ = 0;
    Timestamp now_{};
};

/// A report or an order as JSON, between the paper broker and those who talk to it.
json::Value to_json(const Report& report);
Result<Report> report_of_json(const json::Value& value);
json::Value to_json(const ledger::Order& order);
Result<ledger::Order> order_of_json(const json::Value& value);

}    // namespace holdfast::broker
