#include "holdfast/serve/server.hpp"

#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::serve {

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
    std::optional<http::TlsIdentity> tls;
    if (!options.tls_certificate.empty()) {
        HF_TRY(tls, http::TlsIdentity::load(options.tls_certificate, options.tls_key));
    }
    HF_TRY(auto store, Store::open(options.folder, options.size_max));
    const bool has_tls = tls.has_value();
    auto handler = std::make_unique<Handler>(options.handler, std::move(store), std::move(users), clock);
    HF_TRY(auto server,
           http::Server::start({.listen = options.listen,
                                .takes_inherited = true,
                                .tls = std::move(tls),
                                .patience = options.patience,
                                .connections_max = options.connections_max,
                                .stop_max = options.stop_max},
                               [raw = handler.get()](auto& connection, auto head, bool stopping, unsigned count) {
                                   return raw->answer(connection, head, stopping, count);
                               }));
    if (!has_tls && !server->address().starts_with("127.") && !server->address().starts_with("[::1]"))
        log_warning(
            "passwords travel in the clear: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy",
            {{"address", server->address()}});
    return std::unique_ptr<Server>(new Server(std::move(handler), std::move(server)));
}

}    // namespace holdfast::serve
