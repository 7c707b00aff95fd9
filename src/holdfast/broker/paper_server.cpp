#include "holdfast/broker/paper_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

#include "holdfast/base/log.hpp"
#include "holdfast/ledger/record.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t k_line_max = 64 << 10;    // of what comes in
constexpr std::size_t k_backlog_max = 256 << 20;    // of what a peer does not read: it is cut then

// A line of the book: CRC-32C in eight hex digits, a blank, the event.
constexpr std::size_t k_check_size = 9;

std::string checked(std::string_view event) {
    return fmt::format("{:08x} {}\n", ledger::crc32c(as_bytes(event)), event);
}

void describe(json::Value& line, const ledger::Order& order) {
    line.set("symbol", order.symbol);
    line.set("side", ledger::name_of(order.side));
    line.set("quantity", order.quantity.text());
}

// The event in the line with which `text` begins; nothing when the line is not whole or does not check.
std::optional<std::string_view> whole_line(std::string_view text) {
    const std::size_t end = text.find('\n');
    if (end == text.npos || end <= k_check_size) return std::nullopt;
    const std::string_view event = text.substr(k_check_size, end - k_check_size);
    if (checked(event) != text.substr(0, end + 1)) return std::nullopt;
    return event;
}

}    // namespace

struct PaperServer::Peer {
    os::Fd fd;
    std::string in, out;
    std::size_t sent = 0;    // of `out`
    bool closing = false, raw = false;
};

struct PaperServer::Held {
    json::Value line;
    Instant until;
};

Result<PaperAddress> parse_paper_address(std::string_view text) {
    PaperAddress address;
    if (text.find('/') != text.npos) {
        address.path = text;
        return address;
    }
    const std::size_t colon = text.rfind(':');
    const std::string_view digits = colon == text.npos ? std::string_view() : text.substr(colon + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
    if (colon == 0 || digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
        return fail(ErrorCode::config, fmt::format("\"{}\" is no place of a paper broker", text),
                    "write 127.0.0.1:PORT or the path of a Unix socket");
    address.host = text.substr(0, colon);
    return address;
}

PaperServer::PaperServer(PaperServerOptions options, const Clock& clock)
    : options_(std::move(options)),
      faults_(options_.faults),
      clock_(clock),
      book_(options_.rules),
      luck_(options_.faults.seed) {}

Result<std::unique_ptr<PaperServer>> PaperServer::start(PaperServerOptions options, const Clock& clock) {
    std::unique_ptr<PaperServer> server(new PaperServer(std::move(options), clock));
    HF_DO(server->open());
    server->thread_ = std::thread([raw = server.get()] { raw->run(); });
    return server;
}

PaperServer::~PaperServer() {
    ending_ = true;
    const std::uint64_t one = 1;
    if (wake_) (void)!::write(wake_.get(), &one, sizeof one);
    if (thread_.joinable()) thread_.join();
    if (address_.find('/') != address_.npos) ::unlink(address_.c_str());
}

Status PaperServer::open() {
    wake_ = os::Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return fail(errno_error(errno, "cannot make an eventfd"));
    if (!options_.file.empty()) HF_DO(load());
    book_.resume(clock_.now());
    return listen();
}

Status PaperServer::load() {
    const bool made = !os::exists(options_.file);
    HF_TRY(file_, os::open_file(options_.file, O_RDWR | O_CREAT));
    if (made) HF_DO(os::sync_folder(os::parent_folder(os::absolute_path(options_.file))));
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0)
        return fail(ErrorCode::exists, fmt::format("{} is in use by another paper broker", options_.file),
                    "end that one, or name another file");
    HF_TRY(const Bytes bytes, os::read_file(options_.file, std::uint64_t(8) << 30));
    std::string_view rest = as_text(bytes);
    std::size_t offset = 0;
    while (const auto event = whole_line(rest)) {
        if (auto status = book_.restore(*event); !status) return fail(std::move(status).error().within(options_.file));
        offset += k_check_size + event->size() + 1;
        rest = as_text(bytes).substr(offset);
        ++saved_;
    }
    // What a crash leaves has nothing whole behind it.
    for (std::size_t at = rest.find('\n'); at != rest.npos; at = rest.find('\n', at + 1))
        if (whole_line(rest.substr(at + 1)))
            return fail(ErrorCode::corrupt, fmt::format("{} is damaged at byte {}", options_.file, offset),
                        "begin a new book, or restore this file from a backup");
    if (offset < bytes.size()) {
        if (::ftruncate(file_.get(), static_cast<off_t>(offset)) != 0)
            return fail(errno_error(errno, "cannot cut the torn end of " + options_.file));
        HF_DO(os::sync_fd(file_.get(), options_.file));
    }
    if (::lseek(file_.get(), 0, SEEK_END) < 0) return fail(errno_error(errno, "cannot seek in " + options_.file));
    for (const auto events = book_.events(); seen_ < events.size(); ++seen_)
        if (book_.report_of(events[seen_])) reports_.push_back(seen_);
    return {};
}

Status PaperServer::listen() {
    HF_TRY(const PaperAddress place, parse_paper_address(options_.listen));
    const auto failed = [&] { return fail(errno_error(errno, "cannot listen on " + options_.listen)); };
    if (!place.path.empty()) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (place.path.size() >= sizeof address.sun_path)
            return fail(ErrorCode::config, fmt::format("socket path {} is too long", place.path));
        place.path.copy(address.sun_path, place.path.size());
        listener_ = os::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        // Left behind by one that was killed; a living one would hold the book's file.
        if (::unlink(place.path.c_str()) != 0 && errno != ENOENT) return failed();
        const mode_t before = ::umask(0177);
        const int bound = ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
        ::umask(before);
        if (bound != 0 || ::listen(listener_.get(), 64) != 0) return failed();
        address_ = place.path;
        return {};
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(place.port);
    if (::inet_pton(AF_INET, place.host == "localhost" ? "127.0.0.1" : place.host.c_str(), &address.sin_addr) != 1)
        return fail(ErrorCode::config, fmt::format("{} is no IPv4 address", place.host), "write 127.0.0.1:PORT");
    listener_ = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    socklen_t length = sizeof address;
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 64) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
        return failed();
    address_ = fmt::format("{}:{}", place.host, ntohs(address.sin_port));
    return {};
}

