#pragma once
// What the backup role may not read, with the SQL that lets it: asked of every database before the first byte is read, for
// pg_dump would stumble over it one table at a time, an hour into the run.

#include <string>
#include <vector>

#include "holdfast/db/postgres.hpp"

namespace holdfast::source {

struct MissingRights {
    std::string what;    // "orders.audit (row-level security), 3 large objects"; empty: nothing is missing
    std::vector<std::string> remedies;    // statements for a superuser, in this database
};

/// Of the database that the connection is to.
Result<MissingRights> find_missing_rights(db::PostgresConnection& connection);

/// denied, with all that is missing and one line of SQL for each remedy; a value when nothing is. The second: the database.
Status check_rights(const std::vector<std::pair<std::string, MissingRights>>& found);

}    // namespace holdfast::source
