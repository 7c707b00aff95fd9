#pragma once
// Answers one request of restic's REST protocol, version 2.
//
//   promise   what was answered with 200 is on the disk under its name; what was not has no name. A file whose content is
//             not its name is refused. In append-only mode nothing but locks goes away and nothing is replaced
//   answers   400 not understood, or content and name differ; 401 who are you; 403 not yours, exists, append-only; 404;
//             405; 411 no length; 413 over 4 GiB; 416; 500 (the log says why); 501 whole repositories; 507 full
//   threads   any number of connections at once
//   source    restic's REST protocol; docs/operations/serve.md

#include <memory>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/http/exchange.hpp"
#include "holdfast/serve/htpasswd.hpp"
#include "holdfast/serve/metrics.hpp"
#include "holdfast/serve/route.hpp"
#include "holdfast/serve/store.hpp"

namespace holdfast::serve {

struct HandlerOptions {
    bool append_only = false;
    bool private_repositories = false;    // the first folder is the user's name
    bool prometheus = false;
    bool prometheus_no_auth = false;
    bool access_log = false;
};

class Handler {
public:
    /// `users` null: everybody may do everything.
    Handler(HandlerOptions options, std::unique_ptr<Store> store, std::unique_ptr<Users> users, Clock& clock)
        : options_(options), store_(std::move(store)), users_(std::move(users)), clock_(clock) {}

    /// Whether the connection may serve another request. `connections`: how many there are, for the metrics.
    bool answer(http::Connection& connection, std::string_view head, bool stopping, unsigned connections);

private:
    struct Exchange;
    void dispatch(Exchange& exchange);
    bool admits(Exchange& exchange, const Route* route);
    void list(Exchange& exchange, const Route& route);
    void read(Exchange& exchange, const Route& route);
    void save(Exchange& exchange, const Route& route);
    Status receive(Exchange& exchange, const Route& route, std::uint64_t size);
    void remove(Exchange& exchange, const Route& route);
    void create(Exchange& exchange, const Route& route);
    void fail_with(Exchange& exchange, const Error& error);

    const HandlerOptions options_;
    const std::unique_ptr<Store> store_;
    const std::unique_ptr<Users> users_;
    Clock& clock_;
    Metrics metrics_;
};

}    // namespace holdfast::serve
