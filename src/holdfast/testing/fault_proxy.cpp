#include "holdfast/testing/fault_proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
}

void no_delay(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}    // namespace

struct FaultProxy::Line {
    os::Fd client, server;
    LineFaults faults;
    std::atomic<bool> dead = false;
    std::atomic<int> pumping = 2;

    // RST, not FIN: what was on the way is lost. The descriptors stay ours until both pumps have ended.
    void reset() {
        if (dead.exchange(true)) return;
        const linger now{1, 0};
        for (const int fd : {client.get(), server.get()}) {
            ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
            // Connecting to nothing is how Linux resets a connection without closing the descriptor.
            sockaddr nothing{};
            nothing.sa_family = AF_UNSPEC;
            ::connect(fd, &nothing, sizeof nothing);
        }
    }
    // What was passed on arrives, and then nothing.
    void end() {
        if (dead.exchange(true)) return;
        for (const int fd : {client.get(), server.get()}) ::shutdown(fd, SHUT_RDWR);
    }
};

FaultProxy::FaultProxy(os::Fd listener, std::uint16_t port, std::uint16_t target)
    : listener_(std::move(listener)), port_(port), target_(target), acceptor_([this] { accept_loop(); }) {}

Result<std::unique_ptr<FaultProxy>> FaultProxy::start(std::uint16_t target_port) {
    os::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    if (!listener || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener.get(), 128) != 0 ||
        ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
        return fail(errno_error(errno, "the proxy cannot listen"));
    return std::unique_ptr<FaultProxy>(new FaultProxy(std::move(listener), ntohs(address.sin_port), target_port));
}

FaultProxy::~FaultProxy() {
    ending_ = true;
    acceptor_.join();
    cut_now();
    for (std::thread& thread : threads_) thread.join();
}

void FaultProxy::plan(std::function<LineFaults(unsigned)> plan) {
    const std::scoped_lock lock(mutex_);
    plan_ = std::move(plan);
}

void FaultProxy::cut_now() {
    const std::scoped_lock lock(mutex_);
    for (const auto& line : lines_) line->reset();
}

void FaultProxy::accept_loop() {
    while (!ending_) {
        pollfd entry{listener_.get(), POLLIN, 0};
        if (::poll(&entry, 1, 50) <= 0) continue;
        auto line = std::make_shared<Line>();
        line->client = os::Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!line->client) continue;
        line->server = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const std::scoped_lock lock(mutex_);
        const unsigned number = count_++;
        if (plan_) line->faults = plan_(number);
        const sockaddr_in target = loopback(target_);
        if (line->faults.refuse ||
            ::connect(line->server.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
            ++cuts_;
            line->reset();
            continue;
        }
        no_delay(line->client.get());
        no_delay(line->server.get());
        std::erase_if(lines_, [](const auto& old) { return old->pumping == 0; });
        lines_.push_back(line);
        for (const bool up : {true, false})
            threads_.emplace_back([this, line, up] {
                pump(*line, up);
                --line->pumping;
            });
    }
}

void FaultProxy::pump(Line& line, bool up) {
    const int from = up ? line.client.get() : line.server.get(), to = up ? line.server.get() : line.client.get();
    const std::optional<std::uint64_t> cut = up ? line.faults.cut_up : line.faults.cut_down;
    std::uint64_t passed = 0;
    std::array<char, 16384> piece;
    while (!line.dead) {
        pollfd entry{from, POLLIN, 0};
        if (::poll(&entry, 1, 50) <= 0) continue;
        const ssize_t n = ::recv(from, piece.data(), piece.size(), 0);
        if (n <= 0) break;
        for (; hang_ && !line.dead; std::this_thread::sleep_for(5ms)) {
        }
        if (const Duration delay = Duration(delay_.load()) + line.faults.delay; delay > Duration::zero())
            std::this_thread::sleep_for(delay);
        std::size_t size = static_cast<std::size_t>(n);
        const bool cuts = cut && passed + size > *cut;
        if (cuts) size = static_cast<std::size_t>(*cut - passed);
        for (std::size_t at = 0; at < size && !line.dead;) {
            const ssize_t sent = ::send(to, piece.data() + at, size - at, MSG_NOSIGNAL);
            if (sent <= 0) return line.reset();
            at += static_cast<std::size_t>(sent);
        }
        passed += size;
        if (!cuts) continue;
        ++cuts_;
        return line.faults.orderly ? line.end() : line.reset();
    }
    // A half that is closed travels on; the other half may still speak.
    ::shutdown(to, SHUT_WR);
}

}    // namespace holdfast::testing
