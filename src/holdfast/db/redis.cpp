#include "holdfast/db/redis.hpp"

#include <fmt/core.h>
#include <poll.h>

#include <cerrno>

#include "holdfast/os/host.hpp"

namespace holdfast::db {
namespace {

// Waits in slices, so that a stop by signal does not wait for a silent server.
constexpr Duration k_slice = std::chrono::milliseconds(200);

Status wait_readable(int fd, Duration timeout, const std::string& peer) {
    for (;;) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while waiting for " + peer);
        const Duration slice = std::min(timeout, k_slice);
        pollfd entry{fd, POLLIN, 0};
        const int n = ::poll(&entry, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(slice).count()));
        if (n > 0) return {};
        if (n < 0 && errno != EINTR) return fail(errno_error(errno, "cannot wait for " + peer));
        timeout -= slice;
        if (timeout <= Duration::zero())
            return fail(ErrorCode::unreachable, peer + " does not answer in time", "is it overloaded or stopped?");
    }
}

}    // namespace

std::string RedisLogin::text() const {
    return socket.empty() ? fmt::format("redis at {}:{}", host, port) : "redis at " + socket;
}

RedisClient::RedisClient(std::string peer, Duration timeout) : peer_(std::move(peer)), timeout_(timeout) {
    buffer_.resize(std::size_t(64) << 10);
}

Result<RedisClient> RedisClient::connect(const RedisLogin& login) {
    auto socket = login.socket.empty() ? os::Socket::connect_tcp(login.host, login.port, login.timeout)
                                       : os::Socket::connect_unix(login.socket, login.timeout);
    if (!socket) {
        Error error = std::move(socket).error();
        // A socket file that is not there: the server is down, as with a port that refuses.
        if (error.code == ErrorCode::not_found) error.code = ErrorCode::unreachable;
        if (error.code == ErrorCode::unreachable)
            error.hint = "start the server, or correct host, port or socket in the configuration";
        return fail(std::move(error).within(login.text()));
    }
    RedisClient client(login.text(), login.timeout);
    if (login.tls && login.socket.empty()) {
        auto stream = TlsStream::start(*std::move(socket), login.host, *login.tls, login.timeout);
        if (!stream) return fail(std::move(stream).error().within(login.text()));
        client.tls_ = *std::move(stream);
    } else {
        client.socket_ = *std::move(socket);
    }
    if (!login.password.empty()) {
        // Without a user the old form: servers before 6 know no other.
        if (login.user.empty()) {
            HF_DO(client.command({"AUTH", login.password.reveal()}));
        } else {
            HF_DO(client.command({"AUTH", login.user, login.password.reveal()}));
        }
    }
    return client;
}

Status RedisClient::send(std::initializer_list<std::string_view> arguments) {
    return send(std::span(arguments.begin(), arguments.size()));
}

Status RedisClient::send(std::span<const std::string_view> arguments) {
    std::string request = fmt::format("*{}\r\n", arguments.size());
    for (const std::string_view argument : arguments) {
        request += fmt::format("${}\r\n", argument.size());
        request += argument;
        request += "\r\n";
    }
    return write(as_bytes(request));
}

Status RedisClient::write(ByteView bytes) {
    return tls_ ? tls_->write(bytes, timeout_) : socket_.write(bytes, timeout_);
}

Result<std::size_t> RedisClient::read(ByteSpan to, Duration timeout) {
    if (!tls_) {
        HF_DO(wait_readable(socket_.fd(), timeout, peer_));
        return socket_.read(to, timeout);
    }
    if (!tls_->pending()) HF_DO(wait_readable(tls_->fd(), timeout, peer_));
    return tls_->read(to, timeout);
}

Result<std::size_t> RedisClient::fill(Duration timeout) {
    from_ = to_ = 0;
    HF_TRY(const std::size_t n, read(buffer_, timeout));
    to_ = n;
    return n;
}

Result<RedisReply> RedisClient::receive(Duration timeout) {
    while (!reader_.complete()) {
        if (from_ == to_) {
            HF_TRY(const std::size_t n, fill(timeout));
            if (n == 0)
                return fail(ErrorCode::unreachable, peer_ + " closed the connection instead of answering",
                            "see the server's log");
        }
        auto taken = reader_.feed(pending());
        if (!taken) return fail(std::move(taken).error().within(peer_));
        from_ += *taken;
    }
    return reader_.take();
}

