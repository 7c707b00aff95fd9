#include "holdfast/testing/postgres_server.hpp"

#include <fmt/core.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <mutex>
#include <optional>
#include <sstream>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/os/socket.hpp"

namespace holdfast::testing {
namespace {

constexpr Duration k_deadline = std::chrono::seconds(30);
constexpr const char* k_user = "postgres";

Status give_to(const std::string& path, const std::string& user) {
    if (user.empty()) return {};
    const passwd* entry = ::getpwnam(user.c_str());
    if (!entry) return fail(ErrorCode::not_found, fmt::format("there is no user {}", user), "install PostgreSQL");
    if (::chown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0)
        return fail(errno_error(errno, "cannot chown " + path));
    return {};
}

// A name with '=' in it would be read as options.
std::string database_option(std::string_view name) {
    std::string option = "dbname='";
    for (const char c : name) {
        if (c == '\'' || c == '\\') option += '\\';
        option += c;
    }
    return option + '\'';
}

std::vector<pid_t> children_of(pid_t pid) {
    std::vector<pid_t> children;
    const auto text = os::read_text(fmt::format("/proc/{0}/task/{0}/children", pid));
    if (!text) return children;
    std::istringstream numbers(*text);
    for (pid_t child; numbers >> child;) children.push_back(child);
    return children;
}

}    // namespace

struct PostgresServer::State {
    PostgresServerOptions options;
    os::SystemClock clock;
    std::optional<os::TempFolder> folder;
    std::string user;    // to become; empty: stay
    std::string password = "pa'ss \\word";
    std::uint16_t port = 0;
    std::optional<os::Process> process;

    std::string data() const { return options.data_folder.empty() ? folder->path() + "/data" : options.data_folder; }
    std::string log() const { return folder->path() + "/log"; }
    std::string program(std::string_view name) const { return fmt::format("{}/{}", options.bin_folder, name); }

    std::string log_tail() const {
        const std::string text = os::read_text(log()).value_or("");
        return text.size() > 4096 ? text.substr(text.size() - 4096) : text;
    }

    os::Command run_as_user(std::vector<std::string> arguments) const {
        os::Command command;
        command.arguments = std::move(arguments);
        command.folder = "/";    // ours may be closed to that user
        command.user = user;
        return command;
    }

    // initdb takes seconds on a busy machine, and its result is always the same: the first one of this process is kept
    // and copied. (A copied cluster has the same system identifier; the servers of a test never replicate.)
    Status init() {
        static std::mutex mutex;
        static std::optional<os::TempFolder> kept;
        static std::string kept_by;
        const std::scoped_lock lock(mutex);
        if (!kept || kept_by != options.bin_folder) {
            HF_TRY(kept, os::TempFolder::create("hf-initdb-", "/tmp"));
            HF_DO(give_to(kept->path(), user));
            auto made = initdb(kept->path());
            if (!made) {
                kept.reset();
                return made;
            }
            kept_by = options.bin_folder;
        }
        HF_TRY(const auto done, os::run(run_as_user({"cp", "-a", kept->path() + "/data", data()}), {}, k_deadline * 2));
        if (!done.status.ok()) return fail(ErrorCode::store, "cannot copy a new cluster: " + done.errors);
        return {};
    }

