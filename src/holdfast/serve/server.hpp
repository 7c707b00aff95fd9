#pragma once
// `holdfast serve`: restic's REST protocol, version 2, over a folder of repositories. restic and holdfast are its clients.
//
//   security  refuses to start without users unless told `no_auth`; TLS 1.2 and newer when a certificate is given
//   clients   a thread each, at most `connections_max`; more are closed at once. A slow one costs its thread and no more
//             than its patience (serve/connection.hpp)
//   stop      no new connections; requests that are on their way are finished, for at most `stop_max`
//   errors    usage (options), config (users, certificates), denied or io (the port)
//   threads   its own; stop() from any

#include <atomic>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "holdfast/serve/handler.hpp"

namespace holdfast::serve {

struct ServeOptions {
    std::string folder;
    std::string listen = "127.0.0.1:8000";    // "[::1]:8000", ":8000" (every address); port 0: any free one
    std::string tls_certificate, tls_key;
    std::string htpasswd_file;
    bool no_auth = false;
    std::uint64_t size_max = 0;    // bytes of all repositories together; 0: no limit
    HandlerOptions handler;
    Patience patience;
    unsigned connections_max = 512;
    std::chrono::seconds stop_max = std::chrono::seconds(30);
};

class Server {
public:
    /// Listens and serves when it returns. A socket that systemd handed over (LISTEN_FDS) is used instead of `listen`.
    static Result<std::unique_ptr<Server>> start(const ServeOptions& options, Clock& clock);
    ~Server();

    /// "https://127.0.0.1:8000/"
    std::string url() const;
    std::uint16_t port() const { return port_; }
    void stop();

private:
    struct Client;
    Server(const ServeOptions& options, std::unique_ptr<Handler> handler, std::optional<TlsIdentity> tls);
    Status listen();
    void accept_loop();
    void serve(Client& client);

    const ServeOptions options_;
    const std::unique_ptr<Handler> handler_;
    const std::optional<TlsIdentity> tls_;
    os::Fd listener_;
    std::string host_;
    std::uint16_t port_ = 0;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;
    std::condition_variable gone_;
    std::list<std::unique_ptr<Client>> clients_;
    std::atomic<unsigned> serving_ = 0;
    std::thread acceptor_;
};

}    // namespace holdfast::serve
