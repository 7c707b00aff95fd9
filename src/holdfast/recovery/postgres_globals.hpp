#pragma once
// Roles, memberships and tablespaces out of globals.sql.
//
//   rule      what exists stays as it is: a role of that name keeps its password and rights, or the login that this
//             restore uses could change under it. Missing roles are made with all they had, in one transaction.
//             Memberships only add. What cannot be done besides (a tablespace's folder is not there) is a warning
//   errors    corrupt (not a script of pg_dumpall), denied (the role may not create roles), store

#include <string_view>

#include "holdfast/base/json.hpp"
#include "holdfast/db/postgres.hpp"

namespace holdfast::recovery {

/// {roles_created: […], roles_kept: […], tablespaces_missing: […], warnings: […]}
Result<json::Value> restore_globals(db::PostgresConnection& connection, std::string_view script);

}    // namespace holdfast::recovery