    Status initdb(const std::string& where) const {
        const std::string password_file = where + "/password";
        HF_DO(os::write_file(password_file, as_bytes(password)));
        HF_DO(give_to(password_file, user));
        const os::Command command = run_as_user(
            {program("initdb"), "-D", where + "/data", "-U", k_user, "--auth-local=trust", "--auth-host=scram-sha-256",
             "--pwfile=" + password_file, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"});
        HF_TRY(const auto done, os::run(command, {}, k_deadline * 2));
        if (!done.status.ok())
            return fail(ErrorCode::store, fmt::format("initdb failed, {}: {}", done.status.text(), done.errors));
        return {};
    }

    Status launch() {
        os::Command command = run_as_user({program("postgres"), "-D", data(), "-p", std::to_string(port), "-k",
                                           folder->path(), "-c", "listen_addresses=127.0.0.1", "-c",
                                           options.fsync ? "fsync=on" : "fsync=off", "-c", "max_wal_size=4GB"});
        command.errors = os::Stream::null;
        for (const std::string& setting : options.settings) {
            command.arguments.push_back("-c");
            command.arguments.push_back(setting);
        }
        command.output_file = log();
        HF_TRY(process, os::Process::start(command));
        const Instant deadline = clock.instant() + k_deadline;
        const std::string where = fmt::format("host={} port={} user={} dbname=postgres", folder->path(), port, k_user);
        while (PQping(where.c_str()) != PQPING_OK) {
            const bool ended = process->wait(Duration(0)).has_value();
            if (ended || clock.instant() > deadline)
                return fail(ErrorCode::unreachable, fmt::format("the PostgreSQL server of the test {}: {}",
                                                                ended ? "ended" : "does not answer", log_tail()));
            clock.sleep(std::chrono::milliseconds(20));
        }
        return {};
    }

    // Backends are sessions of their own and outlive a killed postmaster for as long as they are busy.
    void kill() {
        if (!process) return;
        const auto children = children_of(process->pid());
        process->kill(SIGKILL);
        for (const pid_t child : children) ::kill(child, SIGKILL);
        static_cast<void>(process->wait().has_value());
        process.reset();
        const Instant deadline = clock.instant() + k_deadline;
        for (const pid_t child : children)
            while (os::process_exists(child) && clock.instant() < deadline) clock.sleep(std::chrono::milliseconds(5));
    }

    ~State() { kill(); }
};

PostgresServer::PostgresServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
PostgresServer::PostgresServer(PostgresServer&&) noexcept = default;
PostgresServer::~PostgresServer() = default;

Result<PostgresServer> PostgresServer::start(const PostgresServerOptions& options) {
    auto state = std::make_unique<State>();
    state->options = options;
    if (::geteuid() == 0) state->user = k_user;
    // In /tmp whatever $TMPDIR says: the user postgres must reach it, and a socket's path has at most 107 bytes.
    HF_TRY(state->folder, os::TempFolder::create("hf-postgres-", "/tmp"));
    HF_DO(give_to(state->folder->path(), state->user));
    HF_TRY(state->port, os::free_port());
    if (options.data_folder.empty()) HF_DO(state->init());
    HF_DO(state->launch());
    return PostgresServer(std::move(state));
}

std::uint16_t PostgresServer::port() const { return state_->port; }
const std::string& PostgresServer::socket_folder() const { return state_->folder->path(); }
std::string PostgresServer::data_folder() const { return state_->data(); }
Result<std::string> PostgresServer::run_tool(std::vector<std::string> arguments) const {
    if (os::exists(state_->program(arguments[0]))) arguments[0] = state_->program(arguments[0]);
    const std::string name = arguments[0];
    HF_TRY(const auto done, os::run(state_->run_as_user(std::move(arguments)), {}, std::chrono::minutes(10)));
    if (!done.status.ok())
        return fail(ErrorCode::store, fmt::format("{}: {}: {}{}", name, done.status.text(), done.output, done.errors));
    return done.output;
}
const std::string& PostgresServer::password() const { return state_->password; }
std::string PostgresServer::log_tail() const { return state_->log_tail(); }

std::vector<std::string> PostgresServer::psql_arguments(const std::string& database) const {
    return {state_->program("psql"),
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            socket_folder(),
            "-p",
            std::to_string(port()),
            "-U",
            k_user,
            "-d",
            database_option(database)};
}

Result<std::string> PostgresServer::sql(const std::string& database, std::string_view script) const {
    os::Command psql;
    psql.arguments = psql_arguments(database);
    HF_TRY(const auto done, os::run(std::move(psql), script, std::chrono::minutes(10)));
    if (!done.status.ok()) return fail(ErrorCode::store, fmt::format("psql in {}: {}", database, done.errors));
    return done.output;
}

Status PostgresServer::stop() {
    if (!state_->process) return {};
    state_->process->kill(SIGINT);
    HF_TRY([[maybe_unused]] const auto ended, state_->process->wait(k_deadline));
    state_->process.reset();
    return {};
}

void PostgresServer::kill() { state_->kill(); }

Status PostgresServer::restart() {
    HF_ASSERT(!state_->process);
    return state_->launch();
}

Status PostgresServer::wipe() {
    state_->kill();
    HF_DO(os::remove_tree(state_->data()));
    HF_DO(state_->init());
    return state_->launch();
}

}    // namespace holdfast::testing
