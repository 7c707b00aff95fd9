// Signals made durable by the journal, by so many in flight, beside what the same disk's fdatasync allows and
// what Redis does with `appendfsync always` for as many clients. In turns. See docs/decisions/0014-journal.md.

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

#include "bench.hpp"
#include "desk.hpp"
#include "holdfast/ledger/fact.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/trade/journal.hpp"

namespace holdfast::bench {
namespace {

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
    const Stopwatch watch;
    for (; watch.seconds() < seconds; ++n) {
        HF_DO(os::pwrite_all(fd.get(), block, n % k_blocks * k_block));
        if (::fdatasync(fd.get()) != 0) return fail(errno_error(errno, "cannot sync " + path));
    }
    const double rate = static_cast<double>(n) / watch.seconds();
    HF_DO(os::remove_tree(path));
    return rate;
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
    const Stopwatch watch;
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
    const Stopwatch watch;
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

}    // namespace

Result<Report> bench_journal(const Plan& plan, const std::string& folder) {
    constexpr std::uint64_t k_few = 64, k_many = 1024;
    std::vector<double> floor, few, many, redis_few, redis_many;
    for (unsigned round = 1; round <= plan.rounds; ++round) {
        const auto take = [&](std::vector<double>& to, Result<double> measured) -> Status {
            HF_TRY(const double rate, std::move(measured));
            to.push_back(rate);
            return {};
        };
        HF_DO(take(floor, measure_fdatasync(folder, plan.seconds)));
        HF_DO(take(few, measure_journal(folder, k_few, plan.seconds)));
        HF_DO(take(redis_few, measure_redis(k_few, plan.seconds)));
        HF_DO(take(many, measure_journal(folder, k_many, plan.seconds)));
        HF_DO(take(redis_many, measure_redis(k_many, plan.seconds)));
        fmt::print(stderr,
                   "round {}: fdatasync {:.0f}/s; {} in flight: journal {:.0f}/s, XADD {:.0f}/s; {}: journal {:.0f}/s, "
                   "XADD {:.0f}/s\n",
                   round, floor.back(), k_few, few.back(), redis_few.back(), k_many, many.back(), redis_many.back());
    }
    const double of_floor = ratio(few, floor) / k_few, of_redis = ratio(few, redis_few);
    const double of_redis_many = ratio(many, redis_many);
    Report report;
    report.lines = {{"signals/s, durable intent, 64 in flight",
                     fmt::format("{:.0f}/s = {:.2f} x 64 x fdatasync ({:.0f}/s)", median(few), of_floor, median(floor)),
                     ">= 0.60", of_floor >= 0.6},
                    {"... beside XADD, appendfsync always, 64 clients",
                     fmt::format("{:.1f} x {:.0f}/s", of_redis, median(redis_few)), ">= 4", of_redis >= 4},
                    {"... 1,024 in flight, beside XADD of 1,024 clients",
                     fmt::format("{:.0f}/s = {:.1f} x {:.0f}/s", median(many), of_redis_many, median(redis_many)),
                     ">= 12, or >= 300,000/s", of_redis_many >= 12 || median(many) >= 300'000}};
    report.samples = json::Value::object({{"fdatasync_per_s", list(floor)},
                                          {"journal_64_per_s", list(few)},
                                          {"xadd_64_per_s", list(redis_few)},
                                          {"journal_1024_per_s", list(many)},
                                          {"xadd_1024_per_s", list(redis_many)}});
    return report;
}

}    // namespace holdfast::bench
