#pragma once
// What a database has beside its content: encoding, locale, owner, rights, settings. pg_restore brings these only into a
// database of the dump's own name, and we restore beside the live one: so they are recorded and applied by us.

#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/postgres.hpp"

namespace holdfast::source {

struct PostgresDatabase {
    std::string name;
    bool allows_connections = false, is_template = false;
    /// {owner, encoding, collate, ctype, locale_provider, icu_locale, tablespace, connection_limit, comment,
    ///  acl: null | [{grantee ("" is PUBLIC), privilege, grantable}], settings: [{role ("" is all), name, value}]}
    json::Value properties;
};

Result<std::vector<PostgresDatabase>> list_databases(db::PostgresConnection& connection);

}    // namespace holdfast::source
