// hf-bench-journal: signals made durable by the journal, by so many in flight, beside what the same disk's fdatasync allows and
// what Redis does with `appendfsync always` for as many clients. In turns, in one run. See docs/decisions/0014-journal.md.

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <string_view>

#include "holdfast/base/json.hpp"
#include "holdfast/ledger/fact.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/trade/journal.hpp"

namespace {

using namespace holdfast;

constexpr std::string_view k_help =
    R"(usage: hf-bench-journal [OPTION]...
A closed loop: each of N producers sends its next signal when the one before is durable (accepted and intended).

  --seconds N        of each measurement (2)
  --rounds N         how often all of them are made, in turns (5)
  --work DIR         on the disk to measure (/var/tmp)
  --json FILE        where every sample is written
)";

struct Options {
    double seconds = 2;
    int rounds = 5;
    std::string work = "/var/tmp", json;
};

class Watch {
public:
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// How often a second one block can be written and synced, in a file whose blocks have been written before.
Result<double> measure_fdatasync(const std::string& folder, double seconds) {
    constexpr std::size_t k_block = 4096, k_blocks = 4096;
    const std::string path = folder + "/floor";
    HF_TRY(const os::Fd fd, os::open_file(path, O_RDWR | O_CREAT | O_TRUNC));
    HF_DO(os::pwrite_all(fd.get(), Bytes(k_block * k_blocks, std::byte{0}), 0));
    HF_DO(os::sync_fd(fd.get(), path));
    Bytes block(k_block);
    os::random_bytes(block);
    std::uint64_t n = 0;
    const Watch watch;
    for (; watch.seconds() < seconds; ++n) {
        HF_DO(os::pwrite_all(fd.get(), block, n % k_blocks * k_block));
        if (::fdatasync(fd.get()) != 0) return fail(errno_error(errno, "cannot sync " + path));
    }
    const double rate = static_cast<double>(n) / watch.seconds();
    HF_DO(os::remove_tree(path));
    return rate;
}

ledger::Signal signal_number(std::uint64_t n) {
    ledger::Signal signal;
    store_le(signal.id.bytes.data(), n + 1);
    signal.symbol = "EURUSD";
    signal.type = ledger::OrderType::limit;
    signal.quantity = ledger::Decimal::whole(1);
    signal.price = {108'512'000};
    signal.strategy = "breakout-m15";
    signal.created_at = {1'795'000'000'000'000'000};
    return signal;
}

/// Signals a second: accepted and intended are durable before the producer hears of it and sends the next.
Result<double> measure_journal(const std::string& folder, std::uint64_t in_flight, double seconds) {
    const std::string path = folder + "/journal";
    trade::Journal::Options options;
    options.log.account = "bench";
    HF_TRY(const auto journal, trade::Journal::open(path, options));
    std::deque<trade::Sequence> waiting;    // the last record of each signal
    std::uint64_t sent = 0, answered = 0;
    Bytes payload;
    const Watch watch;
    while (watch.seconds() < seconds) {
        const bool any = waiting.size() < in_flight;
        while (waiting.size() < in_flight) {
            const ledger::Signal signal = signal_number(sent++);
            trade::Sequence last = 0;
            for (const ledger::Fact& fact :
                 {ledger::Fact{signal.created_at, ledger::SignalAccepted{signal}},
                  ledger::Fact{signal.created_at, ledger::OrderIntended{signal.id, 1, 0, {}, {}}}}) {
                payload.clear();
                ledger::append_fact(payload, fact);
                HF_TRY(last, journal->append(payload));
            }
            waiting.push_back(last);
        }
        if (any) journal->commit();
        HF_DO(journal->wait(waiting.front(), std::chrono::seconds(30)));
        for (const trade::Sequence durable = journal->durable(); !waiting.empty() && waiting.front() <= durable;) {
            waiting.pop_front();
            ++answered;
        }
    }
    const double rate = static_cast<double>(answered) / watch.seconds();
    HF_DO(journal->close());
    HF_DO(os::remove_tree(path));
    return rate;
}

std::string xadd(std::uint64_t n) {
    const ledger::Signal signal = signal_number(n);
    const std::string words[] = {"XADD",
                                 "hf:{bench}:rtss",
                                 "*",
                                 "id",
                                 signal.id.text(),
                                 "symbol",
                                 signal.symbol,
                                 "side",
                                 "buy",
                                 "type",
                                 "limit",
                                 "quantity",
                                 signal.quantity.text(),
                                 "price",
                                 signal.price.text(),
                                 "strategy",
                                 signal.strategy};
    std::string text = fmt::format("*{}\r\n", std::size(words));
    for (const std::string& word : words) text += fmt::format("${}\r\n{}\r\n", word.size(), word);
    return text;
}

/// XADDs a second by so many connections, each of which sends the next one when the one before is answered.
Result<double> measure_redis(std::uint64_t clients, double seconds) {
    HF_TRY(auto server, testing::RedisServer::start({"appendonly yes", "appendfsync always",
                                                     "no-appendfsync-on-rewrite no", "maxclients 4000"}));
    const os::Fd poll(::epoll_create1(EPOLL_CLOEXEC));
    std::vector<os::Socket> sockets;
    std::uint64_t sent = 0, answered = 0;
    for (std::uint64_t i = 0; i < clients; ++i) {
        HF_TRY(auto socket, os::Socket::connect_tcp("127.0.0.1", server.port(), std::chrono::seconds(10)));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = socket.fd();
        if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, socket.fd(), &event) != 0)
            return fail(errno_error(errno, "cannot watch a connection"));
        sockets.push_back(std::move(socket));
    }
    const Watch watch;
    for (const os::Socket& socket : sockets) HF_DO(os::write_all(socket.fd(), as_bytes(xadd(sent++))));
    std::vector<epoll_event> events(clients);
    std::array<std::byte, 512> reply;
    while (watch.seconds() < seconds) {
        const int n = ::epoll_wait(poll.get(), events.data(), static_cast<int>(events.size()), 1000);
        for (int i = 0; i < n; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            HF_TRY(const std::size_t size, os::read_some(fd, reply));
            // An answer is the entry's ID: a bulk string of one packet.
            const std::string_view text = as_text(ByteView(reply).first(size));
            if (!text.starts_with("$") || !text.ends_with("\r\n"))
                return fail(ErrorCode::store, "redis answers " + std::string(text.substr(0, 80)));
            ++answered;
            HF_DO(os::write_all(fd, as_bytes(xadd(sent++))));
        }
    }
    return static_cast<double>(answered) / watch.seconds();
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// The median of the ratios within each round: the disk's pace changes between rounds.
double ratio(const std::vector<double>& of, const std::vector<double>& to) {
    std::vector<double> each;
    for (std::size_t i = 0; i < of.size(); ++i) each.push_back(of[i] / to[i]);
    return median(each);
}