// ---- the loop

double PaperServer::chance() {
    luck_ ^= luck_ << 13;
    luck_ ^= luck_ >> 7;
    luck_ ^= luck_ << 17;
    return static_cast<double>(luck_ >> 11) * 0x1p-53;
}

int PaperServer::poll_milliseconds() const {
    std::int64_t wait = 1'000'000'000;
    if (const auto due = book_.next_due()) wait = std::min(wait, (*due - clock_.now()).count());
    if (held_) wait = std::min(wait, (held_->until - clock_.instant()).count());
    if (wait <= 0) return 0;
    return static_cast<int>((wait + 999'999) / 1'000'000);
}

void PaperServer::run() {
    if (luck_ == 0) luck_ = 88172645463325252u;
    while (!ending_) {
        std::vector<pollfd> entries = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
        for (const auto& peer : peers_)
            entries.push_back({peer->fd.get(), static_cast<short>(peer->out.empty() ? POLLIN : POLLIN | POLLOUT), 0});
        (void)::poll(entries.data(), entries.size(), poll_milliseconds());
        if (entries[1].revents != 0) accept();
        for (std::size_t i = 2; i < entries.size(); ++i)
            if ((entries[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) read(*peers_[i - 2]);
        book_.advance(clock_.now());
        if (!settle()) return;
        for (const auto& peer : peers_) {
            while (peer->sent < peer->out.size()) {
                const std::string_view rest = std::string_view(peer->out).substr(peer->sent);
                const ssize_t n = ::send(peer->fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
                if (n < 0 && errno == EINTR) continue;
                if (n < 0 && errno != EAGAIN) peer->closing = true;
                if (n <= 0) break;
                peer->sent += static_cast<std::size_t>(n);
            }
            if (peer->sent == peer->out.size()) {
                peer->out.clear();
                peer->sent = 0;
            }
            if (peer->out.size() - peer->sent > k_backlog_max) peer->closing = true;
            if (peer->closing && session_ == peer.get()) session_ = nullptr;
        }
        std::erase_if(peers_, [](const auto& peer) { return peer->closing; });
    }
}

// First the file, then the answers. False: the file failed, and with it this broker.
bool PaperServer::settle() {
    const auto events = book_.events();
    if (file_ && saved_ < events.size()) {
        Bytes bytes;
        for (; saved_ < events.size(); ++saved_) append(bytes, as_bytes(checked(book_.encode(events[saved_]))));
        Status status = os::write_all(file_.get(), bytes);
        if (status && ::fdatasync(file_.get()) != 0) status = fail(errno_error(errno, "cannot sync " + options_.file));
        if (!status) {
            log_error("the paper broker stops: its book cannot be written", {{"error", status.error().message}});
            failed_ = true;
            peers_.clear();
            session_ = nullptr;
            listener_.reset();
            return false;
        }
    }
    for (; seen_ < events.size(); ++seen_)
        if (book_.report_of(events[seen_])) {
            reports_.push_back(seen_);
            tell(line_of(events[seen_], reports_.size()));
        }
    for (json::Value& line : std::exchange(answers_, {})) tell(std::move(line));
    if (held_ && clock_.instant() >= held_->until) {
        if (session_ != nullptr) say(*session_, held_->line);
        held_.reset();
    }
    return true;
}

void PaperServer::accept() {
    for (;;) {
        os::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);    // a Unix socket refuses that: no matter
        peers_.push_back(std::make_unique<Peer>());
        peers_.back()->fd = std::move(fd);
    }
}

void PaperServer::read(Peer& peer) {
    char buffer[65536];
    while (!peer.closing) {
        const ssize_t n = ::recv(peer.fd.get(), buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            peer.closing = true;    // a line without its end never was one
            return;
        }
        peer.in.append(buffer, static_cast<std::size_t>(n));
        std::size_t begin = 0;
        for (std::size_t end; !peer.closing && (end = peer.in.find('\n', begin)) != std::string::npos; begin = end + 1)
            take(peer, std::string_view(peer.in).substr(begin, end - begin));
        peer.in.erase(0, begin);
        if (peer.in.size() > k_line_max) peer.closing = true;
    }
}

void PaperServer::take(Peer& peer, std::string_view text) {
    const auto line = json::parse(text, "line");
    const std::string verb = line ? (*line)["do"].text() : std::string();
    if (verb == "hello") {
        if (away_) {
            peer.closing = true;
            return;
        }
        if (session_ != nullptr && session_ != &peer) session_->closing = true;
        session_ = &peer;
        peer.raw = (*line)["raw"].boolean();
        held_.reset();
        answers_.clear();    // to questions of the old session
        // What is news in this round is told after the welcome; what came before, if it was not heard.
        say(peer, json::Value::object({{"welcome", std::uint64_t(reports_.size())}}));
        for (std::uint64_t place = (*line)["after"].natural(reports_.size()); place < reports_.size(); ++place)
            say(peer, line_of(book_.events()[reports_[place]], place + 1));
        return;
    }
    if (verb == "send" || verb == "cancel" || verb == "query") {
        if (&peer != session_) {
            peer.closing = true;    // not, or no longer, the one that trades
            return;
        }
        trade(peer, verb, *line);
        return;
    }
    say(peer, line ? control(verb, *line) : json::Value::object({{"error", "not JSON"}}));
}

void PaperServer::trade(Peer& peer, std::string_view verb, const json::Value& line) {
    const Timestamp now = clock_.now();
    const auto refuse = [&](const Error& error) {
        log_warning("the paper broker got a line that it cannot read", {{"error", error.message}});
        peer.closing = true;
    };
    if (verb == "send") {
        const auto order = order_of_json(line["order"]);
        if (!order) return refuse(order.error());
        const std::uint64_t duplicates = book_.duplicates();
        book_.submit(*order, now);
        const bool refused_it = book_.duplicates() != duplicates;
        if (refused_it && peer.raw) {
            json::Value refused = state_of(order->id, 0);
            answers_.push_back(std::move(refused.set("report", "duplicate")));
        } else if (refused_it) {
            for (Report& report : book_.answer(order->id, 0)) {
                report.text = "duplicate ClOrdID";
                answers_.push_back(to_json(report));
            }
        }
    } else {
        const auto id = Uuid::parse(line["order"].text());
        if (!id) return refuse(Error{ErrorCode::corrupt, "not a UUID", {}});
        if (verb == "query") {
            book_.advance(now);
            const std::uint64_t question = line["question"].natural();
            if (peer.raw) {
                answers_.push_back(state_of(*id, question));
            } else {
                for (const Report& report : book_.answer(*id, question)) answers_.push_back(to_json(report));
            }
        } else if (!book_.cancel(*id, now)) {
            Report report;
            report.kind = ReportKind::cancel_refused;
            report.order = *id;
            report.text = "too late, or an unknown order";
            answers_.push_back(to_json(report));
        }
    }
    if (chance() < faults_.drop) peer.closing = true;
}

json::Value PaperServer::line_of(const PaperEvent& event, std::uint64_t number) const {
    json::Value line = to_json(*book_.report_of(event));
    line.set("number", number);
    describe(line, book_.orders()[event.order].request);
    return line;
}

json::Value PaperServer::state_of(const Uuid& id, std::uint64_t question) const {
    json::Value line = json::Value::object({{"report", "state"}, {"order", id.text()}, {"question", question}});
    const PaperOrder* order = book_.find(id);
    line.set("state", order == nullptr ? std::string_view("unknown") : name_of(order->state));
    if (order != nullptr) {
        line.set("broker_id", order->broker_id);
        describe(line, order->request);
        line.set("filled", order->filled.text());
        line.set("text", order->text);
    }
    return line;
}

// What a bad line does to it on the way.
void PaperServer::tell(json::Value line) {
    if (session_ == nullptr || session_->closing) return;
    if (chance() < faults_.lose) return;
    const bool twice = chance() < faults_.twice;
    if (!held_ && chance() < faults_.swap) {
        held_ = std::make_unique<Held>(Held{std::move(line), clock_.instant() + 20ms});
        return;
    }
    say(*session_, line);
    if (twice) say(*session_, line);
    if (held_) say(*session_, std::exchange(held_, nullptr)->line);
}

void PaperServer::say(Peer& peer, const json::Value& line) {
    peer.out += json::dump(line);
    peer.out += '\n';
}

json::Value PaperServer::control(std::string_view verb, const json::Value& line) {
    json::Value done = json::Value::object({{"ok", true}});
    if (verb == "tick") {
        Tick tick;
        tick.symbol = line["symbol"].text();
        const auto bid = Decimal::parse(line["bid"].text()), ask = Decimal::parse(line["ask"].text());
        const auto size = Decimal::parse(line["size"].text("0"));
        if (tick.symbol.empty() || !bid || !ask || !size) return json::Value::object({{"error", "not a tick"}});
        tick.bid = *bid;
        tick.ask = *ask;
        tick.size = *size;
        book_.tick(tick, clock_.now());
        return done;
    }
    if (verb == "faults") {
        faults_.lose = line["lose"].number(faults_.lose);
        faults_.twice = line["twice"].number(faults_.twice);
        faults_.swap = line["swap"].number(faults_.swap);
        faults_.drop = line["drop"].number(faults_.drop);
        return done;
    }
    if (verb == "drop" || verb == "away") {
        away_ = verb == "away" && line["on"].boolean(true);
        if (session_ != nullptr && (verb == "drop" || away_)) session_->closing = true;
        return done;
    }
    if (verb == "list") {
        json::Value orders = json::Value::array(), executions = json::Value::array();
        for (const PaperOrder& order : book_.orders()) {
            json::Value entry = to_json(order.request);
            entry.set("state", name_of(order.state));
            entry.set("filled", order.filled.text());
            entry.set("broker_id", order.broker_id);
            orders.push(std::move(entry));
        }
        for (const PaperEvent& event : book_.events())
            if (event.kind == PaperEvent::Kind::executed)
                executions.push(to_json(*book_.report_of(event))["execution"]);
        return json::Value::object(
            {{"orders", std::move(orders)}, {"executions", std::move(executions)}, {"duplicates", book_.duplicates()}});
    }
    return json::Value::object({{"error", "no such verb"}});
}

}    // namespace holdfast::broker
