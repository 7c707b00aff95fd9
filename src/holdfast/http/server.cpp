#include "holdfast/http/server.hpp"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::http {
namespace {

std::string address_text(const sockaddr_storage& address, socklen_t length) {
    char host[256] = {}, port[16] = {};
    ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV);
    return address.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

// systemd's way to hand over a socket: descriptor 3, and who it is for.
os::Fd inherited_socket() {
    const auto pid = os::environment("LISTEN_PID"), count = os::environment("LISTEN_FDS");
    if (!pid || !count || *pid != std::to_string(::getpid()) || *count == "0") return {};
    ::unsetenv("LISTEN_PID");
    ::unsetenv("LISTEN_FDS");
    return os::Fd(3);
}

}    // namespace

struct Server::Client {
    Client(os::Fd fd, std::string peer, bool is_local, const Patience& patience)
        : connection(std::move(fd), std::move(peer), patience, is_local) {}
    Connection connection;
    std::thread thread;
    bool gone = false;    // under mutex_
};

Server::Server(ServerOptions options, Handler handler) : options_(std::move(options)), handler_(std::move(handler)) {}

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Handler handler) {
    // A client that goes away must not end the server.
    ::signal(SIGPIPE, SIG_IGN);
    std::unique_ptr<Server> server(new Server(std::move(options), std::move(handler)));
    if (!server->options_.listen.empty() || server->options_.takes_inherited) HF_DO(server->listen_tcp());
    if (!server->options_.unix_socket.empty()) HF_DO(server->listen_unix());
    server->acceptor_ = std::thread([raw = server.get()] { raw->accept_loop(); });
    return server;
}

Status Server::listen_tcp() {
    if (options_.takes_inherited) tcp_ = inherited_socket();
    if (!tcp_) {
        const std::size_t colon = options_.listen.rfind(':');
        std::string host = options_.listen.substr(0, colon == std::string::npos ? 0 : colon);
        const std::string port = colon == std::string::npos ? "" : options_.listen.substr(colon + 1);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        addrinfo hints{}, *found = nullptr;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
        if (port.empty() || ::getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found) != 0)
            return fail(ErrorCode::usage, fmt::format("\"{}\" is not an address to listen on", options_.listen),
                        "write it as 127.0.0.1:8000, [::1]:8000 or :8000");
        const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, ::freeaddrinfo);
        tcp_ = os::Fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int on = 1;
        if (tcp_) ::setsockopt(tcp_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (!tcp_ || ::bind(tcp_.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(tcp_.get(), 128) != 0) {
            Error error = errno_error(errno, "cannot listen on " + options_.listen);
            error.hint = "is another server there already? --listen names another port";
            return fail(std::move(error));
        }
    }
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    ::getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&own), &length);
    address_ = address_text(own, length);
    port_ = 0;
    std::from_chars(address_.data() + address_.rfind(':') + 1, address_.data() + address_.size(), port_);
    return {};
}

Status Server::listen_unix() {
    const std::string& path = options_.unix_socket;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorCode::usage, fmt::format("the path of the socket is too long: {}", path),
                    fmt::format("at most {} bytes", sizeof address.sun_path - 1));
    path.copy(address.sun_path, path.size());
    const auto* plain = reinterpret_cast<const sockaddr*>(&address);
    local_ = os::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    struct stat st;
    if (local_ && ::lstat(path.c_str(), &st) == 0) {
        const os::Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        // Only what is a socket and has nobody behind it goes.
        if (!S_ISSOCK(st.st_mode) || !probe || ::connect(probe.get(), plain, sizeof address) == 0 ||
            errno != ECONNREFUSED)
            return fail(ErrorCode::exists, fmt::format("{} is there already and in use", path),
                        "does another instance run for this account?");
        ::unlink(path.c_str());
    }
    // Closed to others before anybody can connect: that begins with listen().
    if (!local_ || ::bind(local_.get(), plain, sizeof address) != 0 || ::chmod(path.c_str(), 0600) != 0 ||
        ::listen(local_.get(), 128) != 0) {
        local_.reset();
        return fail(errno_error(errno, "cannot listen on " + path));
    }
    return {};
}

std::string Server::url() const {
    return address_.empty() ? "" : fmt::format("{}://{}/", options_.tls ? "https" : "http", address_);
}

void Server::accept_loop() {
    // A negative descriptor is passed over by poll().
    pollfd entries[] = {{tcp_.get(), POLLIN, 0}, {local_.get(), POLLIN, 0}};
    while (!stopping_) {
        if (::poll(entries, 2, 200) <= 0) continue;
        for (const pollfd& entry : entries)
            if (entry.revents != 0) accept_one(entry.fd, entry.fd == local_.get());
    }
}

void Server::accept_one(int listener, bool is_local) {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    os::Fd fd(::accept4(listener, reinterpret_cast<sockaddr*>(&address), &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        // Out of descriptors or memory: others must end first.
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) ::poll(nullptr, 0, 100);
        return;
    }
    const int on = 1;
    if (!is_local) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!is_local) ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    std::string peer = is_local ? options_.unix_socket : address_text(address, length);
    const std::scoped_lock lock(mutex_);
    std::erase_if(clients_, [](const std::unique_ptr<Client>& client) {
        if (!client->gone) return false;
        client->thread.join();
        return true;
    });
    if (clients_.size() >= options_.connections_max) {
        log_warning("there are too many connections; one is closed", {{"peer", peer}});
        return;
    }
    clients_.push_back(std::make_unique<Client>(std::move(fd), std::move(peer), is_local, options_.patience));
    ++serving_;
    Client& client = *clients_.back();
    client.thread = std::thread([this, &client] {
        serve(client);
        client.connection.wake(true);    // the peer need not wait until the next accept
        const std::scoped_lock inner(mutex_);
        client.gone = true;
        --serving_;
        gone_.notify_all();
    });
}

void Server::serve(Client& client) {
    if (options_.tls && !client.connection.is_local()) {
        if (const auto shaken = client.connection.shake_hands(*options_.tls); !shaken) {
            log_info("a connection ended before its first request", {{"why", shaken.error().message}});
            return;
        }
    }
    for (;;) {
        auto head = client.connection.read_head();
        if (!head) {
            if (head.error().code == ErrorCode::usage)
                static_cast<void>(client.connection
                                      .write(as_bytes("HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: "
                                                      "0\r\nConnection: close\r\n\r\n"))
                                      .has_value());
            log_info("a connection ended inside a request", {{"why", head.error().message}});
            return;
        }
        if (!*head) return;
        if (!handler_(client.connection, **head, stopping_, serving_) || stopping_) return;
    }
}

void Server::stop() {
    if (stopping_.exchange(true) || !acceptor_.joinable()) return;
    acceptor_.join();
    tcp_.reset();
    if (local_) ::unlink(options_.unix_socket.c_str());
    local_.reset();
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + options_.stop_max;
    // Again and again: a client may just be between its request and the wait for the next.
    while (serving_ > 0 && std::chrono::steady_clock::now() < deadline) {
        for (const auto& client : clients_) client->connection.wake(false);
        gone_.wait_for(lock, std::chrono::milliseconds(50));
    }
    for (const auto& client : clients_)
        if (!client->gone) client->connection.wake(true);
    gone_.wait(lock, [&] { return serving_ == 0; });
    for (const auto& client : clients_) client->thread.join();
    clients_.clear();
}

Server::~Server() { stop(); }

}    // namespace holdfast::http