Status run(const Options& options) {
    ::setenv("TMPDIR", options.work.c_str(), 1);    // for Redis, too: on the same disk
    HF_TRY(const os::TempFolder folder, os::TempFolder::create("hf-bench-journal"));
    constexpr std::uint64_t k_few = 64, k_many = 1024;
    std::vector<double> floor, few, many, redis_few, redis_many;
    for (int round = 1; round <= options.rounds; ++round) {
        const auto take = [&](std::vector<double>& to, Result<double> measured) -> Status {
            HF_TRY(const double rate, std::move(measured));
            to.push_back(rate);
            return {};
        };
        HF_DO(take(floor, measure_fdatasync(folder.path(), options.seconds)));
        HF_DO(take(few, measure_journal(folder.path(), k_few, options.seconds)));
        HF_DO(take(redis_few, measure_redis(k_few, options.seconds)));
        HF_DO(take(many, measure_journal(folder.path(), k_many, options.seconds)));
        HF_DO(take(redis_many, measure_redis(k_many, options.seconds)));
        fmt::print(stderr,
                   "round {}: fdatasync {:.0f}/s; {} in flight: journal {:.0f}/s, XADD {:.0f}/s; {}: journal {:.0f}/s, "
                   "XADD {:.0f}/s\n",
                   round, floor.back(), k_few, few.back(), redis_few.back(), k_many, many.back(), redis_many.back());
    }
    fmt::print("{} rounds of {:.1f} s each, medians\n\n", options.rounds, options.seconds);
    fmt::print("fdatasync of one block            {:>9.0f}/s\n", median(floor));
    fmt::print("{:>5} in flight, journal          {:>9.0f}/s   {:.2f} x {} x fdatasync   {:.1f} x XADD\n", k_few,
               median(few), ratio(few, floor) / k_few, k_few, ratio(few, redis_few));
    fmt::print("{:>5} clients, XADD always        {:>9.0f}/s\n", k_few, median(redis_few));
    fmt::print("{:>5} in flight, journal          {:>9.0f}/s   {:.1f} x XADD\n", k_many, median(many),
               ratio(many, redis_many));
    fmt::print("{:>5} clients, XADD always        {:>9.0f}/s\n", k_many, median(redis_many));
    if (options.json.empty()) return {};
    const auto list = [](const std::vector<double>& values) {
        json::Value array = json::Value::array();
        for (const double value : values) array.push(value);
        return array;
    };
    return os::write_file(options.json, as_bytes(json::dump(json::Value::object({{"seconds", options.seconds},
                                                                                 {"fdatasync", list(floor)},
                                                                                 {"journal_64", list(few)},
                                                                                 {"xadd_64", list(redis_few)},
                                                                                 {"journal_1024", list(many)},
                                                                                 {"xadd_1024", list(redis_many)}}),
                                                            2) +
                                                 "\n"));
}

}    // namespace

int main(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view name = argv[i];
        const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
        if (value && name == "--seconds")
            options.seconds = std::max(0.1, std::strtod(value, nullptr));
        else if (value && name == "--rounds")
            options.rounds = std::max(1, std::atoi(value));
        else if (value && name == "--work")
            options.work = os::absolute_path(value);
        else if (value && name == "--json")
            options.json = os::absolute_path(value);
        else {
            fmt::print(stderr, "{}", k_help);
            return 2;
        }
    }
    if (const auto done = run(options); !done) {
        fmt::print(stderr, "hf-bench-journal: {}\n", done.error().message);
        return 1;
    }
    return 0;
}
