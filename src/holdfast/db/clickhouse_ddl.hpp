#pragma once
// What a restore must change in a CREATE statement as SHOW CREATE prints it: the name, the server's own UUID, and columns
// that compute themselves. Everything else stays byte for byte. Pure.
//
//   errors   unsupported, when the text does not begin as a CREATE of a known kind, or its quotes do not close

#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::db::clickhouse {

struct Create {
    std::string kind;    // TABLE, VIEW, MATERIALIZED VIEW, LIVE VIEW, DICTIONARY …, upper case
    std::string database;    // empty when the text has none
    std::string name;
    std::string rest;    // from behind the name; UUID, TO INNER UUID and ON CLUSTER clauses are left out
    bool with_target = false;    // a materialized view that writes TO a table of its own name
};
Result<Create> parse_create(std::string_view ddl);

/// "CREATE <kind> `database`.`name`" + rest.
std::string create_as(const Create& create, std::string_view database, std::string_view name);

/// The rest with `MATERIALIZED expression` of its columns turned into `DEFAULT expression`, so that an INSERT can carry
/// the values that were computed when the rows came in (now(), rand(), dictionaries) and not compute new ones.
std::string with_insertable_columns(std::string_view rest);

/// The rest of a table of a Replicated… engine as that of the engine without: `ENGINE = MergeTree …`, path and replica left out.
struct Unreplicated {
    std::string rest;    // as it was when not `replicated`
    bool replicated = false;
};
Unreplicated without_replication(std::string_view rest);

}    // namespace holdfast::db::clickhouse
