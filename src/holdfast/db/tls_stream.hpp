#pragma once
// TLS 1.2 or 1.3 over a socket that is connected, as a client, with deadlines on every call.
//
//   trust    the server's certificate must be signed by `ca_file` (or one that the system trusts) and be for the host that
//            was asked for, name or address; there is no way to switch that off
//   errors   denied: the certificate is not trusted, or the server wants one of ours; config: our files cannot be read;
//            unreachable: closed, timed out, or what answers there speaks no TLS
//   threads  one stream, one thread
//   secrets  the key is read from its file and never told

#include <memory>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::db {

struct TlsFiles {
    std::string ca_file;    // PEM; empty: what the system trusts
    std::string certificate, key;    // ours, PEM; empty: none
};

class TlsStream {
public:
    static Result<TlsStream> start(os::Socket socket, const std::string& host, const TlsFiles& files, Duration timeout);
    TlsStream(TlsStream&&) noexcept;
    TlsStream& operator=(TlsStream&&) noexcept;
    ~TlsStream();

    Status write(ByteView bytes, Duration timeout);
    /// At least one byte; 0 only at the end of the stream. Timeout: unreachable.
    Result<std::size_t> read(ByteSpan to, Duration timeout);
    /// Bytes have been taken from the socket that read() has not given yet: poll(2) does not see them.
    bool pending() const;
    int fd() const;

private:
    struct State;
    explicit TlsStream(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::db
