#pragma once
// What a ClickHouse server holds beside databases, made by SQL: functions, named collections, users, roles, settings profiles, quotas,
// row policies and what was granted. Those of its configuration files belong to the files, not to us.
//
//   secrets   `ddl` holds passwords' hashes and collections' keys: into the vault only, never into facts, logs, messages
//   source    system tables of 26.5; 18.16 has none of them

#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/clickhouse.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::source::clickhouse {

struct ServerObject {
    std::string
        kind;    // "function", "named collection", "settings profile", "role", "quota", "user", "row policy", "grants"
    std::string name;    // unique within its kind; of grants: who has them, "role x" or "user x"
    std::string ddl;    // one statement a line of its own in `grants`, else one
    /// What tables and views may need; the others come after them.
    bool needed_by_tables() const { return kind == "function" || kind == "named collection"; }
};

struct ServerObjects {
    std::vector<ServerObject>
        objects;    // in an order in which they can be made, but for cycles among roles and profiles
    std::vector<std::string> left_out;    // with the reason: what this user may not see, or sees without its secret
};

/// What is said of a thing whose password this user may not see.
inline constexpr std::string_view k_secrets_are_hidden =
    ": the server hides its secrets (display_secrets_in_show_and_select = 1 in its configuration, GRANT "
    "displaySecretsInShowAndSelect ON *.*)";

/// `of_files`: those of configuration files, too (tests).
Result<ServerObjects> list_objects(db::clickhouse::Client& client, bool of_files = false);

/// One file each below `folder`/server.objects (no database can have that name in a snapshot). Facts: `objects[]` (kind, name,
/// file) and `objects_left_out[]`.
Status add_objects(const ServerObjects& found, vault::Backup& backup, const std::string& folder, json::Value& facts);

}    // namespace holdfast::source::clickhouse
