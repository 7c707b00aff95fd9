#include "holdfast/db/tls_stream.hpp"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace holdfast::db {
namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

std::string first_reason() {
    const unsigned long code = ::ERR_get_error();
    const char* reason = code ? ::ERR_reason_error_string(code) : nullptr;
    ::ERR_clear_error();
    return reason ? reason : "no reason given";
}

bool is_address(const std::string& host) {
    in6_addr buffer;
    return ::inet_pton(AF_INET, host.c_str(), &buffer) == 1 || ::inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

Result<Context> make_context(const TlsFiles& files) {
    Context context(::SSL_CTX_new(::TLS_client_method()), &::SSL_CTX_free);
    if (!context) return fail(ErrorCode::internal, "cannot set TLS up: " + first_reason());
    ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    ::SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    const bool trusted = files.ca_file.empty()
                             ? ::SSL_CTX_set_default_verify_paths(context.get()) == 1
                             : ::SSL_CTX_load_verify_locations(context.get(), files.ca_file.c_str(), nullptr) == 1;
    if (!trusted)
        return fail(ErrorCode::config,
                    fmt::format("cannot read certificates from {}: {}", files.ca_file, first_reason()),
                    "name a PEM file with ca_file");
    if (files.certificate.empty()) return context;
    if (::SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
        return fail(ErrorCode::config,
                    fmt::format("cannot read our certificate {}: {}", files.certificate, first_reason()),
                    "name a PEM file with tls_certificate");
    if (::SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return fail(ErrorCode::config, fmt::format("cannot use the key {}: {}", files.key, first_reason()),
                    "name the PEM file of the certificate's key with tls_key");
    return context;
}

}    // namespace

struct TlsStream::State {
    State(os::Socket s, Context c, std::string h, SSL* l)
        : socket(std::move(s)), context(std::move(c)), host(std::move(h)), line(l) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { ::SSL_free(line); }

    // One step of SSL_connect, SSL_read or SSL_write until it is through; 0 at the end of the stream.
    template <class Step>
    Result<std::size_t> drive(Step step, Duration timeout) {
        for (;;) {
            ::ERR_clear_error();
            errno = 0;
            const int n = step();
            if (n > 0) return static_cast<std::size_t>(n);
            const int system = errno;
            switch (::SSL_get_error(line, n)) {
                case SSL_ERROR_WANT_READ:
                    HF_DO(wait(POLLIN, timeout));
                    break;
                case SSL_ERROR_WANT_WRITE:
                    HF_DO(wait(POLLOUT, timeout));
                    break;
                case SSL_ERROR_ZERO_RETURN:
                    return 0;
                case SSL_ERROR_SYSCALL:
                    // A server that is killed says no goodbye.
                    if (system == 0) return 0;
                    return fail(errno_error(system, "cannot go on with " + host));
                default:
                    return fail(explain());
            }
        }
    }

    Status wait(short events, Duration timeout) const {
        pollfd entry{socket.fd(), events, 0};
        const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::max(timeout, Duration::zero())).count();
        int n;
        do n = ::poll(&entry, 1, static_cast<int>(std::min<std::int64_t>(ms, INT_MAX)));
        while (n < 0 && errno == EINTR);
        if (n < 0) return fail(errno_error(errno, "cannot wait for " + host));
        if (n == 0)
            return fail(ErrorCode::unreachable,
                        fmt::format("{} did not answer within {:.0f} s", host, seconds(timeout)),
                        "look whether it is overloaded or stopped");
        return {};
    }

    Error explain() const {
        const unsigned long code = ::ERR_peek_error();
        if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            ::ERR_clear_error();
            return {ErrorCode::unreachable, host + " closed the connection", "see the server's log"};
        }
        if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
            ::ERR_clear_error();
            return {
                ErrorCode::denied,
                fmt::format("the certificate of {} is not trusted: {}", host,
                            ::X509_verify_cert_error_string(::SSL_get_verify_result(line))),
                "ca_file names the authority that has signed it; it must be for the host that the configuration names"};
        }
        if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER) {
            ::ERR_clear_error();
            return {ErrorCode::unreachable, "what answers at " + host + " speaks no TLS", ""};
        }
        const bool ours = ERR_GET_REASON(code) == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED ||
                          ERR_GET_REASON(code) == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE;
        return {ours ? ErrorCode::denied : ErrorCode::unreachable,
                fmt::format("TLS with {} fails: {}", host, first_reason()),
                ours ? "does the server want a certificate of ours (tls-auth-clients)? See tls_certificate and tls_key"
                     : ""};
    }

    os::Socket socket;
    Context context;
    const std::string host;
    SSL* line;
    bool heard = false, shows_certificate = false;

    // TLS 1.3 tells us only after the handshake that our certificate is missed, and a reset may overtake it.
    Error explain_silence(Error error) const {
        if (!heard && !shows_certificate && error.code != ErrorCode::denied) {
            error.code = ErrorCode::unreachable;
            error.hint =
                "does the server want a certificate of ours (tls-auth-clients)? See tls_certificate and tls_key";
        }
        return error;
    }
};

