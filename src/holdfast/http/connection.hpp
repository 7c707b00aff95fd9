#pragma once
// One client's connection: plain or TLS, with a patience for everything that a client could draw out.
//
//   patience  `idle` between two requests; `head` for a whole head from its first byte on; a body and an answer get `grace`
//             plus the time that they take at `rate_min` bytes a second. Whoever is slower is cut off, so that a slow client
//             costs one thread for a bounded time
//   errors    unreachable: closed, too slow; usage: a head that is too long
//   threads   one; wake() from any
//   source    OpenSSL 3 over sockets that do not block

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;

namespace holdfast::http {

struct Patience {
    std::chrono::milliseconds idle = std::chrono::seconds(120);
    std::chrono::milliseconds head = std::chrono::seconds(20);
    std::chrono::milliseconds grace = std::chrono::seconds(60);
    std::uint64_t rate_min = 4 << 10;
};

/// What --tls-cert and --tls-key name (PEM).
class TlsIdentity {
public:
    static Result<TlsIdentity> load(const std::string& certificate_file, const std::string& key_file);
    SSL_CTX* context() const { return context_.get(); }

private:
    struct Free {
        void operator()(SSL_CTX* context) const;
    };
    std::unique_ptr<SSL_CTX, Free> context_;
};

class Connection {
public:
    Connection(os::Fd fd, std::string peer, const Patience& patience, bool is_local = false);
    ~Connection();

    Status shake_hands(const TlsIdentity& identity);
    /// The next head, empty line included; nullopt when the client has gone between two requests.
    Result<std::optional<std::string>> read_head();
    /// Begins the patience for a body or an answer anew.
    void start_transfer();
    /// At least one byte of what follows the head.
    Result<std::size_t> read(ByteSpan to);
    Status write(ByteView bytes);
    /// After an answer to a request whose body was not read: reads and drops for a while, so that the answer arrives.
    void linger();
    /// Wakes a client that is waited for between two requests (`also_busy`: any), as if it had gone.
    void wake(bool also_busy);
    const std::string& peer() const { return peer_; }
    /// Came through a Unix socket.
    bool is_local() const { return is_local_; }

private:
    using Moment = std::chrono::steady_clock::time_point;
    Result<std::size_t> receive(ByteSpan to, Moment deadline);    // 0 at the end
    Status wait_for(short events, Moment deadline);
    Moment transfer_deadline() const;

    const os::Fd fd_;
    const std::string peer_;
    const Patience patience_;
    const bool is_local_;
    struct SslFree {
        void operator()(SSL* ssl) const;
    };
    std::unique_ptr<SSL, SslFree> ssl_;
    std::string input_;    // received and not yet taken
    Moment transfer_began_;
    std::uint64_t transferred_ = 0;
    std::atomic<bool> is_idle_ = false;
};

}    // namespace holdfast::http
