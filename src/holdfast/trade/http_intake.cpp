#include "holdfast/trade/http_intake.hpp"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "holdfast/base/json.hpp"
#include "holdfast/base/log.hpp"
#include "holdfast/trade/signal_json.hpp"

namespace holdfast::trade {
namespace {

using http::Exchange;
using Verdict = Outcome::Verdict;

constexpr std::string_view k_json = "application/json";
constexpr std::size_t k_results_max = 256;
constexpr auto k_wait_max = std::chrono::seconds(30);

void refuse(Exchange& exchange, int status, std::string_view why, std::string_view extra = {}) {
    std::string body = "{\"error\":";
    json::append_quoted(body, why);
    exchange.reply(status, body + "}\n", k_json, extra);
}

// The same time for every token, whatever it shares with ours and however long it is.
bool is_equal(std::string_view one, std::string_view two) {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> a, b;
    SHA256(reinterpret_cast<const unsigned char*>(one.data()), one.size(), a.data());
    SHA256(reinterpret_cast<const unsigned char*>(two.data()), two.size(), b.data());
    return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<std::string_view> parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view part = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(part.size() + 1, query.size()));
        if (part.starts_with(name) && part.substr(name.size()).starts_with('=')) return part.substr(name.size() + 1);
    }
    return std::nullopt;
}

// The number in the query, or the fallback when it is not there; nullopt when it is none.
std::optional<std::uint64_t> number(std::string_view query, std::string_view name, std::uint64_t fallback) {
    const auto text = parameter(query, name);
    if (!text) return fallback;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (text->empty() || error != std::errc() || end != text->data() + text->size()) return std::nullopt;
    return value;
}

// What several signals' outcomes are collected in. Lives as long as the last of their answers.
struct Gathering {
    explicit Gathering(std::size_t count) : outcomes(count), left(count) {}
    std::mutex mutex;
    std::condition_variable done;
    std::vector<std::optional<Outcome>> outcomes;
    std::size_t left;
};

int status_of(const Outcome& outcome, bool conflicts) {
    switch (outcome.verdict) {
        case Verdict::accepted:
            return 202;
        case Verdict::duplicate:
            return conflicts ? 409 : 200;
        case Verdict::refused:
            return conflicts ? 409 : 400;
        case Verdict::unavailable:
            return 503;
    }
    return 503;
}

std::string_view word_of(int status) {
    switch (status) {
        case 202:
            return "accepted";
        case 200:
            return "duplicate";
        case 409:
            return "conflict";
        case 400:
            return "refused";
        default:
            return "unavailable";
    }
}

std::string outcome_json(const ledger::Signal& signal, const Outcome& outcome, int status) {
    std::string out = fmt::format("{{\"id\":\"{}\",\"verdict\":\"{}\"", signal.id.text(), word_of(status));
    if (outcome.order && status != 409) out += ",\"order\":" + order_json(*outcome.order);
    if (!outcome.text.empty()) {
        out += ",\"text\":";
        json::append_quoted(out, outcome.text);
    }
    return out + '}';
}

Result<ProducerTick> read_tick(const json::Value& value, Clock& clock) {
    const auto bad = [](std::string text) { return fail(ErrorCode::usage, std::move(text)); };
    ProducerTick tick;
    for (const auto& [name, field] : value.members()) {
        if (!field.is_string())
            return bad(fmt::format("{} must be a string", name == "bid" || name == "ask" ? name : "a tick's field"));
        const std::string text = field.text();
        if (name == "symbol") {
            tick.symbol = text;
        } else if (name == "bid" || name == "ask") {
            const auto price = ledger::Decimal::parse(text);
            if (!price || !price->positive()) return bad(fmt::format("{} must be a positive number", name));
            (name == "bid" ? tick.bid : tick.ask) = *price;
        } else if (name == "at") {
            HF_TRY(tick.at, parse_rfc3339(text));
        } else {
            return bad("a tick has symbol, bid, ask and at");
        }
    }
    if (tick.symbol.empty() || tick.symbol.size() > 32 ||
        !std::ranges::all_of(tick.symbol, [](char c) { return c > ' ' && c < 127; }))
        return bad("the symbol must be 1 to 32 printable characters without spaces");
    if (!tick.bid.positive() || !tick.ask.positive()) return bad("bid and ask must be there");
    if (tick.at.nanoseconds == 0) tick.at = clock.now();
    return tick;
}

}    // namespace

