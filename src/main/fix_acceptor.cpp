// A program of the tests: a broker that speaks FIX 4.4. The paper broker behind a QuickFIX acceptor.
//
//   hf-fix-acceptor PORT FOLDER    listens on ALL addresses (QuickFIX cannot do otherwise): start it in a network namespace
//
// Its CompID is BROKER, the client's HOLDFAST. FOLDER/paper is the paper broker's socket, by which a test moves the market
// and sets faults. Prints "ready". Orders for the symbol BUSINESS are refused by a BusinessMessageReject, for MALFORMED by a
// session Reject; all but EURUSD are rejected in the ordinary way. Of the questions about orders for UNNAMED the first gets no
// answer, and the others one that does not repeat their name. A cancel for CORRECT or BUST is answered as if the last trade of the
// order had been corrected to 4 at 1.5, or cancelled.

#include <fmt/core.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <map>
#include <mutex>
#include <set>

#include "holdfast/broker/fix.hpp"
#include "holdfast/broker/fix/wire.hpp"
#include "holdfast/broker/paper.hpp"
#include "holdfast/broker/paper_server.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;
using ledger::Decimal;
using ledger::Uuid;

class Gateway {
public:
    Gateway(int port, std::string folder) : port_(port), folder_(std::move(folder)) {}

    Status run() {
        broker::PaperServerOptions options;
        options.rules.symbols = {"EURUSD"};
        options.listen = folder_ + "/paper";
        options.file = folder_ + "/book";
        HF_TRY(const auto paper, broker::PaperServer::start(options, clock_));
        HF_TRY(socket_, os::Socket::connect_unix(options.listen, 5s));
        // From the start: FIX may have missed the last reports when we were killed, and doubles do no harm.
        HF_DO(say(json::Value::object({{"do", "hello"}, {"after", 0}, {"raw", true}})));
        fix::Settings settings;
        settings.port = port_;
        settings.sender = "BROKER";
        settings.target = "HOLDFAST";
        settings.folder = folder_ + "/fix";
        fix::Events events;
        events.received = [this](const fix::Message& message) { received(message); };
        std::string error;
        HF_DO(os::make_folders(settings.folder));
        wire_ = fix::open_acceptor(settings, std::move(events), error);
        opened_.count_down();
        if (!wire_) return fail(ErrorCode::config, error);
        fmt::print("ready\n");
        std::fflush(stdout);
        return read();
    }

private:
    struct Seen {    // of one order
        std::set<std::string> executions;
        Decimal filled, value;    // value: sum of quantity times price
    };

    Status say(const json::Value& line) {
        const std::scoped_lock lock(socket_mutex_);
        return socket_.write(as_bytes(json::dump(line) + '\n'), 5s);
    }
    void pass_on(const json::Value& line) {
        if (!say(line)) std::_Exit(1);
    }

    // ---- from FIX to paper

