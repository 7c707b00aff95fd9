#pragma once
/// The paper broker: a broker of one's own, as a thread with a socket or (holdfast-paper-broker) as a process, so that it
/// outlives the engine that trades with it. Its book is durable before anything of it is answered.
///
///   sessions   one at a time, as at a real broker: before a new one is welcomed the old one is closed, and what was not
///              read from it by then is never read. That makes `unknown` definite
///   faults     what a bad line and a bad broker do: answers that are lost, doubled, swapped; a link that drops. An
///              execution that was lost comes again with the next session or with the answer to a query
///   file       a line for each event: CRC-32C in hex, then JSON; a torn end is cut, damage before the end is an error
///   protocol   a line of JSON each way; docs/operations/brokers.md. A session may be "raw": what a gateway of another
///              protocol needs, namely a doubled order said as such, and questions answered by the state alone
///   rights     it takes whoever may reach its socket: give it a Unix socket (0600), or 127.0.0.1 on a machine of one's own

#include <atomic>
#include <thread>

#include "holdfast/broker/paper_book.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::broker {

struct PaperFaults {
    std::uint64_t seed = 1;
    double lose = 0, twice = 0, swap = 0;    // share of reports
    double drop = 0;    // share of lines from the engine after which the link is cut (they have been taken in)
};

struct PaperServerOptions {
    PaperRules rules;
    PaperFaults faults;
    std::string listen = "127.0.0.1:0";    // host:port, or the path of a Unix socket
    std::string file;    // the book; empty: in memory only
};

class PaperServer {
public:
    /// Errors: corrupt (the book's file), io, config (`listen`), exists (another process has the file).
    static Result<std::unique_ptr<PaperServer>> start(PaperServerOptions options, const Clock& clock);
    ~PaperServer();
    PaperServer(const PaperServer&) = delete;
    PaperServer& operator=(const PaperServer&) = delete;

    /// Where it listens, with the port that it got.
    const std::string& address() const { return address_; }
    /// True once its file could not be written: it has stopped answering (the reason is in the log).
    bool failed() const { return failed_; }

private:
    struct Peer;
    struct Held;
    PaperServer(PaperServerOptions options, const Clock& clock);
    Status open();
    Status load();
    Status listen();
    void run();
    bool settle();
    void accept();
    void read(Peer& peer);
    void take(Peer& peer, std::string_view line);
    void trade(Peer& peer, std::string_view verb, const json::Value& line);
    json::Value control(std::string_view verb, const json::Value& line);
    void tell(json::Value line);
    json::Value line_of(const PaperEvent& event, std::uint64_t number) const;
    json::Value state_of(const Uuid& order, std::uint64_t question) const;
    void say(Peer& peer, const json::Value& line);
    double chance();
    int poll_milliseconds() const;

    const PaperServerOptions options_;
    PaperFaults faults_;
    const Clock& clock_;
    PaperBook book_;
    std::string address_;
    os::Fd listener_, file_, wake_;
    std::uint64_t saved_ = 0, seen_ = 0;    // events that are in the file, that have been told
    std::vector<std::size_t>
        reports_;    // places of the events that are told; a report's number is its place here, from 1
    std::uint64_t luck_ = 0;
    bool away_ = false;    // no sessions are taken
    std::vector<std::unique_ptr<Peer>> peers_;
    Peer* session_ = nullptr;
    std::vector<json::Value> answers_;    // to be told once the file is safe
    std::unique_ptr<Held> held_;    // to be swapped with the next
    std::atomic<bool> ending_ = false, failed_ = false;
    std::thread thread_;
};

/// "host:port" or a path with a '/'.
struct PaperAddress {
    std::string host;
    std::uint16_t port = 0;
    std::string path;    // not empty: a Unix socket
};
Result<PaperAddress> parse_paper_address(std::string_view text);

}    // namespace holdfast::broker
