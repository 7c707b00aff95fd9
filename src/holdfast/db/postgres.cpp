#include "holdfast/db/postgres.hpp"

#include <fmt/core.h>
#include <libpq-fe.h>
#include <poll.h>

#include <charconv>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::db {
namespace {

constexpr int k_poll_ms = 100;
// Rows come 8 KiB at a time. Who waits for them in poll(2) is woken for each, at the server's cost, too: after a moment there are
// more. (A base backup comes faster than it fills the socket in that time.)
constexpr auto k_rows_nap = std::chrono::microseconds(200);
constexpr std::size_t k_copy_piece = std::size_t(256) << 10;

// libpq breaks its sentences into lines and indents them; ours are one line.
std::string trimmed(const char* text) {
    std::string line;
    for (const char* c = text ? text : ""; *c != 0; ++c) {
        const bool blank = *c == '\n' || *c == '\t' || *c == ' ';
        if (!blank)
            line += *c;
        else if (!line.empty() && line.back() != ' ')
            line += ' ';
    }
    if (line.ends_with(' ')) line.pop_back();
    return line;
}

struct ResultCloser {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ResultCloser>;

ErrorCode code_of(std::string_view state) {
    if (state == "28P01" || state == "28000" || state == "42501") return ErrorCode::denied;
    if (state == "3D000") return ErrorCode::not_found;
    if (state == "42P04") return ErrorCode::exists;
    if (state == "53100") return ErrorCode::disk_full;
    if (state == "55P03" || state == "42P01" || state == "40001" || state == "40P01") return ErrorCode::changed;
    if (state.starts_with("08") || state.starts_with("57P")) return ErrorCode::unreachable;
    return ErrorCode::store;
}

PostgresRows rows_of(const PGresult* result) {
    PostgresRows rows(static_cast<std::size_t>(PQntuples(result)));
    const int columns = PQnfields(result);
    for (int row = 0; row < static_cast<int>(rows.size()); ++row) {
        auto& cells = rows[static_cast<std::size_t>(row)].cells;
        for (int column = 0; column < columns; ++column) {
            if (PQgetisnull(result, row, column))
                cells.emplace_back(std::nullopt);
            else
                cells.emplace_back(std::string(PQgetvalue(result, row, column),
                                               static_cast<std::size_t>(PQgetlength(result, row, column))));
        }
    }
    return rows;
}

// What a walsender refuses has remedies of its own.
std::string replication_hint(std::string_view message, const std::string& user) {
    if (message.find("replication role") != message.npos)
        return fmt::format("as a superuser: ALTER ROLE {} REPLICATION;", quote_identifier(user));
    if (message.find("pg_hba.conf") != message.npos)
        return fmt::format(
            "`all` in pg_hba.conf does not mean replication: add a line as `hostssl replication {} <this machine>/32 "
            "scram-sha-256` and run SELECT pg_reload_conf();",
            user);
    if (message.find("max_wal_senders") != message.npos)
        return "ALTER SYSTEM SET max_wal_senders = 10; and restart the server";
    return {};
}

std::string_view hint_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::denied:
            return "check user and password_file in the configuration, and pg_hba.conf of the server";
        case ErrorCode::disk_full:
            return "free space on the server's disk and start again";
        case ErrorCode::unreachable:
            return "check that the server runs, and host and port in the configuration";
        default:
            return {};
    }
}

void notice(void*, const PGresult* result) {
    log_debug("postgres", {{"notice", trimmed(PQresultErrorMessage(result))}});
}

// libpq 15 gives no SQLSTATE for a refused connection: what the server said must be read from its sentence. The
// server's messages may be translated; the code then is unreachable, with the server's words in the message.
ErrorCode connect_code(std::string_view message) {
    for (const char* sign : {"password authentication failed", "no password supplied", "no pg_hba.conf entry",
                             "Peer authentication failed", "Ident authentication failed", "authentication failed",
                             "permission denied for database", "replication role to start walsender",
                             "is not permitted to log in", "pg_hba.conf rejects"})
        if (message.find(sign) != message.npos) return ErrorCode::denied;
    if (message.find("role \"") != message.npos && message.find("does not exist") != message.npos)
        return ErrorCode::denied;
    if (message.find("database \"") != message.npos && message.find("does not exist") != message.npos)
        return ErrorCode::not_found;
    if (message.find("not currently accepting connections") != message.npos) return ErrorCode::denied;
    return ErrorCode::unreachable;
}

}    // namespace

std::string PostgresAddress::text() const {
    return fmt::format("{}@{}:{}/{}", user, host.empty() ? "local" : host, port, database);
}

