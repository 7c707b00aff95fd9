#include "holdfast/http/connection.hpp"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace holdfast::http {
namespace {

constexpr std::size_t k_head_max = 32 << 10;
constexpr std::size_t k_piece = 64 << 10;
// What is read and dropped after a refusal.
constexpr std::uint64_t k_linger_bytes = 256 << 20;
constexpr auto k_linger_time = std::chrono::seconds(10);

std::string tls_reason() {
    const unsigned long code = ERR_get_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    ERR_clear_error();
    return reason ? reason : "no reason given";
}

}    // namespace

void TlsIdentity::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
void Connection::SslFree::operator()(SSL* ssl) const { SSL_free(ssl); }

Result<TlsIdentity> TlsIdentity::load(const std::string& certificate_file, const std::string& key_file) {
    TlsIdentity identity;
    identity.context_.reset(SSL_CTX_new(TLS_server_method()));
    SSL_CTX* context = identity.context_.get();
    HF_ASSERT(context);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file.c_str()) != 1)
        return fail(ErrorCode::config,
                    fmt::format("the certificate in {} cannot be used: {}", certificate_file, tls_reason()),
                    "--tls-cert names a PEM file with the certificate and its chain");
    if (SSL_CTX_use_PrivateKey_file(context, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        return fail(ErrorCode::config, fmt::format("the key in {} cannot be used: {}", key_file, tls_reason()),
                    "--tls-key names the PEM file with the private key of that certificate, without a passphrase");
    return identity;
}

Connection::Connection(os::Fd fd, std::string peer, const Patience& patience, bool is_local)
    : fd_(std::move(fd)), peer_(std::move(peer)), patience_(patience), is_local_(is_local) {
    start_transfer();
}

Connection::~Connection() {
    if (ssl_ && SSL_is_init_finished(ssl_.get())) SSL_shutdown(ssl_.get());    // says goodbye, waits for nothing
    ERR_clear_error();
}

void Connection::start_transfer() {
    transfer_began_ = std::chrono::steady_clock::now();
    transferred_ = 0;
}

Connection::Moment Connection::transfer_deadline() const {
    return transfer_began_ + patience_.grace + std::chrono::milliseconds(transferred_ * 1000 / patience_.rate_min);
}

Status Connection::wait_for(short events, Moment deadline) {
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        if (left <= 0) return fail(ErrorCode::unreachable, peer_ + " is too slow");
        pollfd entry{fd_.get(), events, 0};
        const int n = ::poll(&entry, 1, static_cast<int>(std::min<long long>(left, 3'600'000)));
        if (n > 0) return {};
        if (n < 0 && errno != EINTR) return fail(errno_error(errno, "cannot wait for " + peer_));
    }
}

Status Connection::shake_hands(const TlsIdentity& identity) {
    ssl_.reset(SSL_new(identity.context()));
    HF_ASSERT(ssl_ && SSL_set_fd(ssl_.get(), fd_.get()) == 1);
    const Moment deadline = std::chrono::steady_clock::now() + patience_.head;
    for (;;) {
        ERR_clear_error();
        const int n = SSL_accept(ssl_.get());
        if (n == 1) return {};
        const int error = SSL_get_error(ssl_.get(), n);
        if (error == SSL_ERROR_WANT_READ) {
            HF_DO(wait_for(POLLIN, deadline));
        } else if (error == SSL_ERROR_WANT_WRITE) {
            HF_DO(wait_for(POLLOUT, deadline));
        } else {
            return fail(ErrorCode::unreachable, fmt::format("no TLS with {}: {}", peer_, tls_reason()));
        }
    }
}

Result<std::size_t> Connection::receive(ByteSpan to, Moment deadline) {
    for (;;) {
        if (!ssl_) {
            const ssize_t n = ::recv(fd_.get(), to.data(), to.size(), 0);
            if (n >= 0) return static_cast<std::size_t>(n);
            if (errno == EAGAIN) {
                HF_DO(wait_for(POLLIN, deadline));
            } else if (errno != EINTR) {
                return fail(errno_error(errno, "cannot receive from " + peer_));
            }
            continue;
        }
        ERR_clear_error();
        std::size_t n = 0;
        if (SSL_read_ex(ssl_.get(), to.data(), to.size(), &n) == 1) return n;
        const int error = SSL_get_error(ssl_.get(), 0);
        if (error == SSL_ERROR_ZERO_RETURN) return std::size_t(0);
        if (error == SSL_ERROR_WANT_READ) {
            HF_DO(wait_for(POLLIN, deadline));
        } else if (error == SSL_ERROR_WANT_WRITE) {
            HF_DO(wait_for(POLLOUT, deadline));
        } else {
            return fail(ErrorCode::unreachable, fmt::format("cannot receive from {}: {}", peer_, tls_reason()));
        }
    }
}

