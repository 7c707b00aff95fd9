#pragma once
// A new database with the properties that source/postgres_properties recorded of the old one.
//
//   warnings  what the server does not have (owner, grantee, tablespace, a setting's extension) is told and left out: the
//             data must come back all the same

#include <string>

#include "holdfast/base/json.hpp"
#include "holdfast/db/postgres.hpp"

namespace holdfast::recovery {

/// From template0, with encoding, locale, owner and tablespace.
Status create_database(db::PostgresConnection& home, const std::string& database, const json::Value& properties,
                       json::Value& warnings);
/// Comment, rights, settings and connection limit.
Status apply_properties(db::PostgresConnection& home, const std::string& database, const json::Value& properties,
                        json::Value& warnings);

}    // namespace holdfast::recovery
