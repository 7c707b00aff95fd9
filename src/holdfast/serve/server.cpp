#include "holdfast/serve/server.hpp"

#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::serve {
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
    Client(os::Fd fd, std::string peer, const Patience& patience)
        : connection(std::move(fd), std::move(peer), patience) {}
    Connection connection;
    std::thread thread;
    bool gone = false;    // under mutex_
};

Server::Server(const ServeOptions& options, std::unique_ptr<Handler> handler, std::optional<TlsIdentity> tls)
    : options_(options), handler_(std::move(handler)), tls_(std::move(tls)) {}

Result<std::unique_ptr<Server>> Server::start(const ServeOptions& options, Clock& clock) {
    if (options.folder.empty()) return fail(ErrorCode::usage, "no folder was named", "--path names it");
    std::unique_ptr<Users> users;
    const std::string usual = options.folder + "/.htpasswd";
    const std::string file = options.htpasswd_file.empty() && os::exists(usual) ? usual : options.htpasswd_file;
    if (options.no_auth && !options.htpasswd_file.empty())
        return fail(ErrorCode::usage, "both --no-auth and --htpasswd-file were given", "keep one of the two");
    if (!options.no_auth) {
        if (file.empty())
            return fail(ErrorCode::usage, "nobody could use this server: there is no file of users",
                        fmt::format("make one by `htpasswd -B -c {} USER`, or say --no-auth", usual));
        HF_TRY(users, Users::open(file));
    } else if (options.handler.private_repositories) {
        return fail(ErrorCode::usage, "--private-repos needs users", "leave out --no-auth");
    }
    if (options.tls_certificate.empty() != options.tls_key.empty())
        return fail(ErrorCode::usage, "--tls-cert and --tls-key belong together", "give both");
    std::optional<TlsIdentity> tls;
    if (!options.tls_certificate.empty()) {
        HF_TRY(tls, TlsIdentity::load(options.tls_certificate, options.tls_key));
    }
    HF_TRY(auto store, Store::open(options.folder, options.size_max));
    // A client that goes away must not end the server.
    ::signal(SIGPIPE, SIG_IGN);
    auto handler = std::make_unique<Handler>(options.handler, std::move(store), std::move(users), clock);
    std::unique_ptr<Server> server(new Server(options, std::move(handler), std::move(tls)));
    HF_DO(server->listen());
    server->acceptor_ = std::thread([raw = server.get()] { raw->accept_loop(); });
    return server;
}

Status Server::listen() {
    listener_ = inherited_socket();
    if (!listener_) {
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
        listener_ = os::Fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int on = 1;
        if (listener_) ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (!listener_ || ::bind(listener_.get(), found->ai_addr, found->ai_addrlen) != 0 ||
            ::listen(listener_.get(), 128) != 0) {
            Error error = errno_error(errno, "cannot listen on " + options_.listen);
            error.hint = "is another server there already? --listen names another port";
            return fail(std::move(error));
        }
    }
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&own), &length);
    host_ = address_text(own, length);
    port_ = 0;
    std::from_chars(host_.data() + host_.rfind(':') + 1, host_.data() + host_.size(), port_);
    if (!tls_ && !host_.starts_with("127.") && !host_.starts_with("[::1]"))
        log_warning(
            "passwords travel in the clear: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy",
            {{"address", host_}});
    return {};
}

std::string Server::url() const { return fmt::format("{}://{}/", tls_ ? "https" : "http", host_); }

void Server::accept_loop() {
    while (!stopping_) {
        pollfd entry{listener_.get(), POLLIN, 0};
        if (::poll(&entry, 1, 200) <= 0) continue;
        sockaddr_storage address{};
        socklen_t length = sizeof address;
        os::Fd fd(
            ::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) {
            // Out of descriptors or memory: others must end first.
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) ::poll(nullptr, 0, 100);
            continue;
        }
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        const std::scoped_lock lock(mutex_);
        std::erase_if(clients_, [](const std::unique_ptr<Client>& client) {
            if (!client->gone) return false;
            client->thread.join();
            return true;
        });
        if (clients_.size() >= options_.connections_max) {
            log_warning("there are too many connections; one is closed", {{"peer", address_text(address, length)}});
            continue;
        }
        clients_.push_back(std::make_unique<Client>(std::move(fd), address_text(address, length), options_.patience));
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
}

void Server::serve(Client& client) {
    if (tls_) {
        if (const auto shaken = client.connection.shake_hands(*tls_); !shaken) {
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
        if (!handler_->answer(client.connection, **head, stopping_, serving_) || stopping_) return;
    }
}

void Server::stop() {
    if (stopping_.exchange(true) || !acceptor_.joinable()) return;
    acceptor_.join();
    listener_.reset();
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

}    // namespace holdfast::serve
