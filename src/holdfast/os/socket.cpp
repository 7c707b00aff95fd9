#include "holdfast/os/socket.hpp"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

namespace holdfast::os {
namespace {

int milliseconds_of(Duration d) {
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(std::max(d, Duration::zero())).count());
}

// Waits for the events; unreachable when the time is over.
Status wait_for(int fd, short events, Duration timeout, const std::string& peer) {
    pollfd entry{fd, events, 0};
    int n;
    do n = ::poll(&entry, 1, milliseconds_of(timeout));
    while (n < 0 && errno == EINTR);
    if (n < 0) return fail(errno_error(errno, "cannot wait for " + peer));
    if (n == 0)
        return fail(ErrorCode::unreachable, fmt::format("{} did not answer within {:.0f} s", peer, seconds(timeout)),
                    "look whether it is overloaded or stopped");
    return {};
}

Status finish_connect(int fd, const sockaddr* address, socklen_t length, Duration timeout, const std::string& peer) {
    if (::connect(fd, address, length) == 0) return {};
    if (errno != EINPROGRESS && errno != EINTR) return fail(errno_error(errno, "cannot connect to " + peer));
    HF_DO(wait_for(fd, POLLOUT, timeout, peer));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail(errno_error(error, "cannot connect to " + peer));
    return {};
}

}    // namespace

Result<Socket> Socket::connect_tcp(const std::string& host, std::uint16_t port, Duration timeout) {
    const std::string peer = fmt::format("{}:{}", host, port);
    addrinfo hints{}, *list = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list); error != 0)
        return fail(ErrorCode::unreachable, fmt::format("cannot find host {}: {}", host, ::gai_strerror(error)),
                    "check the host name in the configuration");
    Error last{ErrorCode::unreachable, "no address for " + peer, {}};
    for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
        Fd fd(::socket(entry->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, entry->ai_protocol));
        if (!fd) continue;
        if (auto status = finish_connect(fd.get(), entry->ai_addr, entry->ai_addrlen, timeout, peer); !status) {
            last = std::move(status).error();
            continue;
        }
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::freeaddrinfo(list);
        return Socket(std::move(fd), peer);
    }
    ::freeaddrinfo(list);
    if (last.hint.empty()) last.hint = "start the server, or correct host and port in the configuration";
    return fail(std::move(last));
}

Result<Socket> Socket::connect_unix(const std::string& path, Duration timeout) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorCode::config, fmt::format("socket path {} is too long", path));
    path.copy(address.sun_path, path.size());
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail(errno_error(errno, "cannot make a socket"));
    HF_DO(finish_connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address, timeout, path));
    return Socket(std::move(fd), path);
}

Status Socket::write(ByteView bytes, Duration timeout) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN) {
            HF_DO(wait_for(fd_.get(), POLLOUT, timeout, peer_));
        } else if (errno != EINTR) {
            return fail(errno_error(errno, "cannot send to " + peer_));
        }
    }
    return {};
}

Result<std::size_t> Socket::read(ByteSpan to, Duration timeout) {
    for (;;) {
        const ssize_t n = ::recv(fd_.get(), to.data(), to.size(), 0);
        if (n >= 0) return static_cast<std::size_t>(n);
        if (errno == EAGAIN) {
            HF_DO(wait_for(fd_.get(), POLLIN, timeout, peer_));
        } else if (errno != EINTR) {
            return fail(errno_error(errno, "cannot receive from " + peer_));
        }
    }
}

Result<std::uint16_t> free_port() {
    // Not one of those that the kernel gives to outgoing connections (32768 and up, usually): such a one may be taken before the
    // server that it is for has started.
    constexpr std::uint32_t first = 15'000, count = 17'000;
    constexpr int attempts = 100;
    int error = 0;
    for (int i = 0; i < attempts; ++i) {
        std::uint32_t random = 0;
        if (::getrandom(&random, sizeof random, 0) != sizeof random)
            return fail(errno_error(errno, "no random numbers"));
        const auto port = static_cast<std::uint16_t>(first + random % count);
        const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return port;
        error = errno;
    }
    return fail(errno_error(error, "cannot find a free port"));
}

}    // namespace holdfast::os
