#include "holdfast/testing/scripted_http.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {
namespace {

std::size_t body_length(const std::string& head) {
    std::string lower = head;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t at = lower.find("\r\ncontent-length:");
    return at == std::string::npos ? 0 : std::strtoull(lower.c_str() + at + 17, nullptr, 10);
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

}    // namespace

ScriptedHttp::ScriptedHttp(Script script) : script_(std::move(script)) {
    listener_ = os::Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    HF_ASSERT(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    HF_ASSERT(::listen(listener_.get(), 64) == 0);
    HF_ASSERT(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_loop(); });
}

ScriptedHttp::~ScriptedHttp() {
    ending_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
        const std::scoped_lock lock(mutex_);
        for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
}

std::string ScriptedHttp::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::string ScriptedHttp::answer(int status, const std::string& body, const std::string& headers) {
    return fmt::format("HTTP/1.1 {} Status\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), headers, body);
}

void ScriptedHttp::accept_loop() {
    while (!ending_) {
        const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        const int yes = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connections_ += 1;
        const std::scoped_lock lock(mutex_);
        open_.push_back(fd);
        threads_.emplace_back([this, fd] { serve(fd); });
    }
}

void ScriptedHttp::serve(int fd) {
    std::string got;
    bool more = true;
    const auto receive = [&] {
        char buffer[65536];
        const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
        if (n > 0) got.append(buffer, static_cast<std::size_t>(n));
        return n > 0;
    };
    while (more && !ending_) {
        std::size_t head_end = got.find("\r\n\r\n");
        while (head_end == std::string::npos && (more = receive())) head_end = got.find("\r\n\r\n");
        if (!more) break;
        const std::size_t length = head_end + 4 + body_length(got.substr(0, head_end));
        while (got.size() < length && (more = receive())) continue;
        if (!more) break;
        Reply reply;
        {
            const std::scoped_lock lock(script_mutex_);
            reply = script_(got.substr(0, length));
        }
        got.erase(0, length);
        more = send_all(fd, reply.bytes) && reply.then == Then::keep;
        if (reply.then == Then::hang)
            while (receive()) continue;    // until the destructor shuts it down, or the client goes
        if (reply.then == Then::reset) {
            const linger now{1, 0};
            ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        }
    }
    const std::scoped_lock lock(mutex_);
    std::erase(open_, fd);
    ::close(fd);
}

}    // namespace holdfast::testing
