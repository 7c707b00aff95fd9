#include "holdfast/recovery/duckdb_rebuild.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/os/crash_point.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::recovery {
namespace {

using db::DuckDb;
using db::quote_duckdb_name;
using db::quote_duckdb_text;

// As the child's that checks it; what does not fit is spilled beside the file.
const DuckDb::Settings k_settings = {{"memory_limit", "1GB"}, {"preserve_insertion_order", "false"}};
constexpr const char* k_staged = "temp.main.holdfast_rows_";    // the rows of a source with the table's types

struct Table {
    std::string schema, name;
    std::vector<DuckDbColumn> columns;    // that can be written
    std::vector<std::string> key;
    std::string text() const { return schema + "." + name; }
    std::string sql() const { return quote_duckdb_name(schema) + "." + quote_duckdb_name(name); }
    bool called(std::string_view word) const { return word == text() || (schema == "main" && word == name); }
};

std::string list_of(const std::vector<std::string>& names, std::string_view pattern = "{}") {
    std::string list;
    for (const std::string& name : names)
        list += (list.empty() ? "" : ", ") + fmt::format(fmt::runtime(pattern), quote_duckdb_name(name));
    return list;
}

Result<std::int64_t> number_of(DuckDb& database, const std::string& sql) {
    HF_TRY(const auto found, database.query(sql));
    std::int64_t value = 0;
    if (!found.rows.empty() && found.rows[0][0])
        std::from_chars(found.rows[0][0]->data(), found.rows[0][0]->data() + found.rows[0][0]->size(), value);
    return value;
}
Result<std::int64_t> rows_of(DuckDb& database, std::string_view table) {
    return number_of(database, fmt::format("SELECT count(*) FROM {}", table));
}

std::string of_table(const Table& table) {
    return fmt::format("database_name = current_database() AND schema_name = {} AND table_name = {}",
                       quote_duckdb_text(table.schema), quote_duckdb_text(table.name));
}

// In the order in which they were made: a table stands behind those that its foreign keys name.
Result<std::vector<Table>> tables_of(DuckDb& database) {
    std::vector<Table> tables;
    HF_TRY(const auto listed,
           database.query("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = "
                          "current_database() AND NOT internal AND NOT temporary ORDER BY table_oid"));
    for (const auto& row : listed.rows) {
        Table& table = tables.emplace_back();
        table.schema = row[0].value_or("");
        table.name = row[1].value_or("");
        HF_TRY(const auto columns,
               database.query("SELECT column_name, data_type, column_default IS NOT NULL FROM duckdb_columns() WHERE " +
                              of_table(table) + " ORDER BY column_index"));
        for (const auto& column : columns.rows) {
            const std::string name = column[0].value_or("");
            // A generated column looks like one with a default; only the binder tells.
            if (column[2] == "true" && !database.run(fmt::format("EXPLAIN INSERT INTO {} ({}) SELECT NULL WHERE false",
                                                                 table.sql(), quote_duckdb_name(name))))
                continue;
            table.columns.push_back({name, column[1].value_or("")});
        }
        HF_TRY(const auto key, database.query("SELECT unnest(constraint_column_names) FROM duckdb_constraints() WHERE "
                                              "constraint_type = 'PRIMARY KEY' AND " +
                                              of_table(table)));
        for (const auto& column : key.rows) table.key.push_back(column[0].value_or(""));
    }
    return tables;
}

// What was fetched, as a temporary table with the types of the columns that it has. Returns these.
Result<std::vector<std::string>> stage(DuckDb& database, const Table& table, const RowSource& source,
                                       const FetchedRows& fetched, int file) {
    // Every option is said: what DuckDB guesses from the first rows may be wrong for the last.
    std::string csv;
    for (const std::string& name : fetched.columns)
        csv += fmt::format("{}{}: 'VARCHAR'", csv.empty() ? "" : ", ", quote_duckdb_text(name));
    csv = fmt::format(
        "read_csv('/proc/self/fd/{}', auto_detect = false, header = false, columns = {{{}}}, delim = ',', quote = "
        "'\"', "
        "escape = '\"', nullstr = '\\N', allow_quoted_nulls = false, new_line = '\\n', max_line_size = 16777216, "
        "buffer_size = 33554432)",
        file, csv);
    const bool by_key = source.redis && !source.rule.keys.empty();
    const std::string rows = fmt::format("SELECT {} FROM (SELECT {}{} FROM {})", source.rule.select,
                                         by_key ? "DISTINCT ON (\"_key\") " : "", fetched.select, csv);
    HF_TRY(const auto given, database.query("SELECT column_name FROM (DESCRIBE " + rows + ")"));
    std::vector<std::string> names;
    for (const DuckDbColumn& column : table.columns)
        if (std::ranges::any_of(given.rows, [&](const auto& row) { return row[0] == column.name; }))
            names.push_back(column.name);
    if (names.empty())
        return fail(ErrorCode::config, fmt::format("{} has no column of the table {}", fetched.what, table.text()),
                    "name its columns so by select = \"x AS y, …\" in [[duckdb.rebuild]]");
    for (const std::string& name : table.key)
        if (std::ranges::find(names, name) == names.end())
            return fail(ErrorCode::config,
                        fmt::format("{} does not have the key {} of the table {}", fetched.what, name, table.text()),
                        "name its columns so by select = \"*, x AS y\" in [[duckdb.rebuild]]");
    HF_DO(database.run(fmt::format("CREATE OR REPLACE TEMP TABLE holdfast_rows_ AS SELECT {} FROM {} LIMIT 0",
                                   list_of(names), table.sql())));
    HF_DO(database.run(fmt::format("INSERT INTO {} BY NAME SELECT {} FROM ({})", k_staged, list_of(names), rows)));
    return names;
}

// One row for each key: the newest. Returns how many went.
Result<std::int64_t> drop_repeated(DuckDb& database, const Table& table, const std::string& version) {
    HF_TRY(const std::int64_t all, rows_of(database, k_staged));
    HF_TRY(const std::int64_t keys,
           rows_of(database, fmt::format("(SELECT DISTINCT {} FROM {})", list_of(table.key), k_staged)));
    if (keys == all) return 0;
    HF_DO(database.run(fmt::format(
        "CREATE OR REPLACE TEMP TABLE holdfast_rows_ AS SELECT * FROM {} QUALIFY row_number() OVER (PARTITION BY {} "
        "ORDER BY {} DESC NULLS LAST) = 1",
        k_staged, list_of(table.key), version.empty() ? "rowid" : quote_duckdb_name(version))));
    return all - keys;
}

// What is staged into the table. Returns how many rows are new or changed.
Result<std::int64_t> merge(DuckDb& database, const Table& table, const std::vector<std::string>& names,
                           const std::string& version) {
    HF_TRY(const std::int64_t there, rows_of(database, table.sql()));
    if (there == 0)
        return number_of(database, fmt::format("INSERT INTO {} BY NAME SELECT * FROM {}", table.sql(), k_staged));
    std::vector<std::string> values;
    std::ranges::copy_if(names, std::back_inserter(values), [&](const std::string& name) {
        return std::ranges::find(table.key, name) == table.key.end();
    });
    std::string conflict = "DO NOTHING";
    if (!values.empty()) conflict = "DO UPDATE SET " + list_of(values, "{0} = excluded.{0}");
    if (!values.empty() && !version.empty())
        conflict += fmt::format(" WHERE {1}.{0} IS NULL OR excluded.{0} > {1}.{0}", quote_duckdb_name(version),
                                quote_duckdb_name(table.name));
    // Most rows are in the copy as they are: only the others meet the key's index, which is slow.
    return number_of(database, fmt::format("INSERT INTO {0} BY NAME (SELECT {1} FROM {2} EXCEPT SELECT {1} FROM {0}) "
                                           "ON CONFLICT ({3}) {4}",
                                           table.sql(), list_of(names), k_staged, list_of(table.key), conflict));
}

// Values that a source gave must not be given again.
Status advance_sequences(DuckDb& database, const Table& table) {
    HF_TRY(const auto found,
           database.query("SELECT column_name, regexp_extract(column_default, '^nextval\\(''(.*)''\\)$', 1) AS name "
                          "FROM duckdb_columns() WHERE " +
                          of_table(table) + " AND name <> ''"));
    for (const auto& row : found.rows) {
        const std::string next = fmt::format("nextval('{}')", row[1].value_or(""));    // as the catalogue has it
        HF_TRY(const std::int64_t largest,
               number_of(database, fmt::format("SELECT max(TRY_CAST({} AS BIGINT)) FROM {}",
                                               quote_duckdb_name(row[0].value_or("")), table.sql())));
        HF_TRY(const std::int64_t first, number_of(database, "SELECT " + next));
        if (first > largest) continue;
        HF_TRY(const std::int64_t second, number_of(database, "SELECT " + next));
        // DuckDB cannot set a sequence: it is asked for as many values. Twenty million take a second and a half.
        if (second > first && second <= largest)
            HF_DO(database.run(
                fmt::format("SELECT max({}) FROM range({})", next, (largest - second) / (second - first) + 1)));
    }
    return {};
}

struct Index {
    std::string name, sql;
};
Result<std::vector<Index>> drop_indexes(DuckDb& database, const Table& table) {
    HF_TRY(const auto found, database.query("SELECT index_name, sql FROM duckdb_indexes() WHERE " + of_table(table)));
    std::vector<Index> indexes;
    for (const auto& row : found.rows) {
        indexes.push_back({row[0].value_or(""), row[1].value_or("")});
        HF_DO(database.run(
            fmt::format("DROP INDEX {}.{}", quote_duckdb_name(table.schema), quote_duckdb_name(indexes.back().name))));
    }
    return indexes;
}

class Filling {
public:
    Filling(DuckDb& database, const std::string& path, const DuckDbRebuild& rebuild)
        : database_(database), path_(path), rebuild_(rebuild) {}

