#pragma once
// A thin PostgreSQL client over libpq: connect, ask, read rows of text.
//
//   errors    unreachable (no server, or the connection broke), denied (28P01, 28000, 42501), not_found (3D000: no such
//             database), changed (lock timeout, an object vanished), disk_full (53100), cancelled, the rest store.
//             Messages carry the server's sentence, never the statement (it may hold a password) and never ours
//   threads   one connection, one thread; cancel() from any thread
//   text      client_encoding is UTF8 (bytes as they are for SQL_ASCII databases); notices go to the debug log

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"

namespace holdfast::db {

struct PostgresAddress {
    std::string host;    // name, address or folder of the socket; empty: libpq's own socket folder
    std::uint16_t port = 5432;
    std::string user;
    std::string database;
    Duration connect_timeout = std::chrono::seconds(10);
    /// "user@host:port/database", for messages.
    std::string text() const;
};

struct PostgresRow {
    std::vector<std::optional<std::string>> cells;    // nullopt: NULL
    const std::string& text(std::size_t column) const;    // "" for NULL
    std::int64_t integer(std::size_t column) const;    // 0 for NULL
    bool boolean(std::size_t column) const { return text(column) == "t"; }
};
using PostgresRows = std::vector<PostgresRow>;

/// A part of what a replication command answers.
struct PostgresAnswer {
    enum class Kind { rows, copy, done } kind = Kind::done;
    PostgresRows rows;
};

class PostgresConnection {
public:
    static Result<PostgresConnection> connect(const PostgresAddress& address, const Secret& password);
    /// A walsender: it takes replication commands by start(), and no SQL. The role needs the right REPLICATION, and a line
    /// of its own in pg_hba.conf: both are said in the error's hint.
    static Result<PostgresConnection> connect_for_replication(const PostgresAddress& address, const Secret& password);
    PostgresConnection(PostgresConnection&&) noexcept;
    PostgresConnection& operator=(PostgresConnection&&) noexcept;
    ~PostgresConnection();

    /// One statement with $1, $2 … as text; polls stop_requested() and cancels the statement then.
    Result<PostgresRows> query(const std::string& sql, const std::vector<std::string>& parameters = {});
    /// One or more statements without parameters, rows are dropped. More than one run in one implicit transaction.
    Status execute(const std::string& sql);
    /// Sends a replication command, whose answer comes part by part: ask next() until it says done, or fails.
    Status start(const std::string& command);
    Result<PostgresAnswer> next();
    /// After next() said copy: one message of it, good until the next call; nullopt when the copy has ended.
    Result<std::optional<ByteView>> copied();
    /// COPY … TO STDOUT: hands on what comes, a row at a time.
    Status copy_out(const std::string& sql, const std::function<void(ByteView)>& sink);
    /// COPY … FROM STDIN: begins; bytes in pieces of any size; the end, at which the server says whether it took them. A
    /// connection that goes away before has brought nothing.
    Status begin_copy(const std::string& sql);
    Status put(ByteView bytes);
    Status end_copy();
    /// Has any NOTIFY come since the last call, on a channel that LISTEN named? Does not wait. unreachable when it broke.
    Result<bool> take_notifications();
    /// For poll(): readable when something has come.
    int socket() const;
    /// 150020 for 15.20.
    int server_version() const;
    int server_major() const { return server_version() / 10000; }
    /// SQLSTATE of the last failed statement; empty if it did not come from the server.
    const std::string& sql_state() const;
    /// From now on each answer is waited for that long and no longer (the connection is broken then), and a stop request
    /// ends nothing: for what is still to be said while stopping.
    void answer_within(Duration answer_max);
    /// Makes the running statement, and all later ones, fail with cancelled.
    void cancel();

private:
    struct State;
    Result<std::optional<ByteView>> copied(std::chrono::microseconds nap);
    explicit PostgresConnection(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

/// How one component reaches its server: the address names the maintenance database.
struct PostgresAccess {
    PostgresAddress address;
    Secret password;
    PostgresAddress to(const std::string& database) const;
    Result<PostgresConnection> connect(const std::string& database) const;
};

/// "a""b" with its quotes; 'it''s' (E'' when a backslash is in it).
std::string quote_identifier(std::string_view name);
std::string quote_literal(std::string_view text);
/// "dbname='it\'s' …": what a tool's --dbname takes for any name (a plain name with '=' in it would be read as options).
/// Keep-alives are on: a peer that is gone is noticed within a minute.
std::string database_option(std::string_view name);

}    // namespace holdfast::db
