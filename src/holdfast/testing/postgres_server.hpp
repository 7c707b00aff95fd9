#pragma once
// A PostgreSQL server of a test, the demo or the bench: its own cluster in a temporary folder, on a free port of
// 127.0.0.1 and a socket inside the folder. Runs as the user postgres when we are root, else as ourselves.
//
//   access    socket: everybody is trusted; TCP: scram-sha-256. The superuser is postgres, its password password()
//   speed     fsync is off unless asked for
//   threads   one server, one thread
//   end       the destructor kills the server and removes the folder

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::testing {

struct PostgresServerOptions {
    std::string bin_folder = "/usr/lib/postgresql/15/bin";
    std::vector<std::string> settings;    // "work_mem=64MB"
    bool fsync = false;
    std::string data_folder = {};    // of a cluster that is there already; it stays. Empty: a new one
};

class PostgresServer {
public:
    /// initdb, start, wait until it answers. On failure the tail of its log is in the error.
    static Result<PostgresServer> start(const PostgresServerOptions& options = {});
    PostgresServer(PostgresServer&&) noexcept;
    ~PostgresServer();

    std::uint16_t port() const;
    const std::string& socket_folder() const;    // `host` for a connection that needs no password
    const std::string& password() const;    // of postgres over TCP
    std::string log_tail() const;
    std::string data_folder() const;
    /// Runs one of PostgreSQL's own programs ("pg_amcheck"), or another ("mkdir"), as the user of the server; returns what it printed.
    Result<std::string> run_tool(std::vector<std::string> arguments) const;

    /// Runs a script by psql in one database, stopping at its first error; returns what it printed (unaligned, no
    /// headings).
    Result<std::string> sql(const std::string& database, std::string_view script) const;
    /// psql's connection settings, for a program that runs on its own.
    std::vector<std::string> psql_arguments(const std::string& database) const;

    Status stop();    // fast shutdown
    void kill();    // SIGKILL to the postmaster and every backend
    Status restart();    // after stop() or kill(): the same cluster, the same port
    Status wipe();    // kill, then a new empty cluster on the same port

private:
    struct State;
    explicit PostgresServer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}    // namespace holdfast::testing