HttpIntake::HttpIntake(HttpIntakeOptions options, HttpIntakeHooks hooks, Clock& clock)
    : options_(std::move(options)), hooks_(std::move(hooks)), clock_(clock) {}

Result<std::unique_ptr<HttpIntake>> HttpIntake::start(HttpIntakeOptions options, HttpIntakeHooks hooks, Clock& clock) {
    HF_ASSERT(hooks.submit && hooks.find);
    if (options.listen.empty() && options.unix_socket.empty())
        return fail(ErrorCode::config, "the HTTP intake has nothing to listen on", "name an address or a Unix socket");
    if (!options.listen.empty() && options.token.reveal().size() < k_token_min)
        return fail(ErrorCode::config,
                    options.token.empty() ? "the HTTP intake has no token: everybody could trade"
                                          : "the HTTP intake's token is too short to be safe",
                    fmt::format("at least {} random characters: openssl rand -hex 32", k_token_min));
    std::unique_ptr<HttpIntake> intake(new HttpIntake(std::move(options), std::move(hooks), clock));
    HttpIntakeOptions& own = intake->options_;
    const bool has_tls = own.tls.has_value();
    HF_TRY(intake->server_,
           http::Server::start({.listen = own.listen,
                                .unix_socket = own.unix_socket,
                                .tls = std::move(own.tls),
                                .patience = own.patience,
                                .connections_max = own.connections_max},
                               [raw = intake.get()](http::Connection& connection, std::string_view head, bool stopping,
                                                    unsigned) { return raw->answer(connection, head, stopping); }));
    const std::string& address = intake->server_->address();
    if (!has_tls && !address.empty() && !address.starts_with("127.") && !address.starts_with("[::1]"))
        log_warning("the intake's token travels in the clear: give a certificate, or listen on 127.0.0.1",
                    {{"address", address}});
    return intake;
}

HttpIntake::~HttpIntake() { stop(); }

void HttpIntake::stop() {
    stopping_ = true;
    if (hooks_.results) hooks_.results->close();
    if (server_) server_->stop();
}

IntakeCounts HttpIntake::counts() const {
    return {counters_.accepted, counters_.duplicate,   counters_.conflict,
            counters_.refused,  counters_.unavailable, counters_.denied};
}

bool HttpIntake::answer(http::Connection& connection, std::string_view head_text, bool stopping) {
    auto head = http::parse_request_head(head_text);
    Exchange exchange{connection, head ? *std::move(head) : http::RequestHead{}};
    exchange.close = stopping || !head || exchange.head.wants_close();
    if (!head) {
        refuse(exchange, 400, head.error().message);
    } else if (!admits(exchange)) {
        ++counters_.denied;
        refuse(exchange, 401, "a bearer token is needed", "WWW-Authenticate: Bearer realm=\"holdfast\"\r\n");
    } else {
        dispatch(exchange);
    }
    if (exchange.close && exchange.has_unread_body()) connection.linger();
    return !exchange.close;
}

bool HttpIntake::admits(const Exchange& exchange) {
    if (exchange.connection.is_local()) return true;
    const std::string_view value = exchange.head.header("authorization").value_or("");
    constexpr std::string_view k_scheme = "bearer ";
    if (value.size() < k_scheme.size() || strncasecmp(value.data(), k_scheme.data(), k_scheme.size()) != 0)
        return false;
    return is_equal(value.substr(k_scheme.size()), options_.token.reveal());
}

