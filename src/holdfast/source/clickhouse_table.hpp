#pragma once
// The rows of one ClickHouse table into the snapshot, as Native files, at one instant of that table.
//
//   parts    A part never changes, and a query sees the parts of its start: so a part is read whole or, when a merge has
//            replaced it, not at all (no bytes). The table at the instant of a listing is that listing's parts. When some
//            are gone before they were read, the table is listed again and only what is new is read, until one
//            listing has been read in full; parts that this listing no longer has are dropped from the snapshot.
//   again    what an earlier snapshot has of the same part is taken from there: neither the server nor we read it
//   whole    Log, TinyLog, StripeLog, Memory: one query, asked for count and digest before and after
//   errors   changed, when 50 listings (5 reads of a whole table) were not enough; store, when fewer rows can be read
//            than the part has (row policies)

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/clickhouse.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/source/clickhouse_catalog.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::source::clickhouse {

struct TakenFile {
    std::string name;    // of the part; "all" for a whole table
    std::string file;    // path in the snapshot, below the component's folder
    std::uint64_t rows = 0, digest = 0, bytes = 0;    // bytes of the Native file
    std::string identity;    // of the part
    std::string partition;    // its ID; empty for a whole table
    bool folder = false;    // `file` is the part's own folder, as the server's own files
    bool reused = false;    // out of an earlier snapshot
};

struct TakenRows {
    std::uint64_t rows = 0, digest = 0;
    std::vector<TakenFile> files;
    std::int64_t asked_at = 0;    // when these were all the parts, by the server's clock
    std::string not_frozen;    // why they were read over HTTP though files were asked for
};

/// The parts of this table in an earlier snapshot. A part never changes, so one that is there is not read again. Its name alone does
/// not make it the same: a table that was made anew begins with the same names. Where the server tells no hash, its time must lie
/// before the earlier listing (by more than the second to which the server tells it): what came later has a later one.
struct EarlierParts {
    Id tree;    // the snapshot's root
    std::int64_t asked_at = 0;
    std::map<std::string, TakenFile> parts;    // by identity
};

struct TakeOptions {
    policy::Proof proof = policy::Proof::digest;
    std::string folder;    // of the component: "clickhouse"
    std::string below;    // of the table: "trading/fills"
    const EarlierParts* earlier = nullptr;    // with the same columns and proof; null: read all
    policy::ClickHouseMethod method = policy::ClickHouseMethod::http;    // where that cannot be: http
    std::string backups;    // the folder for BACKUP
    std::function<void()> after_listing;    // tests merge here; may be empty
};

/// `engine` is that of table.holder().
Result<TakenRows> take_rows(db::clickhouse::Client& client, vault::Backup& backup, const Table& table,
                            std::string_view engine, const std::vector<Column>& columns, const TakeOptions& options);

}    // namespace holdfast::source::clickhouse
