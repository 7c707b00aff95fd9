#pragma once
// Loaded tables take their places. A table changes in one RENAME statement; what was there keeps its rows under
// aside_name(). Views hold no rows: they are dropped and made again, and what they said is in the result.

#include "holdfast/recovery/clickhouse_load.hpp"

namespace holdfast::recovery::clickhouse {

/// What a switch put aside.
struct Replaced {
    std::string kept_as;    // table with the old rows; empty: there were none
    std::string definition;    // of a view that was dropped; empty: none was
};

/// aside_name(), with a number behind it when a restore of the same second has taken it.
Result<std::string> free_aside_name(const Loader& loader, const Item& item);
/// Takes away what stands under the item's name, rows kept.
Result<Replaced> put_aside(const Loader& loader, const Item& item);

/// Kind::rows. The new table stands beside under beside_name().
Result<Replaced> switch_table(const Loader& loader, const Item& item);
/// Item::into_table(). One REPLACE PARTITION; a copy of the partition that was there stands under aside_name(). Rows that come into
/// that partition in the same instant are not in the copy. Errors: those of the server when the table has another structure.
Result<Replaced> switch_partition(const Loader& loader, const Item& item);
/// Item::replicated. The rows go from the plain table beside into the replicated one, by its log: once, however many replicas. A table
/// whose other replicas hold the rows only joins them. Errors: mismatch (they hold other rows), exists (ZooKeeper still
/// knows this replica) …
Result<Replaced> switch_replicated(const Loader& loader, const Item& item);
/// Kind::rows_inside. The view's new table stands beside; the view is attached around it.
Result<Replaced> switch_view_with_rows(const Loader& loader, const Item& item);
/// A materialized view around the table `rows` of the same database, which becomes its inner table.
Status attach_around(db::clickhouse::Client& client, const db::clickhouse::Settings& settings,
                     const std::string& database, const std::string& name, const db::clickhouse::Create& create,
                     const std::string& rows);
/// The same around the inner table of one that was killed in between; not_found when there is none, or more than one.
Status attach_inner(db::clickhouse::Client& client, const db::clickhouse::Settings& settings,
                    const std::string& database, const std::string& name, const db::clickhouse::Create& create,
                    const std::string& inner);
Result<std::string> inner_without_view(db::clickhouse::Client& client, const std::string& database,
                                       const std::string& name);
/// Kind::definition, once the old one was put aside.
Status make_definition(const Loader& loader, const Item& item);

}    // namespace holdfast::recovery::clickhouse