Result<RedisReply> RedisClient::ask(std::initializer_list<std::string_view> arguments) {
    return ask(std::span(arguments.begin(), arguments.size()));
}

Result<RedisReply> RedisClient::ask(std::span<const std::string_view> arguments) {
    HF_DO(send(arguments));
    return receive(timeout_);
}

Result<RedisReply> RedisClient::command(std::initializer_list<std::string_view> arguments) {
    HF_TRY(RedisReply reply, ask(arguments));
    if (const RedisRefusal* refusal = reply.refusal())
        return fail(refusal_error(*refusal, fmt::format("{} on {}", *arguments.begin(), peer_)));
    return reply;
}

Result<std::string> RedisClient::receive_line(Duration timeout, std::size_t size_max) {
    std::string line;
    for (;;) {
        if (from_ == to_) {
            HF_TRY(const std::size_t n, fill(timeout));
            if (n == 0) return fail(ErrorCode::unreachable, peer_ + " closed the connection", "see the server's log");
        }
        const char c = static_cast<char>(buffer_[from_++]);
        if (c == '\n') break;
        if (line.size() == size_max) return fail(ErrorCode::corrupt, peer_ + " sent a line without an end");
        line += c;
    }
    if (line.ends_with('\r')) line.pop_back();
    return line;
}

Result<std::size_t> RedisClient::receive_some(ByteSpan to, Duration timeout) {
    if (from_ < to_) {
        const std::size_t n = std::min(to.size(), to_ - from_);
        std::memcpy(to.data(), buffer_.data() + from_, n);
        from_ += n;
        return n;
    }
    return read(to, timeout);
}

Error refusal_error(const RedisRefusal& refusal, std::string_view what) {
    struct Meaning {
        std::string_view code;
        ErrorCode error;
        std::string_view hint;
    };
    static constexpr Meaning k_meanings[] = {
        {"NOAUTH", ErrorCode::denied, "set user and password_file (or password_command) of this component"},
        {"WRONGPASS", ErrorCode::denied, "correct user and password of this component"},
        {"NOPERM", ErrorCode::denied, "grant the command to this user with ACL SETUSER"},
        {"DENIED", ErrorCode::denied, "the server is in protected mode: set a password, or connect from its own host"},
        {"LOADING", ErrorCode::unreachable, "the server is still loading its data; try again when it is done"},
        {"NOMASTERLINK", ErrorCode::unreachable,
         "this server is a replica that has no data from its master yet; wait for it, or name the master"},
        {"MASTERDOWN", ErrorCode::unreachable, "this server is a replica whose master is down; name the master"},
        {"BUSY", ErrorCode::unreachable, "a script is running; try again when it is done"},
        {"MISCONF", ErrorCode::store, "the server cannot write its own RDB file; see its log"},
        {"OOM", ErrorCode::store, "the server has reached maxmemory"},
    };
    Error error{ErrorCode::store, fmt::format("{}: {}", what, refusal.text), {}};
    for (const Meaning& meaning : k_meanings) {
        if (refusal.code() != meaning.code) continue;
        error.code = meaning.error;
        error.hint = meaning.hint;
    }
    if (refusal.text.starts_with("ERR AUTH") || refusal.text.starts_with("ERR invalid password") ||
        refusal.text.starts_with("ERR Client sent AUTH")) {
        error.code = ErrorCode::denied;
        error.hint = "the server asks for no password from this user: correct user and password of this component";
    }
    if (refusal.text.starts_with("ERR unknown command")) {
        // The server repeats the arguments, and those may be a password.
        error.message = fmt::format("{}: the server does not know this command", what);
        error.code = ErrorCode::unsupported;
        error.hint = "is it renamed or disabled (rename-command) in the server's configuration?";
    }
    return error;
}

std::string info_field(std::string_view info, std::string_view name) {
    while (!info.empty()) {
        const std::size_t end = info.find('\n');
        std::string_view line = info.substr(0, end);
        info.remove_prefix(end == std::string_view::npos ? info.size() : end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
            return std::string(line.substr(name.size() + 1));
    }
    return {};
}

}    // namespace holdfast::db
