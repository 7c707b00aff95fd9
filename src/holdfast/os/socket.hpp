#pragma once
// A TCP or Unix stream with deadlines on every call. For protocols we speak ourselves (RESP).

#include <cstdint>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::os {

class Socket {
public:
    /// TCP_NODELAY is set. Errors: unreachable (with host and port in the message).
    static Result<Socket> connect_tcp(const std::string& host, std::uint16_t port, Duration timeout);
    static Result<Socket> connect_unix(const std::string& path, Duration timeout);

    Socket() = default;
    Status write(ByteView bytes, Duration timeout);
    /// At least one byte; 0 only at the end of the stream. Timeout: unreachable.
    Result<std::size_t> read(ByteSpan to, Duration timeout);
    int fd() const { return fd_.get(); }
    explicit operator bool() const { return static_cast<bool>(fd_); }

private:
    explicit Socket(Fd fd, std::string peer) : fd_(std::move(fd)), peer_(std::move(peer)) {}
    Fd fd_;
    std::string peer_;
};

/// A TCP port on 127.0.0.1 that was free a moment ago (for tests and scratch servers).
Result<std::uint16_t> free_port();

}    // namespace holdfast::os
