#pragma once
// A broker that speaks FIX 4.4. (Why it keeps the promises of broker.hpp: docs/decisions/0016-brokers.md.)
//
//   folder   sequence numbers and messages (fix/wire.hpp), and executions.log: each execution that was ever reported, so that
//            a question about an order is answered by its executions, which FIX's own answer does not list; and numbers,
//            up to where ours may have been used, with the name of the boot in which that was written
//   market   one ClOrdID for one order, HandlInst 1; limit and stop orders are good till cancelled. Stop loss and take profit
//            are not sent: FIX 4.4 has no fields for them
//   limits   a trade that the broker cancels or corrects afterwards is reported as `changed` and must be settled by people
//   threads  as Broker; reports come on QuickFIX's thread

#include <cstdint>
#include <latch>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "holdfast/base/json.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/broker/broker.hpp"
#include "holdfast/broker/fix/wire.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::broker {

struct FixOptions {
    std::string host;
    std::uint16_t port = 0;
    std::string sender, target;    // CompIDs
    std::string folder;    // made if missing; one for each session
    std::string account;    // tag 1; empty: not sent
    std::string username;    // of the Logon; empty: none
    Secret password;
    int heartbeat_seconds = 30, reconnect_seconds = 2;
    bool reset_sequence = false;    // once, with the first Logon: when the broker has agreed to begin anew
    bool mass_status = false;    // ask for all orders after each Logon
    std::string session_start, session_end;    // "HH:MM:SS" UTC, if the broker begins anew at a time of the day
};

/// "20261127-11:45:30.123", with 0 to 9 places and with or without the 'Z' of some brokers. Nothing for anything else.
std::optional<Timestamp> parse_fix_time(std::string_view text);
std::string fix_time(Timestamp at);

class FixBroker final : public Broker {
public:
    /// Errors: config (what is missing), io. The clock is only read.
    static Result<std::unique_ptr<Broker>> create(FixOptions options, const Clock& clock);
    ~FixBroker() override;

    Status start(ReportSink sink) override;
    bool send(const ledger::Order& order) override;
    bool cancel(const ledger::Order& order) override;
    bool query(const ledger::Order& order, std::uint64_t question) override;
    void stop() override;
    std::string name() const override;

private:
    friend struct FixTexts;    // fix_fuzz: hands over messages without a session
    struct Question {
        std::uint64_t number = 0;
        Decimal filled;    // as the engine knew it
        bool sent_since = false;    // the order was: an answer to this one proves nothing any more
    };
    struct Known {    // of one order
        std::vector<ledger::Execution> executions;
        std::set<std::string, std::less<>> ids;
        Decimal sum;
        bool changed =
            false;    // the broker has changed one afterwards: its count says nothing more of what is missing
    };
    FixBroker(FixOptions options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
    Status load();
    std::shared_ptr<fix::Wire> wire();
    bool send_out(const fix::Message& message);
    Status load_numbers();
    bool reserve(int number);
    bool remember(const ledger::Execution& execution);
    void note(const json::Value& line);
    void line_up();
    void line_down(const std::string& why);
    void line_refused(const std::string& why);
    void received(const fix::Message& message);
    void execution_report(const fix::Message& message);
    void status(const fix::Message& message, const Uuid& order);
    void executed(const fix::Message& message, const Uuid& order);
    void changed(const fix::Message& message, const Uuid& order, bool cancelled);
    void refused(const fix::Message& message);
    void tell(ReportKind kind, const Uuid& order, const fix::Message& message);
    bool ask(const Uuid& order, const std::string& symbol, const std::string& side, std::uint64_t question);
    std::optional<Question> question_of(const fix::Message& message, const Uuid& order);

    FixOptions options_;
    const Clock& clock_;
    ReportSink sink_;
    std::optional<std::latch> opened_;    // of this start: wire_ is set
    std::string run_;    // names the questions of this process
    os::Fd log_;
    int number_min_ = 1;
    bool refusal_told_ = false;    // since the line was up

    // Never held while the wire is called or a report is handed on.
    std::mutex mutex_;
    std::shared_ptr<fix::Wire> wire_;    // null before the first start
    std::unordered_map<Uuid, std::vector<Question>> questions_;    // of this session, oldest first
    std::unordered_map<Uuid, Known> known_;
    /// What the last answer counted beyond what we were told: the next one decides.
    std::unordered_map<Uuid, std::pair<Decimal, Decimal>> gaps_;    // its count, ours
};

}    // namespace holdfast::broker