    Result<json::Value> run() {
        HF_TRY(const auto tables, tables_of(database_));
        HF_DO(check_names(tables));
        bool any = false;
        json::Value list = json::Value::array();
        for (const Table& table : tables) {
            HF_TRY(json::Value one, fill(table));
            any = any || !one["sources"].items().empty();
            os::crash_point("rebuild.table");
            list.push(std::move(one));
        }
        if (!any)
            return fail(ErrorCode::not_found, "no other store has a table of this database",
                        "say in [[duckdb.rebuild]] where the rows of each table are");
        HF_DO(database_.run("CHECKPOINT"));
        return list;
    }

private:
    // A misspelt table would be one that silently keeps old rows.
    Status check_names(const std::vector<Table>& tables) const {
        std::vector<std::string> words = rebuild_.only;
        for (const RowSource& source : rebuild_.sources)
            if (!source.rule.table.empty()) words.push_back(source.rule.table);
        std::string known;
        for (const Table& table : tables) known += (known.empty() ? "" : ", ") + table.text();
        for (const std::string& word : words)
            if (std::ranges::none_of(tables, [&](const Table& table) { return table.called(word); }))
                return fail(ErrorCode::not_found, fmt::format("the database has no table {}", word),
                            known.empty() ? "it has no table" : "it has " + known);
        return {};
    }