void HttpIntake::dispatch(Exchange& exchange) {
    constexpr std::string_view k_orders = "/v1/orders/";
    const std::string& method = exchange.head.method;
    const std::string_view path = exchange.head.path;
    const auto only = [&](std::string_view wanted) {
        if (method == wanted) return true;
        refuse(exchange, 405, fmt::format("this is for {}", wanted), fmt::format("Allow: {}\r\n", wanted));
        return false;
    };
    if (path == "/v1/signals") {
        if (only("POST")) take_signals(exchange);
    } else if (path.starts_with(k_orders)) {
        if (only("GET")) find_order(exchange, path.substr(k_orders.size()));
    } else if (path == "/v1/results") {
        if (only("GET")) send_results(exchange);
    } else if (path == "/v1/ticks") {
        if (only("POST")) take_ticks(exchange);
    } else if (!hooks_.more || !hooks_.more(exchange)) {
        refuse(exchange, 404, "there is no such thing here");
    }
}

namespace {

// The body, or an answer that says why not.
std::optional<std::string> body_of(Exchange& exchange) {
    if (exchange.head.has_transfer_coding) {
        refuse(exchange, 411, "a body says its length by Content-Length");
        return std::nullopt;
    }
    auto body = exchange.read_body(k_body_max);
    if (body) return *std::move(body);
    if (body.error().code == ErrorCode::usage)
        refuse(exchange, 411, body.error().message);
    else if (body.error().code == ErrorCode::incomplete)
        refuse(exchange, 413, body.error().message);
    else
        exchange.close = true;    // the client has gone or is too slow
    return std::nullopt;
}

}    // namespace

// Waits for all outcomes, at most answer_max.
std::vector<Outcome> HttpIntake::submit(const std::vector<ledger::Signal>& signals) {
    const auto gathering = std::make_shared<Gathering>(signals.size());
    const Timestamp latest = clock_.now() + k_clock_ahead_max;
    for (std::size_t i = 0; i < signals.size(); ++i) {
        auto answer = [gathering, i](const Outcome& outcome) {
            const std::scoped_lock lock(gathering->mutex);
            gathering->outcomes[i] = outcome;
            if (--gathering->left == 0) gathering->done.notify_all();
        };
        if (signals[i].created_at > latest)
            answer(
                {Verdict::refused, {}, "created_at lies in the future: the producer's clock is ahead of this host's"});
        else
            hooks_.submit({signals[i], std::move(answer)});
    }
    std::unique_lock lock(gathering->mutex);
    gathering->done.wait_for(lock, options_.answer_max, [&] { return gathering->left == 0; });
    std::vector<Outcome> outcomes;
    for (const auto& outcome : gathering->outcomes)
        outcomes.push_back(outcome.value_or(
            Outcome{Verdict::unavailable, {}, "the engine did not answer in time; send the same signal again"}));
    return outcomes;
}