Result<std::optional<std::string>> Connection::read_head() {
    Moment deadline = std::chrono::steady_clock::now() + patience_.idle;
    bool has_begun = !input_.empty();
    if (has_begun) deadline = std::chrono::steady_clock::now() + patience_.head;
    std::array<char, 4096> piece;
    for (std::size_t searched = 0;;) {
        const std::size_t end = input_.find("\r\n\r\n", searched < 3 ? 0 : searched - 3);
        if (end != std::string::npos && end + 4 <= k_head_max) {
            std::string head = input_.substr(0, end + 4);
            input_.erase(0, end + 4);
            start_transfer();
            return std::optional(std::move(head));
        }
        if (input_.size() > k_head_max) return fail(ErrorCode::usage, "the request's head is too long");
        searched = input_.size();
        is_idle_ = !has_begun;
        auto n = receive(std::as_writable_bytes(std::span(piece)), deadline);
        is_idle_ = false;
        if (!n || *n == 0) {
            if (!has_begun) return std::optional<std::string>();
            if (!n) return fail(std::move(n).error());
            return fail(ErrorCode::unreachable, peer_ + " closed the connection inside a request");
        }
        if (!has_begun) deadline = std::chrono::steady_clock::now() + patience_.head;
        has_begun = true;
        input_.append(piece.data(), *n);
    }
}

Result<std::size_t> Connection::read(ByteSpan to) {
    if (!input_.empty()) {
        const std::size_t n = std::min(input_.size(), to.size());
        std::memcpy(to.data(), input_.data(), n);
        input_.erase(0, n);
        transferred_ += n;
        return n;
    }
    HF_TRY(const std::size_t n, receive(to, transfer_deadline()));
    if (n == 0) return fail(ErrorCode::unreachable, peer_ + " closed the connection inside a request");
    transferred_ += n;
    return n;
}

Status Connection::write(ByteView bytes) {
    while (!bytes.empty()) {
        const ByteView piece = bytes.first(std::min(bytes.size(), k_piece));
        std::size_t sent = 0;
        if (!ssl_) {
            const ssize_t n = ::send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
            if (n >= 0) {
                sent = static_cast<std::size_t>(n);
            } else if (errno == EAGAIN) {
                HF_DO(wait_for(POLLOUT, transfer_deadline()));
            } else if (errno != EINTR) {
                return fail(errno_error(errno, "cannot send to " + peer_));
            }
        } else {
            ERR_clear_error();
            if (SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &sent) != 1) {
                sent = 0;
                const int error = SSL_get_error(ssl_.get(), 0);
                if (error == SSL_ERROR_WANT_WRITE) {
                    HF_DO(wait_for(POLLOUT, transfer_deadline()));
                } else if (error == SSL_ERROR_WANT_READ) {
                    HF_DO(wait_for(POLLIN, transfer_deadline()));
                } else {
                    return fail(ErrorCode::unreachable, fmt::format("cannot send to {}: {}", peer_, tls_reason()));
                }
            }
        }
        transferred_ += sent;
        bytes = bytes.subspan(sent);
    }
    return {};
}

void Connection::linger() {
    if (!ssl_) ::shutdown(fd_.get(), SHUT_WR);
    const Moment deadline = std::chrono::steady_clock::now() + k_linger_time;
    Bytes dropped(k_piece);
    for (std::uint64_t sum = input_.size(); sum < k_linger_bytes;) {
        const auto n = receive(dropped, deadline);
        if (!n || *n == 0) return;
        sum += *n;
    }
}

void Connection::wake(bool also_busy) {
    // Reading only: an answer that is on its way still goes out.
    if (also_busy)
        ::shutdown(fd_.get(), SHUT_RDWR);
    else if (is_idle_)
        ::shutdown(fd_.get(), SHUT_RD);
}

}    // namespace holdfast::http
