#pragma once
// Has anything changed in what a [[postgres]] with on_change holds: its tables, and its roles where `globals` says so?
//
//   mark      the SHA-256 of counts and digests of every table, and of roles, memberships and settings. Equal marks: equal
//             content. It lies in the manifest, so that a watch that starts knows what the newest snapshot has
//   looking   while pg_current_snapshot() stands still nothing was committed: no row is read then
//   told      by NOTIFY on the channel "holdfast", at the COMMIT of the change; trigger_sql() has the triggers. Roles tell
//             nobody: those are found by looking
//   errors    unreachable, denied: the server's; the object is then of no use any more, open another

#include <vector>

#include "holdfast/db/postgres.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::source {

constexpr const char* k_change_channel = "holdfast";

class PostgresChanges {
public:
    static Result<PostgresChanges> open(const policy::PostgresConfig& config);

    /// Of what is there now. Reads rows only when something was committed since the last call.
    Result<std::string> mark();
    /// Was something told since the last call?
    Result<bool> told();
    /// For poll(): those of all connections.
    std::vector<int> sockets() const;

private:
    struct Database {
        std::string name;
        db::PostgresConnection connection;
    };
    PostgresChanges(const policy::PostgresConfig& config, std::vector<Database> databases)
        : config_(&config), databases_(std::move(databases)) {}

    const policy::PostgresConfig* config_;    // outlives us
    std::vector<Database> databases_;
    std::string moment_, mark_;    // of the last look
};

/// Statements for psql that make the tables of the configuration, as they are now, tell of their changes. Repeating them is
/// harmless.
Result<std::string> trigger_sql(const policy::PostgresConfig& config);

}    // namespace holdfast::source