void HttpIntake::take_signals(Exchange& exchange) {
    const auto body = body_of(exchange);
    if (!body) return;
    const auto signals = parse_signals(*body);
    if (!signals) {
        ++counters_.refused;
        return refuse(exchange, 400, signals.error().message);
    }
    const auto count = static_cast<unsigned>(signals->size());
    std::vector<Outcome> outcomes;
    // Signals whose answer was given up on are not counted: the engine has a limit of its own for them.
    if (waiting_.fetch_add(count) + count > options_.waiting_max || stopping_)
        outcomes.assign(count,
                        {Verdict::unavailable, {}, stopping_ ? "the engine is stopping" : "too many signals wait"});
    else
        outcomes = submit(*signals);
    waiting_ -= count;
    int worst = 200;
    std::string text;
    const auto rank = [](int status) {
        return status == 503 ? 4 : status == 409 ? 3 : status == 400 ? 2 : status == 202;
    };
    for (std::size_t i = 0; i < count; ++i) {
        Outcome& outcome = outcomes[i];
        // An engine that compares by itself refuses it, and says with which order.
        const bool conflicts =
            outcome.order && (outcome.verdict == Verdict::refused ||
                              (outcome.verdict == Verdict::duplicate && !asks_for((*signals)[i], *outcome.order)));
        if (conflicts)
            outcome.text = "this UUID is that of another signal, which counts; a new demand needs a new UUID";
        const int status = status_of(outcome, conflicts);
        if (rank(status) > rank(worst)) worst = status;
        ++(status == 202   ? counters_.accepted
           : status == 200 ? counters_.duplicate
           : status == 409 ? counters_.conflict
           : status == 400 ? counters_.refused
                           : counters_.unavailable);
        text += (text.empty() ? "" : ",") + outcome_json((*signals)[i], outcome, status);
    }
    // An array is answered by one, also when it holds one.
    const bool is_array =
        body->find_first_not_of(" \t\r\n") != std::string::npos && (*body)[body->find_first_not_of(" \t\r\n")] == '[';
    exchange.reply(worst, is_array ? '[' + text + "]\n" : text + '\n', k_json,
                   worst == 503 ? "Retry-After: 1\r\n" : "");
}

void HttpIntake::find_order(Exchange& exchange, std::string_view text) {
    const auto id = ledger::Uuid::parse(text);
    if (!id) return refuse(exchange, 400, "this is not a UUID");
    const auto order = hooks_.find(*id);
    if (!order) {
        log_warning("an order could not be looked up", {{"why", order.error().message}});
        return refuse(exchange, 503, "not now", "Retry-After: 1\r\n");
    }
    if (!*order) return refuse(exchange, 404, "no order with this ID is known");
    exchange.reply(200, order_json(**order) + '\n', k_json);
}

void HttpIntake::send_results(Exchange& exchange) {
    if (!hooks_.results) return refuse(exchange, 501, "results are not offered here");
    const std::string_view query = exchange.head.query;
    const auto after = number(query, "after", hooks_.results->last());
    const auto max = number(query, "max", k_results_max), wait = number(query, "wait", 0);
    if (!after || !max || !wait || *max == 0) return refuse(exchange, 400, "after, max and wait are whole numbers");
    const Duration patience =
        stopping_ ? Duration{} : std::chrono::seconds(std::min<std::uint64_t>(*wait, k_wait_max.count()));
    const ResultPage page = hooks_.results->read(*after, std::min<std::size_t>(*max, k_results_max), patience);
    std::string text;
    for (const OrderChange& change : page.changes)
        text += fmt::format("{}{{\"sequence\":{},\"order\":{}}}", text.empty() ? "" : ",", change.sequence,
                            order_json(change.order));
    exchange.reply(200, fmt::format("{{\"next\":{},\"gap\":{},\"changes\":[{}]}}\n", page.next, page.gap, text),
                   k_json);
}

void HttpIntake::take_ticks(Exchange& exchange) {
    if (!hooks_.ticks) return refuse(exchange, 501, "nobody takes ticks here");
    const auto body = body_of(exchange);
    if (!body) return;
    const auto value = json::parse(*body, "the body");
    if (!value || !value->is_array()) return refuse(exchange, 400, "ticks are an array: [{\"symbol\": …}]");
    std::vector<ProducerTick> ticks;
    for (const json::Value& item : value->items()) {
        auto tick = read_tick(item, clock_);
        if (!tick) return refuse(exchange, 400, fmt::format("tick {}: {}", ticks.size() + 1, tick.error().message));
        ticks.push_back(*std::move(tick));
    }
    if (const auto taken = hooks_.ticks(ticks); !taken)
        return refuse(exchange, 503, taken.error().message, "Retry-After: 1\r\n");
    exchange.reply(200);
}

}    // namespace holdfast::trade
