#pragma once
// What a snapshot holds of a ClickHouse server beside its databases, back onto a server: what is there under the same name stays.

#include <string>
#include <vector>

#include "holdfast/recovery/clickhouse_load.hpp"
#include "holdfast/source/clickhouse_objects.hpp"

namespace holdfast::recovery::clickhouse {

struct SavedObject {
    source::clickhouse::ServerObject object;
    bool there = false, same = false;    // on the server, under that name; with the same definition
};

/// Reads them and looks at the server; changes nothing. Errors: corrupt, and the server's.
Result<std::vector<SavedObject>> read_objects(db::clickhouse::Client& client, const RestoreContext& context);
/// Plan: one step for all that is missing, one that names what differs and stays. None without objects.
std::vector<PlanStep> steps_for(const std::vector<SavedObject>& objects);

/// Makes those that are missing, `needed_by_tables` or the others. `report` gets "made" and "skipped" (with why). Functions and
/// collections that cannot be made are an error; users, roles … that cannot be are told and listed: the tables are worth having.
/// What the server says is not repeated: its words may hold the statement, and that the secret.
Status make_objects(const Loader& loader, const std::vector<SavedObject>& objects, bool needed_by_tables,
                    json::Value& report);

}    // namespace holdfast::recovery::clickhouse