    void received(const fix::Message& message) {
        opened_.wait();
        const std::string id = message.text(11);
        if (message.type == "D") {
            const std::string symbol = message.text(55);
            if (symbol == "BUSINESS" || symbol == "MALFORMED") {
                fix::Message out;
                out.type = symbol == "BUSINESS" ? "j" : "3";
                out.fields = {{45, std::to_string(message.sequence)}, {372, "D"}, {58, "not taken"}};
                if (symbol == "BUSINESS") out.fields.insert(out.fields.end(), {{379, id}, {380, "4"}});
                (void)wire_->send(out);
                return;
            }
            const char* types[] = {"market", "limit", "stop"};
            json::Value order = json::Value::object({{"id", id},
                                                     {"signal", id},
                                                     {"symbol", symbol},
                                                     {"side", message.text(54) == "1" ? "buy" : "sell"},
                                                     {"type", types[(message.text(40)[0] - '1') % 3]},
                                                     {"quantity", message.text(38)}});
            const std::string price = message.text(message.text(40) == "3" ? 99 : 44);
            if (!price.empty()) order.set("price", price);
            pass_on(json::Value::object({{"do", "send"}, {"order", std::move(order)}}));
        } else if (message.type == "F" && (message.text(55) == "CORRECT" || message.text(55) == "BUST")) {
            const bool correct = message.text(55) == "CORRECT";
            fix::Message out = report(correct ? "G" : "H", "1", message.text(41));
            out.fields.insert(out.fields.end(), {{17, fmt::format("C{}", ++reports_)}, {58, "by agreement"}});
            {
                const std::scoped_lock lock(mutex_);
                Seen& seen = seen_[message.text(41)];
                out.fields.push_back({19, *seen.executions.rbegin()});
                if (correct) {
                    seen.filled = Decimal::whole(4);
                    out.fields.insert(out.fields.end(), {{32, "4"}, {31, "1.5"}});
                }
            }
            add(out, "EURUSD", "buy", Decimal::whole(10), "");
            (void)wire_->send(out);
        } else if (message.type == "F") {
            {
                const std::scoped_lock lock(mutex_);
                cancels_[message.text(41)] = id;
            }
            pass_on(json::Value::object({{"do", "cancel"}, {"order", message.text(41)}}));
        } else if (message.type == "H") {
            const bool unnamed = message.text(55) == "UNNAMED";
            if (unnamed && !std::exchange(unnamed_before_, true)) return;
            std::uint64_t number;
            {
                const std::scoped_lock lock(mutex_);
                number = ++question_last_;
                questions_[number] = unnamed ? "" : message.text(790);
            }
            pass_on(json::Value::object({{"do", "query"}, {"order", id}, {"question", number}}));
        } else if (message.type == "AF") {
            auto control = broker::PaperControl::connect(folder_ + "/paper");
            const auto listing = control ? control->list() : fail(control.error());
            if (!listing) return;
            for (const auto& entry : listing->orders) {
                fix::Message out = report("I", status_of(entry.state, entry.order.filled), entry.order.id.text());
                add(out, entry.order.symbol, std::string(ledger::name_of(entry.order.side)), entry.order.quantity,
                    entry.order.broker_id);
                out.fields.push_back({584, message.text(584)});
                (void)wire_->send(out);
            }
        }
    }

    // ---- from paper to FIX

    Status read() {
        std::string in;
        std::array<std::byte, 65536> buffer;
        for (;;) {
            const auto n = socket_.read(buffer, 1h);
            if (!n) return fail(n.error());
            if (*n == 0) {
                // Cut by a test that means our line: it cuts that by itself.
                return fail(ErrorCode::unreachable, "the paper broker has closed the session");
            }
            in.append(reinterpret_cast<const char*>(buffer.data()), *n);
            std::size_t begin = 0;
            for (std::size_t end; (end = in.find('\n', begin)) != std::string::npos; begin = end + 1)
                told(json::parse(in.substr(begin, end - begin), "report").value());
            in.erase(0, begin);
        }
    }

    static std::string status_of(const std::string& state, Decimal filled) {
        if (state == "received") return "A";
        if (state == "working") return filled.positive() ? "1" : "0";
        if (state == "filled") return "2";
        if (state == "cancelled") return "4";
        return "8";
    }

    fix::Message report(const char* exec_type, const std::string& status, const std::string& id) {
        fix::Message out;
        out.type = "8";
        out.fields = {{150, exec_type}, {39, status}, {11, id}, {60, broker::fix_time(clock_.now())}};
        return out;
    }

    void add(fix::Message& out, const std::string& symbol, const std::string& side, Decimal quantity,
             const std::string& broker_id) {
        const std::string id = out.text(11);
        Seen seen;
        {
            const std::scoped_lock lock(mutex_);
            seen = seen_[id];
        }
        const bool open = std::string_view("01A").find(out.text(39)) != std::string_view::npos;
        const Decimal average = seen.filled.positive()
                                    ? Decimal{static_cast<std::int64_t>(static_cast<double>(seen.value.units) /
                                                                        static_cast<double>(seen.filled.units) * 1e8)}
                                    : Decimal{};
        for (const fix::Field& field : {fix::Field{55, symbol},
                                        {54, side == "sell" ? "2" : "1"},
                                        {38, quantity.text()},
                                        {14, seen.filled.text()},
                                        {151, open ? (quantity - seen.filled).text() : "0"},
                                        {6, average.text()},
                                        {37, broker_id.empty() ? "NONE" : broker_id}})
            out.fields.push_back(field);
        if (out.find(17) == nullptr) out.fields.push_back({17, fmt::format("N{}", ++reports_)});
    }

