#include <fmt/core.h>

#include "holdfast/base/log.hpp"
#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/serve/server.hpp"

namespace holdfast::cli {
namespace {

class ServeCommand final : public Command {
    std::string_view name() const override { return "serve"; }
    std::string_view help() const override {
        return "offer a folder of repositories to other machines (restic's REST protocol)";
    }
    std::string_view examples() const override {
        return R"(Examples
  holdfast serve --path /srv/backups --add-user bob         make a user (asks for the password)
  holdfast serve --path /srv/backups --private-repos --append-only --listen :8000 \
      --tls-cert /etc/holdfast/tls.crt --tls-key /etc/holdfast/tls.key
  holdfast backup --repo rest:https://bob@host:8000/bob/desk/     on the other machine; restic -r works as well

--append-only lets clients add and read, and remove nothing but locks: a machine that was taken over cannot destroy its own
backups. Forget and prune then run on this machine, on the folder itself. docs/operations/serve.md has a systemd unit.
)";
    }
    void declare(Options& options) override {
        options.value("--path", options_.folder, "FOLDER", "where the repositories lie");
        options.value("--listen", options_.listen, "ADDRESS",
                      "HOST:PORT; \":8000\" is every address (default 127.0.0.1:8000)");
        options.value("--tls-cert", options_.tls_certificate, "FILE", "certificate and its chain (PEM)");
        options.value("--tls-key", options_.tls_key, "FILE", "its private key (PEM)");
        options.value("--htpasswd-file", options_.htpasswd_file, "FILE",
                      "users, hashed by bcrypt (default: .htpasswd in the folder)");
        options.value("--add-user", add_user_, "USER", "add a user to that file and end; asks, or --password-file");
        options.flag("--no-auth", options_.no_auth, "everybody who reaches the port may do everything");
        options.flag("--append-only", options_.handler.append_only, "clients may remove nothing but locks");
        options.flag("--private-repos", options_.handler.private_repositories,
                     "users see only what lies below their name");
        options.number("--max-size", max_size_, 1, "BYTES", "what all repositories may take together");
        options.flag("--prometheus", options_.handler.prometheus, "metrics at /metrics");
        options.flag("--prometheus-no-auth", options_.handler.prometheus_no_auth, "metrics for everybody");
        options.flag("--access-log", options_.handler.access_log, "a line for every request");
    }
    Result<int> run(const Session& session) override;
    Result<int> add_user(const Session& session);

    serve::ServeOptions options_;
    std::int64_t max_size_ = 0;
    std::string add_user_;
};

Result<int> ServeCommand::add_user(const Session& session) {
    if (options_.htpasswd_file.empty() && options_.folder.empty())
        return fail(ErrorCode::usage, "no file of users was named", "--path or --htpasswd-file names it");
    const std::string file = options_.htpasswd_file.empty() ? options_.folder + "/.htpasswd" : options_.htpasswd_file;
    std::string text;
    if (os::exists(file)) {
        HF_TRY(text, os::read_text(file));
        HF_TRY(const auto users, serve::parse_htpasswd(text, file));
        if (users.contains(add_user_))
            return fail(ErrorCode::exists, fmt::format("the user {} is in {} already", add_user_, file),
                        "remove its line first to give it another password");
        if (!text.empty() && !text.ends_with('\n')) text += '\n';
    }
    // Not the repository's password: neither its variables nor the configuration are asked.
    HF_TRY(const Secret password, session.global.password_file.empty()
                                      ? ask_password(Ask::twice)
                                      : db::read_secret({.file = session.global.password_file}));
    HF_TRY(const std::string line, serve::htpasswd_line(add_user_, password.reveal()));
    HF_DO(os::make_folders(os::parent_folder(file)));
    HF_DO(os::write_file(file, as_bytes(text + line)));
    if (session.people())
        print_note(fmt::format("{} may use the repositories now (a running server sees it)\n", add_user_));
    if (session.global.json) print_json(json::Value::object({{"user", add_user_}, {"file", file}}));
    return 0;
}

Result<int> ServeCommand::run(const Session& session) {
    if (!add_user_.empty()) return add_user(session);
    options_.size_max = static_cast<std::uint64_t>(max_size_);
    if (options_.handler.access_log || session.people()) {
        LogOptions log;
        log.level = session.global.verbose >= 2                                  ? LogLevel::debug
                    : options_.handler.access_log || session.global.verbose == 1 ? LogLevel::info
                                                                                 : LogLevel::warning;
        log.json = session.global.json;
        log.timestamp = [&clock = session.clock] { return to_rfc3339(clock.now()); };
        set_log(std::move(log));
    }
    HF_TRY(const auto server, serve::Server::start(options_, session.clock));
    if (session.global.json) {
        print_json(json::Value::object(
            {{"url", server->url()}, {"path", options_.folder}, {"append_only", options_.handler.append_only}}));
    } else if (!session.global.quiet) {
        print(fmt::format("serving {} at {}{}\n", options_.folder, server->url(),
                          options_.handler.append_only ? ", append-only" : ""));
    }
    std::fflush(stdout);
    while (!os::stop_requested()) session.clock.sleep(std::chrono::milliseconds(200));
    if (session.people()) print_note("stopping: requests that are on their way are finished\n");
    server->stop();
    return 0;
}

}    // namespace

std::unique_ptr<Command> serve_command() { return std::make_unique<ServeCommand>(); }

}    // namespace holdfast::cli
