#pragma once
// PostgreSQL's own programs: which one fits a server, and how to run it without its password showing.
//
//   version   pg_dump refuses servers newer than itself: the server's major version or a newer one is taken. pg_restore
//             must be as new as the pg_dump that wrote the archive
//   secrets   the password goes through PGPASSWORD of the child's environment, which only its user and root can read

#include <string>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::db {

struct PostgresTool {
    std::string path;
    std::string version;    // "15.20"
    int major = 0;
};

/// Looks in `bin_folder` if given (and nowhere else), else in /usr/lib/postgresql/<major>/bin, then in PATH. None that is
/// new enough: unsupported, with what to install.
Result<PostgresTool> find_postgres_tool(const std::string& name, int major, const std::string& bin_folder);

/// The tool with host, port and user of `address` and --no-password; the caller adds the rest. `database` of the address
/// is not used.
os::Command postgres_command(const PostgresTool& tool, const PostgresAddress& address, const Secret& password,
                             const std::vector<std::string>& arguments);

/// What a tool's stderr says, as an error: disk_full, denied or store.
Error postgres_tool_error(const std::string& tool, const os::ExitStatus& status, const std::string& errors);

}    // namespace holdfast::db
