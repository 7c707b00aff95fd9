#pragma once
// `holdfast serve`: restic's REST protocol, version 2, over a folder of repositories. restic and holdfast are its clients.
//
//   security  refuses to start without users unless told `no_auth`; TLS 1.2 and newer when a certificate is given
//   clients   a thread each, at most `connections_max` (http/server.hpp)
//   stop      no new connections; requests that are on their way are finished, for at most `stop_max`
//   errors    usage (options), config (users, certificates), denied or io (the port)
//   threads   its own; stop() from any

#include <memory>
#include <string>

#include "holdfast/http/server.hpp"
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
    http::Patience patience;
    unsigned connections_max = 512;
    std::chrono::seconds stop_max = std::chrono::seconds(30);
};

class Server {
public:
    /// Listens and serves when it returns. A socket that systemd handed over (LISTEN_FDS) is used instead of `listen`.
    static Result<std::unique_ptr<Server>> start(const ServeOptions& options, Clock& clock);

    /// "https://127.0.0.1:8000/"
    std::string url() const { return server_->url(); }
    std::uint16_t port() const { return server_->port(); }
    void stop() { server_->stop(); }

private:
    Server(std::unique_ptr<Handler> handler, std::unique_ptr<http::Server> server)
        : handler_(std::move(handler)), server_(std::move(server)) {}

    const std::unique_ptr<Handler> handler_;
    const std::unique_ptr<http::Server> server_;
};

}    // namespace holdfast::serve