    void told(const json::Value& line) {
        const std::string kind = line["report"].text(), id = line["order"].text();
        if (id.empty()) return;    // the welcome
        const Decimal quantity = Decimal::parse(line["quantity"].text("0")).value_or(Decimal{});
        fix::Message out;
        if (kind == "acked") {
            out = report("0", "0", id);
        } else if (kind == "executed") {
            const json::Value& execution = line["execution"];
            const Decimal piece = Decimal::parse(execution["quantity"].text()).value();
            const Decimal price = Decimal::parse(execution["price"].text()).value();
            Decimal filled;
            {
                const std::scoped_lock lock(mutex_);
                Seen& seen = seen_[id];
                if (seen.executions.insert(execution["id"].text()).second) {
                    seen.filled += piece;
                    seen.value.units += static_cast<std::int64_t>(static_cast<double>(piece.units) *
                                                                  static_cast<double>(price.units) / 1e8);
                }
                filled = seen.filled;
            }
            out = report("F", filled >= quantity ? "2" : "1", id);
            out.fields.insert(out.fields.end(), {{17, execution["id"].text()}, {32, piece.text()}, {31, price.text()}});
        } else if (kind == "rejected") {
            out = report("8", "8", id);
            out.fields.insert(out.fields.end(), {{103, "1"}, {58, line["text"].text()}});
        } else if (kind == "duplicate") {
            out = report("8", "8", id);
            out.fields.insert(out.fields.end(), {{103, "6"}, {58, "duplicate ClOrdID"}});
        } else if (kind == "cancelled" || kind == "cancel_refused") {
            std::string request;
            {
                const std::scoped_lock lock(mutex_);
                request = cancels_[id];
            }
            if (kind == "cancel_refused") {
                out.type = "9";
                out.fields = {{37, "NONE"}, {11, request}, {41, id}, {39, "8"}, {434, "1"}, {58, line["text"].text()}};
                (void)wire_->send(out);
                return;
            }
            out = report("4", "4", id);
            if (!request.empty()) out.fields.push_back({41, id});
        } else if (kind == "state") {
            const std::string state = line["state"].text();
            out = report("I", status_of(state, Decimal::parse(line["filled"].text("0")).value()), id);
            const std::scoped_lock lock(mutex_);
            const auto question = questions_.find(line["question"].natural());
            if (question != questions_.end() && !question->second.empty())
                out.fields.push_back({790, question->second});
            questions_.erase(line["question"].natural());
            if (state == "unknown") out.fields.insert(out.fields.end(), {{103, "5"}, {58, "unknown order"}});
        } else {
            return;
        }
        add(out, line["symbol"].text("EURUSD"), line["side"].text("buy"), quantity, line["broker_id"].text());
        (void)wire_->send(out);    // also while nobody is logged on: it is told then
    }

    const int port_;
    const std::string folder_;
    os::SystemClock clock_;
    os::Socket socket_;
    std::mutex socket_mutex_;
    std::unique_ptr<fix::Wire> wire_;
    std::latch opened_{1};
    std::mutex mutex_;
    std::map<std::string, Seen> seen_;
    std::map<std::string, std::string> cancels_;    // of the order: the cancel's own ID
    std::map<std::uint64_t, std::string> questions_;
    std::uint64_t question_last_ = 0;
    bool unnamed_before_ = false;    // only QuickFIX's thread asks
    std::atomic<std::uint64_t> reports_ = 0;
};

}    // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        fmt::print(stderr, "usage: {} PORT FOLDER\n", arguments[0]);
        return 2;
    }
    Gateway gateway(std::atoi(arguments[1]), arguments[2]);
    const Status status = gateway.run();
    if (!status) fmt::print(stderr, "{}\n", status.error().message);
    return status ? 0 : 1;
}
