#pragma once
// Accepts clients on a TCP address, a Unix socket, or both, and runs a handler for each of their requests.
//
//   clients   a thread each, at most `connections_max`; more are closed at once. A slow one costs its thread and no more
//             than its patience (http/connection.hpp)
//   local     a Unix socket is made 0600: who may use it is who may open it. One that a dead process left is replaced, one
//             that answers is an error
//   stop      no new connections; requests that are on their way are finished, for at most `stop_max`
//   errors    usage (the address), exists (the Unix socket is in use), denied or io (the port)
//   threads   its own; stop() from any

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/http/connection.hpp"

namespace holdfast::http {

struct ServerOptions {
    /// "127.0.0.1:8000", "[::1]:8000", ":8000" (every address); port 0: any free one; empty: no TCP.
    std::string listen{};
    std::string unix_socket{};    // path; empty: none
    bool takes_inherited = false;    // a socket that systemd handed over (LISTEN_FDS) is used instead of `listen`
    std::optional<TlsIdentity> tls{};    // of TCP
    Patience patience{};
    unsigned connections_max = 512;
    std::chrono::seconds stop_max = std::chrono::seconds(30);
};

class Server {
public:
    /// Answers one request whose head has been read; whether the connection may serve another. Any number of threads at once.
    /// `connections`: how many there are.
    using Handler =
        std::function<bool(Connection& connection, std::string_view head, bool stopping, unsigned connections)>;

    /// Listens and serves when it returns. SIGPIPE is ignored from then on.
    static Result<std::unique_ptr<Server>> start(ServerOptions options, Handler handler);
    ~Server();

    /// "https://127.0.0.1:8000/"; empty without TCP.
    std::string url() const;
    std::uint16_t port() const { return port_; }
    /// "127.0.0.1:8000": where it really listens.
    const std::string& address() const { return address_; }
    void stop();

private:
    struct Client;
    Server(ServerOptions options, Handler handler);
    Status listen_tcp();
    Status listen_unix();
    void accept_loop();
    void accept_one(int listener, bool is_local);
    void serve(Client& client);

    const ServerOptions options_;
    const Handler handler_;
    os::Fd tcp_, local_;
    std::string address_;
    std::uint16_t port_ = 0;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;
    std::condition_variable gone_;
    std::list<std::unique_ptr<Client>> clients_;
    std::atomic<unsigned> serving_ = 0;
    std::thread acceptor_;
};

}    // namespace holdfast::http