    // Its own rules or, without one, those for all tables.
    std::vector<const RowSource*> sources_of(const Table& table) const {
        std::vector<const RowSource*> own, general;
        const auto called = [&](const std::string& word) { return table.called(word); };
        if (!rebuild_.only.empty() && std::ranges::none_of(rebuild_.only, called)) return own;
        for (const RowSource& source : rebuild_.sources) {
            if (source.rule.table.empty())
                general.push_back(&source);
            else if (called(source.rule.table))
                own.push_back(&source);
        }
        return own.empty() ? general : own;
    }

    Result<json::Value> fill(const Table& table) {
        HF_TRY(const std::int64_t copy_rows, rows_of(database_, table.sql()));
        json::Value report = json::Value::object({{"table", table.text()}, {"copy_rows", copy_rows}});
        json::Value sources = json::Value::array();
        const auto rules = sources_of(table);
        HF_TRY(const auto indexes, rules.empty() ? std::vector<Index>() : drop_indexes(database_, table));
        for (const RowSource* source : rules) {
            if (table.key.empty() && !sources.items().empty())
                return fail(ErrorCode::config, fmt::format("{} has no primary key, and several sources", table.text()),
                            "keep one [[duckdb.rebuild]] of it");
            auto taken = take(table, *source, copy_rows);
            // One of "all tables of the same name" that is not there.
            if (!taken && taken.error().code == ErrorCode::not_found && source->rule.table.empty()) continue;
            if (!taken) return fail(std::move(taken).error());
            sources.push(*std::move(taken));
        }
        for (const Index& index : indexes) HF_DO(database_.run(index.sql));
        HF_TRY(const std::int64_t rows, rows_of(database_, table.sql()));
        if (!sources.items().empty()) HF_DO(advance_sequences(database_, table));
        if (sources.items().size() == 1 && !table.key.empty())
            report.set("only_in_copy", rows - sources.items()[0]["keys"].integer(0));
        report.set("rows", rows).set("key", !table.key.empty()).set("sources", std::move(sources));
        HF_DO(add_newest(table, report));
        return report;
    }

