#include "holdfast/broker/paper.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "holdfast/base/log.hpp"
#include "holdfast/broker/paper_server.hpp"

namespace holdfast::broker {
namespace {

using namespace std::chrono_literals;

constexpr Duration k_connect_max = 3s, k_write_max = 5s, k_pause_first = 50ms, k_pause_max = 1s;

Result<os::Socket> connect_to(const std::string& address) {
    HF_TRY(const PaperAddress place, parse_paper_address(address));
    if (!place.path.empty()) return os::Socket::connect_unix(place.path, k_connect_max);
    return os::Socket::connect_tcp(place.host, place.port, k_connect_max);
}

std::string text_of(const json::Value& line) { return json::dump(line) + '\n'; }

}    // namespace

Result<std::unique_ptr<Broker>> PaperBroker::create(std::string address) {
    HF_TRY(const PaperAddress checked, parse_paper_address(address));
    (void)checked;
    return std::unique_ptr<Broker>(new PaperBroker(std::move(address)));
}

PaperBroker::~PaperBroker() { stop(); }

Status PaperBroker::start(ReportSink sink) {
    wake_ = os::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return fail(errno_error(errno, "cannot make an eventfd"));
    sink_ = std::move(sink);
    ending_ = false;
    thread_ = std::thread([this] { run(); });
    return {};
}

void PaperBroker::stop() {
    if (!thread_.joinable()) return;
    {
        const std::scoped_lock lock(mutex_);
        ending_ = true;
    }
    changed_.notify_all();
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
    thread_.join();
}

void PaperBroker::run() {
    Duration pause = k_pause_first;
    for (std::string last;;) {
        const Status status = session();
        bool was_up;
        {
            std::unique_lock lock(mutex_);
            was_up = std::exchange(link_, nullptr) != nullptr;
            if (ending_) return;
        }
        if (was_up) {
            Report down;
            down.kind = ReportKind::link_down;
            down.text = status ? "closed by the broker" : status.error().message;
            sink_(std::move(down));
            pause = k_pause_first;
        } else if (!status && status.error().message != last) {
            last = status.error().message;
            log_warning("no link to the paper broker", {{"error", last}});
        }
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, pause, [&] { return ending_; })) return;
        pause = std::min(pause * 2, k_pause_max);
    }
}

// From connecting to the end of the link.
Status PaperBroker::session() {
    HF_TRY(os::Socket connected, connect_to(address_));
    const auto socket = std::make_shared<os::Socket>(std::move(connected));
    json::Value hello = json::Value::object({{"do", "hello"}});
    if (known_) hello.set("after", heard_);
    HF_DO(socket->write(as_bytes(text_of(hello)), k_write_max));
    std::string in;
    std::array<std::byte, 65536> buffer;
    bool welcome = false;
    for (;;) {
        std::array<pollfd, 2> entries = {{{socket->fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
        if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR)
            return fail(errno_error(errno, "cannot wait for " + address_));
        if (entries[1].revents != 0) return {};
        if (entries[0].revents == 0) continue;
        HF_TRY(const std::size_t n, socket->read(buffer, k_write_max));
        if (n == 0) return {};
        in.append(reinterpret_cast<const char*>(buffer.data()), n);
        std::size_t begin = 0;
        for (std::size_t end; (end = in.find('\n', begin)) != std::string::npos; begin = end + 1) {
            const std::string_view line = std::string_view(in).substr(begin, end - begin);
            if (welcome) {
                HF_DO(take(line));
                continue;
            }
            HF_TRY(const json::Value value, json::parse(line, "welcome of " + address_));
            if (value["welcome"].is_null()) return fail(ErrorCode::corrupt, address_ + " is no paper broker");
            welcome = true;
            if (!std::exchange(known_, true)) heard_ = value["welcome"].natural();
            {
                const std::scoped_lock lock(mutex_);
                if (ending_) return {};
                link_ = socket;
            }
            Report up;
            up.kind = ReportKind::link_up;
            sink_(std::move(up));
        }
        in.erase(0, begin);
    }
}

Status PaperBroker::take(std::string_view text) {
    HF_TRY(const json::Value line, json::parse(text, "report of " + address_));
    HF_TRY(Report report, report_of_json(line));
    // A report that was lost stops the count: the next session tells all from there on again.
    const std::uint64_t number = line["number"].natural();
    if (number == heard_ + 1) heard_ = number;
    sink_(std::move(report));
    return {};
}

bool PaperBroker::write(const json::Value& line) {
    std::shared_ptr<os::Socket> link;
    {
        const std::scoped_lock lock(mutex_);
        link = link_;
    }
    if (!link) return false;
    // Part of it may have left when this fails: the broker decides then what it got, and we must ask.
    if (!link->write(as_bytes(text_of(line)), k_write_max)) ::shutdown(link->fd(), SHUT_RDWR);
    return true;
}

bool PaperBroker::send(const ledger::Order& order) {
    return write(json::Value::object({{"do", "send"}, {"order", to_json(order)}}));
}

bool PaperBroker::cancel(const ledger::Order& order) {
    return write(json::Value::object({{"do", "cancel"}, {"order", order.id.text()}}));
}

bool PaperBroker::query(const ledger::Order& order, std::uint64_t question) {
    return write(json::Value::object({{"do", "query"}, {"order", order.id.text()}, {"question", question}}));
}

// ---- the hand

Result<PaperControl> PaperControl::connect(const std::string& address) {
    PaperControl control;
    HF_TRY(control.socket_, connect_to(address));
    return control;
}

Result<json::Value> PaperControl::ask(const json::Value& line) {
    HF_DO(socket_.write(as_bytes(text_of(line)), k_write_max));
    std::string in;
    std::array<std::byte, 65536> buffer;
    while (!in.ends_with('\n')) {
        HF_TRY(const std::size_t n, socket_.read(buffer, 60s));
        if (n == 0) return fail(ErrorCode::unreachable, "the paper broker closed the connection");
        in.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
    HF_TRY(json::Value answer, json::parse(in, "answer of the paper broker"));
    if (!answer["error"].is_null()) return fail(ErrorCode::store, "the paper broker: " + answer["error"].text());
    return answer;
}

Status PaperControl::tell(const json::Value& line) {
    HF_TRY(const json::Value answer, ask(line));
    (void)answer;
    return {};
}

Status PaperControl::tick(const Tick& tick) {
    return tell(json::Value::object({{"do", "tick"},
                                     {"symbol", tick.symbol},
                                     {"bid", tick.bid.text()},
                                     {"ask", tick.ask.text()},
                                     {"size", tick.size.text()}}));
}

Result<PaperControl::Listing> PaperControl::list() {
    HF_TRY(const json::Value answer, ask(json::Value::object({{"do", "list"}})));
    Listing listing;
    for (const json::Value& item : answer["orders"].items()) {
        Listing::Entry entry;
        HF_TRY(entry.order, order_of_json(item));
        HF_TRY(entry.order.filled, Decimal::parse(item["filled"].text()));
        entry.order.broker_id = item["broker_id"].text();
        entry.state = item["state"].text();
        listing.orders.push_back(std::move(entry));
    }
    for (const json::Value& item : answer["executions"].items()) {
        Report report;
        HF_TRY(report, report_of_json(json::Value::object(
                           {{"report", "executed"}, {"order", item["order"]}, {"execution", item}})));
        listing.executions.push_back(std::move(report.execution));
    }
    listing.duplicates = answer["duplicates"].natural();
    return listing;
}

}    // namespace holdfast::broker