const std::string& PostgresRow::text(std::size_t column) const {
    static const std::string none;
    return cells.at(column) ? *cells[column] : none;
}

std::int64_t PostgresRow::integer(std::size_t column) const {
    const std::string& digits = text(column);
    std::int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

struct PostgresConnection::State {
    PGconn* connection = nullptr;
    std::string where, sql_state;
    std::atomic<bool> cancelled = false;
    std::optional<Duration> answer_max;
    char* copied = nullptr;    // the message that was handed out last

    static Result<std::unique_ptr<State>> connect(const PostgresAddress& address, const Secret& password,
                                                  bool replication);
    ~State() {
        PQfreemem(copied);
        PQfinish(connection);
    }

    bool stopping() const { return cancelled || (!answer_max && os::stop_requested()); }

    void cancel_statement() {
        char text[256];
        PGcancel* handle = PQgetCancel(connection);
        if (!handle) return;
        PQcancel(handle, text, sizeof text);
        PQfreeCancel(handle);
    }

    Error broken() {
        sql_state.clear();
        return {ErrorCode::unreachable,
                fmt::format("the connection to PostgreSQL {} broke: {}", where, trimmed(PQerrorMessage(connection))),
                std::string(hint_of(ErrorCode::unreachable))};
    }

    // Waits for the next result, looking at the stop flags; after a cancel the server is given the time to say so.
    Status wait() {
        bool told = false;
        const auto began = std::chrono::steady_clock::now();
        while (PQisBusy(connection)) {
            if (answer_max && std::chrono::steady_clock::now() - began > *answer_max)
                return fail(ErrorCode::unreachable,
                            fmt::format("PostgreSQL {} does not answer within {:.1f} s", where, seconds(*answer_max)),
                            std::string(hint_of(ErrorCode::unreachable)));
            pollfd entry{PQsocket(connection), POLLIN, 0};
            ::poll(&entry, 1, k_poll_ms);
            if (entry.revents != 0 && !PQconsumeInput(connection)) return fail(broken());
            if (stopping() && !told) {
                told = true;
                cancel_statement();
            }
        }
        return {};
    }

    // Until all that libpq holds has gone out. The server may say something meanwhile: it must be read, or both would wait.
    Status flush() {
        for (;;) {
            const int left = PQflush(connection);
            if (left == 0) return {};
            if (left < 0) return fail(broken());
            if (stopping()) return fail(ErrorCode::cancelled, "stopped");
            pollfd entry{PQsocket(connection), POLLIN | POLLOUT, 0};
            ::poll(&entry, 1, k_poll_ms);
            if ((entry.revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !PQconsumeInput(connection))
                return fail(broken());
        }
    }

    Error error_of(const PGresult* result) {
        const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        if (!state || PQstatus(connection) == CONNECTION_BAD) return broken();
        sql_state = state;
        if (sql_state == "57014" && stopping()) return {ErrorCode::cancelled, "stopped", {}};
        std::string message = trimmed(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
        if (const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL))
            message += fmt::format(" ({})", trimmed(detail));
        const ErrorCode code = code_of(sql_state);
        return {code, fmt::format("PostgreSQL {}: {}", where, message), std::string(hint_of(code))};
    }

    // The rest of a failed answer, so that the session can take another command.
    Status drain() {
        while (PQstatus(connection) == CONNECTION_OK) {
            HF_DO(wait());
            if (!ResultHandle(PQgetResult(connection))) break;
        }
        return {};
    }

    // Why the server takes no more of a COPY: it has said so, unless it is gone.
    Error refused_copy() {
        if (PQstatus(connection) == CONNECTION_BAD) return broken();
        auto result = collect();
        return result ? broken() : std::move(result).error();
    }

    // Takes all results of what was sent; the last one with rows is returned.
    Result<ResultHandle> collect() {
        ResultHandle kept;
        std::optional<Error> error;
        for (;;) {
            HF_DO(wait());
            ResultHandle result(PQgetResult(connection));
            if (!result) break;
            const auto status = PQresultStatus(result.get());
            if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
                if (!error) error = error_of(result.get());
                if (PQstatus(connection) == CONNECTION_BAD) break;
            } else {
                kept = std::move(result);
            }
        }
        if (error) return fail(std::move(*error));
        if (!kept) return fail(broken());
        return kept;
    }
};

PostgresConnection::PostgresConnection(std::unique_ptr<State> state) : state_(std::move(state)) {}
PostgresConnection::PostgresConnection(PostgresConnection&&) noexcept = default;
PostgresConnection& PostgresConnection::operator=(PostgresConnection&&) noexcept = default;
PostgresConnection::~PostgresConnection() = default;

Result<PostgresConnection> PostgresConnection::connect(const PostgresAddress& address, const Secret& password) {
    HF_TRY(auto state, State::connect(address, password, false));
    return PostgresConnection(std::move(state));
}

Result<PostgresConnection> PostgresConnection::connect_for_replication(const PostgresAddress& address,
                                                                       const Secret& password) {
    HF_TRY(auto state, State::connect(address, password, true));
    return PostgresConnection(std::move(state));
}

Result<std::unique_ptr<PostgresConnection::State>> PostgresConnection::State::connect(const PostgresAddress& address,
                                                                                      const Secret& password,
                                                                                      bool replication) {
    const std::string port = std::to_string(address.port);
    const std::string timeout = std::to_string(
        std::max<std::int64_t>(2, std::chrono::ceil<std::chrono::seconds>(address.connect_timeout).count()));
    std::vector<const char*> names, values;
    const auto set = [&](const char* name, const char* value) {
        if (*value == 0) return;
        names.push_back(name);
        values.push_back(value);
    };
    set("host", address.host.c_str());
    set("port", port.c_str());
    set("user", address.user.c_str());
    set("password", password.reveal().c_str());
    if (replication)
        set("replication", "true");
    else
        set("dbname", address.database.c_str());
    set("connect_timeout", timeout.c_str());
    set("client_encoding", "UTF8");
    set("application_name", "holdfast");
    // A peer that is gone is noticed within a minute.
    set("keepalives_idle", "30");
    set("keepalives_interval", "10");
    set("keepalives_count", "3");
    names.push_back(nullptr);
    values.push_back(nullptr);

    auto state = std::make_unique<State>();
    state->where = address.text();
    // expand_dbname 0: a database name with '=' in it is a name and no connection string.
    state->connection = PQconnectdbParams(names.data(), values.data(), 0);
    if (PQstatus(state->connection) != CONNECTION_OK) {
        const std::string said = trimmed(PQerrorMessage(state->connection));
        const ErrorCode code = PQconnectionNeedsPassword(state->connection) ? ErrorCode::denied : connect_code(said);
        std::string hint = replication ? replication_hint(said, address.user) : std::string();
        if (hint.empty()) hint = hint_of(code);
        return fail(code, fmt::format("cannot connect to PostgreSQL {}: {}", state->where, said), std::move(hint));
    }
    PQsetNoticeReceiver(state->connection, notice, nullptr);
    return state;
}

Result<PostgresRows> PostgresConnection::query(const std::string& sql, const std::vector<std::string>& parameters) {
    if (state_->stopping()) return fail(ErrorCode::cancelled, "stopped");
    std::vector<const char*> values;
    values.reserve(parameters.size());
    for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
    if (!PQsendQueryParams(state_->connection, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                           nullptr, nullptr, 0))
        return fail(state_->broken());
    HF_TRY(const ResultHandle result, state_->collect());
    return rows_of(result.get());
}

Result<bool> PostgresConnection::take_notifications() {
    if (!PQconsumeInput(state_->connection)) return fail(state_->broken());
    bool any = false;
    while (PGnotify* one = PQnotifies(state_->connection)) {
        any = true;
        PQfreemem(one);
    }
    return any;
}

int PostgresConnection::socket() const { return PQsocket(state_->connection); }

Status PostgresConnection::start(const std::string& command) {
    if (state_->stopping()) return fail(ErrorCode::cancelled, "stopped");
    if (!PQsendQuery(state_->connection, command.c_str())) return fail(state_->broken());
    return {};
}

Result<PostgresAnswer> PostgresConnection::next() {
    HF_DO(state_->wait());
    const ResultHandle result(PQgetResult(state_->connection));
    if (!result) return PostgresAnswer{};
    switch (PQresultStatus(result.get())) {
        case PGRES_TUPLES_OK:
            return PostgresAnswer{PostgresAnswer::Kind::rows, rows_of(result.get())};
        case PGRES_COPY_OUT:
            return PostgresAnswer{PostgresAnswer::Kind::copy, {}};
        case PGRES_COMMAND_OK:
            return next();    // the end of one command; nothing follows, or that of another
        default:
            break;
    }
    Error error = state_->error_of(result.get());
    HF_DO(state_->drain());
    return fail(std::move(error));
}

Result<std::optional<ByteView>> PostgresConnection::copied() { return copied(std::chrono::microseconds(0)); }

Result<std::optional<ByteView>> PostgresConnection::copied(std::chrono::microseconds nap) {
    PGconn* connection = state_->connection;
    for (unsigned tries = 0;; ++tries) {
        PQfreemem(std::exchange(state_->copied, nullptr));
        const int got = PQgetCopyData(connection, &state_->copied, 1);
        if (got > 0) return ByteView(reinterpret_cast<const std::byte*>(state_->copied), static_cast<std::size_t>(got));
        if (got == -1) return std::nullopt;
        if (got < -1) return fail(state_->broken());
        if (state_->stopping()) return fail(ErrorCode::cancelled, "stopped");
        if (tries == 1 && nap.count() > 0) std::this_thread::sleep_for(nap);
        if (tries > 1 || nap.count() == 0) {
            pollfd entry{PQsocket(connection), POLLIN, 0};
            ::poll(&entry, 1, k_poll_ms);
            if (entry.revents == 0) continue;
        }
        if (!PQconsumeInput(connection)) return fail(state_->broken());
    }
}

Status PostgresConnection::copy_out(const std::string& sql, const std::function<void(ByteView)>& sink) {
    HF_DO(start(sql));
    for (;;) {
        HF_TRY(const PostgresAnswer answer, next());
        if (answer.kind == PostgresAnswer::Kind::done) return {};
        if (answer.kind != PostgresAnswer::Kind::copy) continue;
        for (;;) {
            HF_TRY(const auto bytes, copied(k_rows_nap));
            if (!bytes) break;
            sink(*bytes);
        }
    }
}

Status PostgresConnection::begin_copy(const std::string& sql) {
    HF_DO(start(sql));
    HF_DO(state_->wait());
    const ResultHandle result(PQgetResult(state_->connection));
    if (!result) return fail(state_->broken());
    if (PQresultStatus(result.get()) == PGRES_COPY_IN) {
        // Otherwise libpq would wait by itself while the server takes nothing, and hear of no stop.
        if (PQsetnonblocking(state_->connection, 1) != 0) return fail(state_->broken());
        return {};
    }
    Error error = state_->error_of(result.get());
    HF_DO(state_->drain());
    return fail(std::move(error));
}

Status PostgresConnection::put(ByteView bytes) {
    while (!bytes.empty()) {
        const ByteView piece = bytes.first(std::min(bytes.size(), k_copy_piece));
        if (PQputCopyData(state_->connection, reinterpret_cast<const char*>(piece.data()),
                          static_cast<int>(piece.size())) != 1)
            return fail(state_->refused_copy());
        bytes = bytes.subspan(piece.size());
        HF_DO(state_->flush());
    }
    return {};
}

Status PostgresConnection::end_copy() {
    if (PQputCopyEnd(state_->connection, nullptr) != 1) return fail(state_->refused_copy());
    HF_DO(state_->flush());
    if (PQsetnonblocking(state_->connection, 0) != 0) return fail(state_->broken());
    HF_TRY([[maybe_unused]] const ResultHandle result, state_->collect());
    return {};
}

Status PostgresConnection::execute(const std::string& sql) {
    if (state_->stopping()) return fail(ErrorCode::cancelled, "stopped");
    if (!PQsendQuery(state_->connection, sql.c_str())) return fail(state_->broken());
    HF_TRY([[maybe_unused]] const ResultHandle result, state_->collect());
    return {};
}

int PostgresConnection::server_version() const { return PQserverVersion(state_->connection); }
const std::string& PostgresConnection::sql_state() const { return state_->sql_state; }
void PostgresConnection::answer_within(Duration answer_max) { state_->answer_max = answer_max; }
void PostgresConnection::cancel() { state_->cancelled = true; }

PostgresAddress PostgresAccess::to(const std::string& database) const {
    PostgresAddress other = address;
    other.database = database;
    return other;
}

Result<PostgresConnection> PostgresAccess::connect(const std::string& database) const {
    return PostgresConnection::connect(to(database), password);
}

std::string quote_identifier(std::string_view name) {
    std::string quoted = "\"";
    for (const char c : name) {
        if (c == '"') quoted += c;
        quoted += c;
    }
    return quoted + '"';
}

std::string quote_literal(std::string_view text) {
    std::string quoted = text.find('\\') == text.npos ? "'" : " E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') quoted += c;
        quoted += c;
    }
    return quoted + '\'';
}

std::string database_option(std::string_view name) {
    std::string option = "dbname='";
    for (const char c : name) {
        if (c == '\'' || c == '\\') option += '\\';
        option += c;
    }
    return option + "' keepalives_idle=30 keepalives_interval=10 keepalives_count=3";
}

}    // namespace holdfast::db