TlsStream::TlsStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
TlsStream::TlsStream(TlsStream&&) noexcept = default;
TlsStream& TlsStream::operator=(TlsStream&&) noexcept = default;
TlsStream::~TlsStream() = default;

Result<TlsStream> TlsStream::start(os::Socket socket, const std::string& host, const TlsFiles& files,
                                   Duration timeout) {
    HF_TRY(Context context, make_context(files));
    SSL* line = ::SSL_new(context.get());
    if (!line) return fail(ErrorCode::internal, "cannot set TLS up: " + first_reason());
    auto state = std::make_unique<State>(std::move(socket), std::move(context), host, line);
    state->shows_certificate = !files.certificate.empty();
    X509_VERIFY_PARAM* verify = ::SSL_get0_param(line);
    const bool named = is_address(host) ? ::X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str()) == 1
                                        : ::X509_VERIFY_PARAM_set1_host(verify, host.c_str(), 0) == 1 &&
                                              SSL_set_tlsext_host_name(line, host.c_str()) == 1;
    if (!named || ::SSL_set_fd(line, state->socket.fd()) != 1)
        return fail(ErrorCode::internal, "cannot set TLS up: " + first_reason());
    // Partial writes hand the buffer on as it shrinks.
    ::SSL_set_mode(line, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    auto done = state->drive([line] { return ::SSL_connect(line); }, timeout);
    if (done && *done == 0) done = fail(ErrorCode::unreachable, host + " closed the connection");
    if (!done) {
        // A server that expects no TLS waits for the end of a line, says so, or hangs up.
        Error error = std::move(done).error();
        if (error.code == ErrorCode::unreachable) error.hint = "name the server's tls-port, or leave tls = true out";
        return fail(std::move(error));
    }
    return TlsStream(std::move(state));
}

Status TlsStream::write(ByteView bytes, Duration timeout) {
    while (!bytes.empty()) {
        const int size = static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX));
        auto written = state_->drive([&] { return ::SSL_write(state_->line, bytes.data(), size); }, timeout);
        if (!written) return fail(state_->explain_silence(std::move(written).error()));
        const std::size_t n = *written;
        if (n == 0)
            return fail(ErrorCode::unreachable, state_->host + " closed the connection", "see the server's log");
        bytes = bytes.subspan(n);
    }
    return {};
}

Result<std::size_t> TlsStream::read(ByteSpan to, Duration timeout) {
    const int size = static_cast<int>(std::min<std::size_t>(to.size(), INT_MAX));
    auto taken = state_->drive([&] { return ::SSL_read(state_->line, to.data(), size); }, timeout);
    if (taken && *taken == 0 && !state_->heard)
        taken = fail(ErrorCode::unreachable, state_->host + " closed the connection");
    if (!taken) return fail(state_->explain_silence(std::move(taken).error()));
    state_->heard = true;
    return taken;
}

bool TlsStream::pending() const { return ::SSL_has_pending(state_->line) == 1; }
int TlsStream::fd() const { return state_->socket.fd(); }

}    // namespace holdfast::db