    Result<json::Value> take(const Table& table, const RowSource& source, std::int64_t copy_rows) {
        HF_TRY(const os::Fd file, os::unnamed_file(os::parent_folder(path_)));
        HF_TRY(const FetchedRows fetched, fetch_rows(source, table.name, table.columns, file.get()));
        rebuild_.say(fmt::format("{}: rows of {}", table.text(), fetched.what));
        const auto in = [&](const Error& error) { return fail(error.within(fetched.what)); };
        auto names = stage(database_, table, source, fetched, file.get());
        if (!names) return in(names.error());
        HF_TRY(const std::int64_t rows, rows_of(database_, k_staged));
        if (static_cast<std::uint64_t>(rows) < fetched.least || static_cast<std::uint64_t>(rows) > fetched.most)
            return fail(
                ErrorCode::changed,
                fmt::format("{} gave {} rows and has {} to {}", fetched.what, rows, fetched.least, fetched.most),
                "something else writes there: try again when it rests");
        const std::string& version = source.rule.version;
        if (!version.empty() && std::ranges::find(*names, version) == names->end())
            return fail(ErrorCode::config, fmt::format("{} does not have the column {}", fetched.what, version),
                        "correct version in [[duckdb.rebuild]]");
        std::int64_t repeated = 0, fresh = rows;
        if (table.key.empty()) {
            if (rows < copy_rows && !rebuild_.take_fewer)
                return fail(ErrorCode::mismatch,
                            fmt::format("{} has {} rows of {}, which has {} in the copy and no key to merge them by",
                                        fetched.what, rows, table.text(), copy_rows),
                            "--take-fewer takes them in their place; --table NAME names tables to be taken from there, "
                            "all others stay as in the copy");
            HF_DO(database_.run(fmt::format("BEGIN; DELETE FROM {0}; INSERT INTO {0} BY NAME SELECT * FROM {1}; COMMIT",
                                            table.sql(), k_staged)));
        } else {
            HF_TRY(repeated, drop_repeated(database_, table, version));
            auto merged = merge(database_, table, *names, version);
            if (!merged) return in(merged.error());
            fresh = *merged;
        }
        HF_DO(database_.run(fmt::format("DROP TABLE {}", k_staged)));
        json::Value lacking = json::Value::array();
        for (const DuckDbColumn& column : table.columns)
            if (std::ranges::find(*names, column.name) == names->end()) lacking.push(column.name);
        return json::Value::object({{"from", fetched.what},
                                    {"rows", rows},
                                    {"keys", rows - repeated},
                                    {"repeated", repeated},
                                    {"new_or_changed", fresh},
                                    {"columns_lacking", std::move(lacking)}});
    }

    // How new its newest row is, by its first column of a time.
    Status add_newest(const Table& table, json::Value& report) {
        for (const DuckDbColumn& column : table.columns) {
            if (!column.type.starts_with("TIMESTAMP") && column.type != "DATE") continue;
            HF_TRY(const auto found, database_.query(fmt::format("SELECT CAST(max({}) AS VARCHAR) FROM {}",
                                                                 quote_duckdb_name(column.name), table.sql())));
            if (!found.rows.empty() && found.rows[0][0])
                report.set("newest", json::Value::object({{"column", column.name}, {"value", *found.rows[0][0]}}));
            return {};
        }
        return {};
    }

    DuckDb& database_;
    const std::string& path_;
    const DuckDbRebuild& rebuild_;
};

void remove_database(const std::string& path) {
    for (const char* suffix : {"", ".wal", ".wal.checkpoint", ".wal.recovery", ".tmp"})
        (void)os::remove_tree(path + suffix);
}

// The first that is whole. A file of unknown health is opened in a child, and has no log after it.
Result<const DuckDbBase*> lay_base(const std::string& to, const DuckDbRebuild& rebuild) {
    Error last{ErrorCode::not_found, "there is no copy of the database, and nothing tells what its tables are",
               "--schema FILE makes them: CREATE TABLE statements"};
    for (const DuckDbBase& base : rebuild.bases) {
        Status done = base.write(to);
        if (done) {
            HF_TRY(db::DuckDbChecker checker,
                   db::DuckDbChecker::start(to, {.depth = base.read_through ? db::DuckDbCheck::Depth::catalog
                                                                            : db::DuckDbCheck::Depth::digest,
                                                 .settle = true}));
            if (const auto facts = checker.finish(); !facts) done = fail(facts.error());
        }
        if (done) return &base;
        remove_database(to);
        if (done.error().code == ErrorCode::cancelled || done.error().code == ErrorCode::disk_full)
            return fail(std::move(done).error());
        last = done.error().within(base.what);
        rebuild.say(last.message);
    }
    return fail(std::move(last));
}

}    // namespace

Result<json::Value> rebuild_duckdb(const std::string& to, const DuckDbRebuild& rebuild) {
    HF_TRY(const DuckDbBase* base, lay_base(to, rebuild));
    rebuild.say("begins with " + base->what);
    json::Value report = json::Value::object({{"copy", base->what}});
    if (base->at) report.set("copy_time", to_rfc3339(*base->at));
    HF_TRY(DuckDb database, DuckDb::open(to, DuckDb::Mode::read_write, k_settings));
    HF_TRY(json::Value tables, Filling(database, to, rebuild).run());
    return report.set("tables", std::move(tables));
}

Status make_duckdb_tables(const std::string& sql, const std::string& to) {
    HF_TRY(DuckDb database, DuckDb::open(to, DuckDb::Mode::read_write, k_settings));
    HF_DO(database.run(sql));
    return database.run("CHECKPOINT");
}

}    // namespace holdfast::recovery
