#pragma once
// `holdfast serve` inside the test program, as strict as it gets: TLS with a certificate of the test's own, and users.

#include <fmt/core.h>

#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/serve/server.hpp"
#include "remote.hpp"

namespace holdfast::testing {

inline os::SystemClock& system_clock() {
    static os::SystemClock clock;
    return clock;
}

/// A certificate for 127.0.0.1 and its key, made by openssl: PATH.crt, PATH.key.
inline Status make_certificate(const std::string& path) {
    os::Command command;
    command.arguments = {"openssl",
                         "req",
                         "-x509",
                         "-newkey",
                         "ec",
                         "-pkeyopt",
                         "ec_paramgen_curve:P-256",
                         "-nodes",
                         "-keyout",
                         path + ".key",
                         "-out",
                         path + ".crt",
                         "-days",
                         "2",
                         "-subj",
                         "/CN=127.0.0.1",
                         "-addext",
                         "subjectAltName=IP:127.0.0.1"};
    HF_TRY(const os::Finished made, os::run(command));
    if (!made.status.ok()) return fail(ErrorCode::store, "openssl: " + made.errors);
    return {};
}

class RestServer {
public:
    /// `change` may alter what is strict by default: TLS, users bob and ann, private repositories.
    explicit RestServer(const std::function<void(serve::ServeOptions&)>& change = {}) {
        options_.folder = folder_.path() + "/repositories";
        options_.listen = "127.0.0.1:0";
        options_.tls_certificate = folder_.path() + "/tls.crt";
        options_.tls_key = folder_.path() + "/tls.key";
        options_.htpasswd_file = folder_.path() + "/htpasswd";
        options_.handler.private_repositories = true;
        options_.handler.prometheus = true;
        const std::string users =
            serve::htpasswd_line("bob", "p/w", 4).value() + serve::htpasswd_line("ann", "x", 4).value();
        EXPECT_TRUE(os::write_file(options_.htpasswd_file, as_bytes(users)));
        const auto made = make_certificate(folder_.path() + "/tls");
        EXPECT_TRUE(made) << (made ? "" : error_text(made.error()));
        if (change) change(options_);
        start();
    }
    void start() {
        auto started = serve::Server::start(options_, system_clock());
        EXPECT_TRUE(started) << (started ? "" : error_text(started.error()));
        if (started) server_ = *std::move(started);
    }
    void stop() { server_.reset(); }

    serve::Server& server() const { return *server_; }
    std::string folder() const { return options_.folder; }
    std::string ca_file() const { return folder_.path() + "/tls.crt"; }
    /// "rest:https://bob:p%2Fw@127.0.0.1:port/bob/repo/"
    std::string location(const std::string& repository = "bob/repo", std::uint16_t port = 0) const {
        const std::string login = options_.no_auth ? "" : repository.starts_with("ann") ? "ann:x@" : "bob:p%2Fw@";
        return fmt::format("rest:{}://{}127.0.0.1:{}/{}/", options_.tls_key.empty() ? "http" : "https", login,
                           port ? port : server_->port(), repository);
    }
    storage::BackendOptions client_options() const {
        storage::BackendOptions options;
        options.ca_file = ca_file();
        return options;
    }
    std::unique_ptr<storage::Backend> backend(const std::string& repository = "bob/repo",
                                              std::uint16_t port = 0) const {
        auto opened = storage::open_backend(location(repository, port), client_options());
        EXPECT_TRUE(opened) << (opened ? "" : error_text(opened.error()));
        return *std::move(opened);
    }

private:
    os::TempFolder folder_ = os::TempFolder::create("hf-serve").value();
    serve::ServeOptions options_;
    std::unique_ptr<serve::Server> server_;
};

}    // namespace holdfast::testing
