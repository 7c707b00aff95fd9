#pragma once
// What the backup role may not read, with the SQL that lets it: asked of every database before the first byte is read, for
// pg_dump would stumble over it one table at a time, an hour into the run.

#include <string>
#include <utility>
#include <vector>

#include "holdfast/db/postgres.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::source {

struct MissingRights {
    std::string what;    // "orders.audit (row-level security), 3 large objects"; empty: nothing is missing
    std::vector<std::string> remedies;    // statements for a superuser, in this database
};

/// Of each of these databases, as far as the scope reaches; an empty `what` where nothing is missing.
Result<std::vector<std::pair<std::string, MissingRights>>> find_missing_rights(
    const db::PostgresAccess& access, const std::vector<std::string>& databases, const PostgresScope& scope = {});

/// denied, with all that is missing and one line of SQL for each remedy; a value when nothing is.
Status check_rights(const std::vector<std::pair<std::string, MissingRights>>& found);

}    // namespace holdfast::source
