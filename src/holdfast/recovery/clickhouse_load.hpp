#pragma once
// One table of the snapshot into a new table beside its place, compared with what was backed up.

#include "holdfast/recovery/clickhouse_items.hpp"

namespace holdfast::recovery::clickhouse {

struct Loader {
    db::clickhouse::Client& client;
    const RestoreContext& context;
    db::clickhouse::Settings settings;    // of DDL and inserts, those that this server knows
    std::string backups = {};    // where the server's own RESTORE reads; empty: parts go through its data folder

    static Result<Loader> make(db::clickhouse::Client& client, const RestoreContext& context);
};

/// Of DDL and inserts: those that this server knows.
Result<db::clickhouse::Settings> load_settings(db::clickhouse::Client& client);
/// Compares a table with what was backed up; see load_beside().
Result<std::string> compare(const Loader& loader, const Item& item, const std::string& table);
/// Whether merges (Replacing, Summing, …, TTL) may make other rows of these.
bool merges_change_rows(const Item& item);

/// Creates beside_name(item.name), fills and compares it; drops it when anything fails. Returns the proof that was
/// reached: "digest" or "count" (none was taken, or another version writes values as other text).
/// Errors: mismatch, corrupt (a damaged blob), and the server's.
Result<std::string> load_beside(const Loader& loader, const Item& item);

}    // namespace holdfast::recovery::clickhouse
