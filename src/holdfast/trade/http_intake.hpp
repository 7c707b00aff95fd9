#pragma once
// Signals over HTTP, on a TCP address, a Unix socket, or both.
//
//   POST /v1/signals         one signal or an array of them (trade/signal_json.hpp). 202 accepted; 200 duplicate, with the
//                            first outcome; 400 refused; 409 the UUID is another signal's; 413 over k_body_max; 503 not now,
//                            with Retry-After. For an array the status is the worst one's, and each outcome is in the body
//   GET  /v1/orders/UUID     what is known of an order; 404
//   GET  /v1/results         changes of orders: ?after=SEQUENCE&max=N&wait=SECONDS; without `after`: from now on
//   POST /v1/ticks           [{"symbol", "bid", "ask", "at"?}, …], numbers as strings; 200; 501 when nobody takes them
//
//   security  over TCP a bearer token is asked for (401), compared in constant time; over the Unix socket the file's rights
//             decide (0600). Nothing is said about anything before that
//   promise   200 and 202 mean that the journal has it. Whoever hears neither sends the same signal again
//   limits    `connections_max` connections of bounded patience, `waiting_max` signals that wait for their outcome
//   threads   hooks are called from any number of threads at once
//   end       stop() waits for requests that are on their way

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/secret.hpp"
#include "holdfast/http/exchange.hpp"
#include "holdfast/http/server.hpp"
#include "holdfast/trade/intake.hpp"
#include "holdfast/trade/result_feed.hpp"

namespace holdfast::trade {

inline constexpr std::size_t k_body_max = 64 << 10;

/// A price that a producer saw.
struct ProducerTick {
    std::string symbol;
    ledger::Decimal bid, ask;
    Timestamp at;
};

struct HttpIntakeOptions {
    std::string listen{};    // "127.0.0.1:8791"; empty: no TCP
    std::string unix_socket{};    // empty: none
    Secret token{};    // for TCP; at least k_token_min characters
    std::optional<http::TlsIdentity> tls{};
    http::Patience patience{std::chrono::seconds(120), std::chrono::seconds(10), std::chrono::seconds(10), 4 << 10};
    unsigned connections_max = 128;
    unsigned waiting_max = 4096;
    Duration answer_max = std::chrono::seconds(5);    // then 503: it may have been taken all the same
};
inline constexpr std::size_t k_token_min = 16;

/// What the engine offers.
struct HttpIntakeHooks {
    Submit submit;
    /// An order by its ID, open or remembered.
    std::function<Result<std::optional<ledger::Order>>(const ledger::Uuid&)> find;
    std::shared_ptr<ResultFeed> results{};    // null: 501
    std::function<Status(std::span<const ProducerTick>)> ticks{};    // empty: 501
    /// Other paths; false: there is no such thing. Who asks has been admitted.
    std::function<bool(http::Exchange&)> more{};
};

struct IntakeCounts {
    std::uint64_t accepted = 0, duplicate = 0, conflict = 0, refused = 0, unavailable = 0, denied = 0;
};

class HttpIntake {
public:
    /// config: no way to listen on, TCP without a token or with a short one. Else as http::Server.
    static Result<std::unique_ptr<HttpIntake>> start(HttpIntakeOptions options, HttpIntakeHooks hooks, Clock& clock);
    ~HttpIntake();
    std::string url() const { return server_->url(); }
    std::uint16_t port() const { return server_->port(); }
    IntakeCounts counts() const;
    void stop();

private:
    HttpIntake(HttpIntakeOptions options, HttpIntakeHooks hooks, Clock& clock);
    bool answer(http::Connection& connection, std::string_view head, bool stopping);
    bool admits(const http::Exchange& exchange);
    void dispatch(http::Exchange& exchange);
    void take_signals(http::Exchange& exchange);
    void find_order(http::Exchange& exchange, std::string_view id);
    void send_results(http::Exchange& exchange);
    void take_ticks(http::Exchange& exchange);
    std::vector<Outcome> submit(const std::vector<ledger::Signal>& signals);

    HttpIntakeOptions options_;
    const HttpIntakeHooks hooks_;
    Clock& clock_;
    std::atomic<unsigned> waiting_ = 0;
    std::atomic<bool> stopping_ = false;
    struct Counters {
        std::atomic<std::uint64_t> accepted = 0, duplicate = 0, conflict = 0, refused = 0, unavailable = 0, denied = 0;
    };
    Counters counters_;
    std::unique_ptr<http::Server> server_;
};

}    // namespace holdfast::trade
