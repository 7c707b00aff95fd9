#include "holdfast/recovery/duckdb_rows.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/redis_login.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::recovery {
namespace {

using db::quote_duckdb_name;
using db::clickhouse::quoted_name;
using db::clickhouse::quoted_text;

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

const DuckDbColumn* find(const std::vector<DuckDbColumn>& columns, std::string_view name) {
    const auto at = std::ranges::find(columns, name, &DuckDbColumn::name);
    return at == columns.end() ? nullptr : &*at;
}

// ---- ClickHouse

struct Relation {
    std::string sql;    // behind FROM
    std::string text;    // for people
    bool final = false;
};

// "database.table", or the one table of that name; of a table whose engine merges rows, what they are merged to.
Result<Relation> find_relation(db::clickhouse::Client& client, const RowSource& source, const std::string& table) {
    if (!source.rule.query.empty()) return Relation{"(" + source.rule.query + ")", "(a query)"};
    std::string database, name = table;
    if (const std::string& wanted = source.rule.source; !wanted.empty()) {
        const auto dot = wanted.find('.');
        if (dot == wanted.npos)
            return fail(ErrorCode::config, fmt::format("source = \"{}\" names no database", wanted),
                        fmt::format("write source = \"DATABASE.{}\"", wanted));
        database = wanted.substr(0, dot);
        name = wanted.substr(dot + 1);
    }
    HF_TRY(const auto found,
           client.rows(fmt::format("SELECT database, engine FROM system.tables WHERE name = {} AND database NOT IN "
                                   "('system', 'INFORMATION_SCHEMA', 'information_schema'){}",
                                   quoted_text(name),
                                   database.empty() ? "" : " AND database = " + quoted_text(database))));
    std::vector<Relation> relations;
    for (const auto& row : found) {
        const auto listed = [&](const std::vector<std::string>& names) {
            return std::ranges::find(names, row[0]) != names.end();
        };
        const policy::ClickHouseConfig& config = *source.clickhouse;
        if (database.empty() &&
            ((!config.databases.empty() && !listed(config.databases)) || listed(config.exclude_databases)))
            continue;
        const bool merges = row[1].find("MergeTree") != row[1].npos && !row[1].starts_with("MergeTree") &&
                            !row[1].ends_with("ReplicatedMergeTree");
        relations.push_back({quoted_name(row[0], name), row[0] + "." + name, merges});
    }
    if (relations.empty())
        return fail(
            ErrorCode::not_found,
            fmt::format("{} has no table {}{}", source.clickhouse->url, database.empty() ? "" : database + ".", name),
            "name it by source = \"database.table\" in [[duckdb.rebuild]]");
    if (relations.size() > 1)
        return fail(ErrorCode::config,
                    fmt::format("{} has several tables {}: {}, {}", source.clickhouse->url, name, relations[0].text,
                                relations[1].text),
                    fmt::format("say which: source = \"{}\" in [[duckdb.rebuild]]", relations[0].text));
    return relations[0];
}

Result<FetchedRows> fetch_clickhouse(const RowSource& source, const std::string& table,
                                     const std::vector<DuckDbColumn>& columns, int file) {
    HF_TRY(db::clickhouse::Client client, source::clickhouse_client(*source.clickhouse));
    HF_TRY(const Relation relation, find_relation(client, source, table));
    HF_TRY(const auto described, client.rows("DESCRIBE TABLE " + relation.sql));
    FetchedRows fetched{source.clickhouse->name + " " + relation.text, {}, {}, 0, 0};
    const bool all = source.rule.select != "*";    // it may use any of them
    std::string list, replaced;
    for (const auto& row : described) {
        const std::string& name = row[0];
        const DuckDbColumn* to = find(columns, name);
        if (!to && !all) continue;
        std::string type = row[1];
        for (const std::string_view around : {"LowCardinality(", "Nullable("})
            if (type.starts_with(around)) type.erase(0, around.size());
        std::string given = quoted_name(name), taken;
        const std::string column = quote_duckdb_name(name);
        if (to && to->type == "BLOB") {
            given = fmt::format("hex({})", given);
            taken = fmt::format("unhex({})", column);
        } else if (type.starts_with("FixedString(")) {
            given = fmt::format("toStringCutToZero({})", given);
        } else if (type.starts_with("Date")) {
            // 18.16 writes the first second of 1970, and the first day, as zeros.
            taken = fmt::format("if(starts_with({0}, '0000-00-00'), '1970-01-01' || substr({0}, 11), {0})", column);
            if (to && to->type == "TIMESTAMP WITH TIME ZONE" && type.starts_with("DateTime")) {
                given = fmt::format("toString({}, 'UTC')", given);
                taken += " || '+00'";
            }
        }
        list += fmt::format("{}{} AS {}", list.empty() ? "" : ", ", given, quoted_name(name));
        if (!taken.empty()) replaced += fmt::format("{}{} AS {}", replaced.empty() ? "" : ", ", taken, column);
        fetched.columns.push_back(name);
    }
    if (list.empty())
        return fail(ErrorCode::config, fmt::format("{} has no column of the table {}", fetched.what, table),
                    "name its columns so by query = \"SELECT … AS …\" in [[duckdb.rebuild]]");
    fetched.select = replaced.empty() ? "*" : fmt::format("* REPLACE ({})", replaced);
    const std::string from = fmt::format(" FROM {}{}", relation.sql, relation.final ? " FINAL" : "");
    const auto count = [&]() -> Result<std::uint64_t> {
        HF_TRY(const auto rows, client.rows("SELECT count()" + from));
        return rows.empty() ? 0 : number(rows[0][0]);
    };
    // 18.16 does not tell with the rows how many there are: while others write, it is one of what lies between.
    HF_TRY(const std::uint64_t before, count());
    HF_DO(client.read("SELECT " + list + from + " FORMAT CSV",
                      [&](ByteView bytes) { return os::write_all(file, bytes); }));
    HF_TRY(const std::uint64_t after, count());
    fetched.least = std::min(before, after);
    fetched.most = std::max(before, after);
    return fetched;
}

// ---- Redis

class CsvFile {
public:
    explicit CsvFile(int file) : file_(file) {}
    /// Which of a row's fields ever had a value.
    const std::vector<bool>& seen() const { return seen_; }
    void field(const std::string* text) {
        if (at_ > 0) buffer_ += ',';
        if (seen_.size() == at_) seen_.push_back(false);
        seen_[at_] = seen_[at_] || text;
        ++at_;
        if (!text) {
            buffer_ += "\\N";
            return;
        }
        buffer_ += '"';
        for (const char c : *text) {
            if (c == '"') buffer_ += '"';
            buffer_ += c;
        }
        buffer_ += '"';
    }
    Status end_row() {
        buffer_ += '\n';
        at_ = 0;
        return buffer_.size() < 1 << 20 ? Status() : flush();
    }
    Status flush() {
        HF_DO(os::write_all(file_, as_bytes(buffer_)));
        buffer_.clear();
        return {};
    }

private:
    int file_;
    std::string buffer_;
    std::size_t at_ = 0;    // in its row
    std::vector<bool> seen_;
};

constexpr std::string_view k_page = "1000";

const std::string* text_of(const db::RedisReply& reply) { return reply.is_null() ? nullptr : &reply.text(); }

// Every hash that has at least one of the fields. Its key is the last column.
Result<std::uint64_t> write_hashes(db::RedisClient& client, const policy::DuckDbRebuildConfig& rule, Duration patience,
                                   const std::vector<std::string>& fields, CsvFile& csv) {
    std::uint64_t rows = 0;
    std::string cursor = "0";
    do {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading " + client.peer());
        HF_TRY(const auto page, client.command({"SCAN", cursor, "MATCH", rule.keys, "COUNT", k_page, "TYPE", "hash"}));
        if (page.items().size() != 2)
            return fail(ErrorCode::corrupt, client.peer() + " answers SCAN with something else");
        cursor = page.items()[0].text();
        const auto& keys = page.items()[1].items();
        for (const db::RedisReply& key : keys) {
            std::vector<std::string_view> words = {"HMGET", key.text()};
            words.insert(words.end(), fields.begin(), fields.end());
            HF_DO(client.send(words));
        }
        for (const db::RedisReply& key : keys) {
            HF_TRY(const auto values, client.receive(patience));
            if (const auto* refusal = values.refusal())
                return fail(refusal_error(*refusal, "HMGET on " + client.peer()));
            if (std::ranges::all_of(values.items(), &db::RedisReply::is_null)) continue;    // it went meanwhile
            for (const db::RedisReply& value : values.items()) csv.field(text_of(value));
            csv.field(&key.text());
            HF_DO(csv.end_row());
            ++rows;
        }
    } while (cursor != "0");
    return rows;
}

// Up to the entry that is the last one now. Its ID is the last column.
Result<std::uint64_t> write_stream(db::RedisClient& client, const policy::DuckDbRebuildConfig& rule,
                                   const std::vector<std::string>& fields, CsvFile& csv) {
    std::uint64_t rows = 0;
    HF_TRY(const auto newest, client.command({"XREVRANGE", rule.stream, "+", "-", "COUNT", "1"}));
    if (newest.items().empty()) return rows;
    const std::string end = newest.items()[0].items().at(0).text();
    for (std::string from = "-";;) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading " + client.peer());
        HF_TRY(const auto page, client.command({"XRANGE", rule.stream, from, end, "COUNT", k_page}));
        if (page.items().empty()) return rows;
        for (const db::RedisReply& entry : page.items()) {
            if (entry.items().size() != 2)
                return fail(ErrorCode::corrupt, client.peer() + " answers XRANGE with something else");
            const auto& values = entry.items()[1].items();    // names and values by turns
            for (const std::string& field : fields) {
                const std::string* found = nullptr;
                for (std::size_t i = 0; i + 1 < values.size(); i += 2)
                    if (values[i].text() == field) found = text_of(values[i + 1]);
                csv.field(found);
            }
            const std::string& id = entry.items()[0].text();
            csv.field(&id);
            HF_DO(csv.end_row());
            ++rows;
            if (id == end) return rows;
            from = id;
        }
        // The next one: servers before 6.2 know no "(".
        const auto dash = from.find('-');
        from = fmt::format("{}-{}", from.substr(0, dash), number(std::string_view(from).substr(dash + 1)) + 1);
    }
}

