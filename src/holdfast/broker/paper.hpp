#pragma once
// The adapter of the paper broker, and the hand that moves its market. Both talk to a PaperServer: in this process, or in
// holdfast-paper-broker.

#include <condition_variable>
#include <mutex>
#include <thread>

#include "holdfast/broker/paper_book.hpp"
#include "holdfast/os/fd.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::broker {

class PaperBroker final : public Broker {
public:
    /// `address`: host:port, or the path of a Unix socket.
    static Result<std::unique_ptr<Broker>> create(std::string address);
    ~PaperBroker() override;

    Status start(ReportSink sink) override;
    bool send(const ledger::Order& order) override;
    bool cancel(const ledger::Order& order) override;
    bool query(const ledger::Order& order, std::uint64_t question) override;
    void stop() override;
    std::string name() const override { return "paper at " + address_; }

private:
    explicit PaperBroker(std::string address) : address_(std::move(address)) {}
    void run();
    Status session();
    Status take(std::string_view line);
    bool write(const json::Value& line);

    const std::string address_;
    ReportSink sink_;
    os::Fd wake_;
    std::uint64_t heard_ = 0;    // all numbered reports up to here have come
    bool known_ = false;    // where we are in the broker's reports
    bool ending_ = false;
    std::mutex mutex_;    // of ending_ and link_
    std::condition_variable changed_;
    std::shared_ptr<os::Socket> link_;    // null: no session
    std::thread thread_;
};

/// For tests, the demo and `paper` markets: moves the market, sets faults, reads the book. Not thread-safe.
class PaperControl {
public:
    static Result<PaperControl> connect(const std::string& address);
    Status tick(const Tick& tick);
    /// {"do": "faults", "lose": 0.1}, {"do": "drop"}, {"do": "away", "on": true}
    Status tell(const json::Value& line);

    struct Listing {
        struct Entry {
            ledger::Order order;    // `filled` and `broker_id`, too
            std::string state;
        };
        std::vector<Entry> orders;
        std::vector<ledger::Execution> executions;
        std::uint64_t duplicates = 0;    // orders that were refused because their ID was known
    };
    Result<Listing> list();

private:
    Result<json::Value> ask(const json::Value& line);
    os::Socket socket_;
};

}    // namespace holdfast::broker
