#pragma once
// What a snapshot holds of ClickHouse, table by table, beside what the server has under the same names now.

#include <string>
#include <vector>

#include "holdfast/base/json.hpp"
#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/clickhouse_ddl.hpp"
#include "holdfast/format/tree.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/clickhouse_catalog.hpp"

namespace holdfast::recovery::clickhouse {

/// Names that a restore makes; a later restore drops what a killed one left under the first.
std::string beside_name(std::string_view table);    // "<table>__holdfast_restore"
std::string aside_name(std::string_view table, Timestamp now);    // "<table>__replaced_20261120_184222"

enum class Kind {
    rows,    // a table with rows: loaded beside, then renamed
    rows_inside,    // a materialized view with a table of its own: that table is loaded beside, then taken in
    definition,    // views, dictionaries, engines whose rows lie elsewhere
};

/// What stands under the name now.
struct Present {
    bool there = false, with_rows = false, is_view = false;
    std::string inner;    // a materialized view's own table
    std::string ddl;    // with its passwords, if this user may see them: not to be told
    std::string shown;    // without
};

struct RowsFile {
    format::Node node;    // a file in Native, or the part's own folder: all of a table are the same
    std::string path;    // below the component's folder
    std::uint64_t rows = 0;
    std::string partition, digest;    // empty: not known
    std::uint64_t bytes = 0;
    bool folder() const { return node.type == format::NodeType::dir; }
};

struct Item {
    Kind kind = Kind::definition;
    std::string database, name, engine;    // engine of what holds the rows
    std::string ddl;
    db::clickhouse::Create create, inner;
    std::vector<source::clickhouse::Column> columns;
    std::vector<RowsFile> files;
    std::uint64_t rows = 0, bytes = 0;
    std::string digest;    // empty: only rows were counted
    Present present;
    std::string from;    // its name in the snapshot, when it is restored under another one
    std::string partition;    // only this one
    bool replicated = false;    // of Kind::rows: filled once, by one replica

    std::string title() const { return database + "." + name; }
    /// A view with the same definition is already what it shall be; everything else that is there gets replaced.
    bool stays() const;
    /// Takes the place of one partition of the table that is there, not of the table.
    bool into_table() const { return !partition.empty() && present.there && !present.is_view; }
};

/// Reads definitions and checks that every file the facts name is in the snapshot. Does not ask the server.
/// Errors: corrupt, unsupported (Replicated tables).
Result<std::vector<Item>> read_items(const RestoreContext& context);
/// Leaves and renames as the context's TableChoice says. Errors: not_found (nothing fits), usage (two under one name).
Status choose(std::vector<Item>& items, const TableChoice& choice);
/// Fills `present`.
Status look(db::clickhouse::Client& client, std::vector<Item>& items);
/// Errors: exists, naming the tables, unless the context says to switch.
Status refuse_existing(const std::vector<Item>& items, const RestoreContext& context);

}    // namespace holdfast::recovery::clickhouse