Result<FetchedRows> fetch_redis(const RowSource& source, const std::vector<DuckDbColumn>& columns, int file) {
    HF_TRY(const db::RedisLogin login, source::redis_login(*source.redis));
    HF_TRY(db::RedisClient client, db::RedisClient::connect(login));
    const bool hashes = source.rule.stream.empty();
    FetchedRows fetched;
    fetched.what = fmt::format("{} {}", source.redis->name, hashes ? source.rule.keys : source.rule.stream);
    fetched.columns = source.rule.fields;
    if (fetched.columns.empty())
        for (const DuckDbColumn& column : columns) fetched.columns.push_back(column.name);
    CsvFile csv(file);
    Result<std::uint64_t> rows = hashes ? write_hashes(client, source.rule, login.timeout, fetched.columns, csv)
                                        : write_stream(client, source.rule, fetched.columns, csv);
    if (!rows) return fail(std::move(rows).error());
    HF_DO(csv.flush());
    // A column that nothing there knows is not NULL: what the copy has of it stays.
    std::string unknown;
    for (std::size_t i = 0; source.rule.fields.empty() && i < csv.seen().size(); ++i)
        if (!csv.seen()[i]) unknown += (unknown.empty() ? "" : ", ") + quote_duckdb_name(fetched.columns[i]);
    if (!unknown.empty()) fetched.select = fmt::format("* EXCLUDE ({})", unknown);
    fetched.columns.push_back(hashes ? "_key" : "_id");
    fetched.least = hashes ? 0 : *rows;    // SCAN may tell a key twice: once is enough
    fetched.most = *rows;
    return fetched;
}

}    // namespace

Result<FetchedRows> fetch_rows(const RowSource& source, const std::string& table,
                               const std::vector<DuckDbColumn>& columns, int file) {
    auto fetched =
        source.clickhouse ? fetch_clickhouse(source, table, columns, file) : fetch_redis(source, columns, file);
    if (!fetched) return fail(fetched.error().within("rows of " + table));
    return fetched;
}

}    // namespace holdfast::recovery
