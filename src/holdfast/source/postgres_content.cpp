#include "holdfast/source/postgres_content.hpp"

#include <fmt/core.h>

#include <map>
#include <utility>

namespace holdfast::source {
namespace {

using db::quote_identifier;

// Conditions on n (pg_namespace), and on an object of a catalogue that may belong to an extension.
constexpr std::string_view k_user_schema = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";
std::string no_extension(std::string_view catalogue, std::string_view oid) {
    return fmt::format(
        "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{}'::regclass AND e.objid = {} "
        "AND e.deptype = 'e')",
        catalogue, oid);
}

std::string user_relations(std::string_view columns, std::string_view condition, std::string_view from = "pg_class c") {
    return fmt::format(
        "SELECT {} FROM {} JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {} AND {} AND {} "
        "AND c.relpersistence <> 't'",
        columns, from, condition, k_user_schema, no_extension("pg_class", "c.oid"));
}

std::string functions(std::string_view columns) {
    return fmt::format("SELECT {} FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {} AND {}",
                       columns, k_user_schema, no_extension("pg_proc", "p.oid"));
}

// Row types of tables and array types come and go with what they belong to.
std::string types(std::string_view columns) {
    return fmt::format(
        "SELECT {} FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
        "LEFT JOIN pg_class c ON c.oid = t.typrelid "
        "WHERE {} AND {} AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c')",
        columns, k_user_schema, no_extension("pg_type", "t.oid"));
}

std::string schemas(std::string_view columns) {
    return fmt::format("SELECT {} FROM pg_namespace n WHERE {} AND {}", columns, k_user_schema,
                       no_extension("pg_namespace", "n.oid"));
}

Result<json::Value> count_objects(db::PostgresConnection& connection) {
    const auto on_tables = [](std::string_view catalogue, std::string_view column, std::string_view condition) {
        return user_relations("count(*)", condition,
                              fmt::format("{} x JOIN pg_class c ON c.oid = x.{}", catalogue, column));
    };
    // Invalid indexes (a failed CREATE INDEX CONCURRENTLY) are not dumped.
    const std::pair<const char*, std::string> kinds[] = {
        {"schemas", schemas("count(*)")},
        {"partitioned_tables", user_relations("count(*)", "c.relkind = 'p'")},
        {"foreign_tables", user_relations("count(*)", "c.relkind = 'f'")},
        {"views", user_relations("count(*)", "c.relkind = 'v'")},
        {"indexes", on_tables("pg_index", "indrelid", "x.indisvalid")},
        {"constraints", on_tables("pg_constraint", "conrelid", "x.contype IN ('c', 'f', 'p', 'u', 'x')")},
        {"triggers", on_tables("pg_trigger", "tgrelid", "NOT x.tgisinternal")},
        {"policies", on_tables("pg_policy", "polrelid", "true")},
        {"functions", functions("count(*)")},
        {"types", types("count(*)")},
    };
    auto counts = json::Value::object();
    for (const auto& [kind, sql] : kinds) {
        HF_TRY(const auto rows, connection.query(sql));
        counts.set(kind, rows[0].integer(0));
    }
    return counts;
}

// A page of zeros may become a hole and back, and trailing zeros of a page are implied: neither counts.
Result<json::Value> describe_large_objects(db::PostgresConnection& connection, policy::Proof proof) {
    HF_TRY(const auto counted, connection.query("SELECT count(*), has_table_privilege('pg_largeobject', 'SELECT') "
                                                "FROM pg_largeobject_metadata"));
    auto described = json::Value::object({{"count", counted[0].integer(0)}});
    if (proof == policy::Proof::digest && counted[0].boolean(1) && connection.server_major() >= 14) {
        HF_TRY(const auto rows,
               connection.query(
                   "SELECT coalesce(sum(hashtextextended(r, 0)), 0), coalesce(sum(hashtextextended(r, 1)), 0) FROM "
                   "(SELECT (loid::text || ':' || pageno::text || ':' || encode(d, 'hex')) COLLATE \"C\" AS r FROM "
                   "(SELECT loid, pageno, rtrim(data, '\\x00'::bytea) AS d FROM pg_largeobject) AS p "
                   "WHERE length(d) > 0 OFFSET 0) AS q"));
        described.set("digest", rows[0].text(0) + ':' + rows[0].text(1));
    }
    return described;
}

std::string full_name(const json::Value& entry) { return entry["schema"].text() + '.' + entry["name"].text(); }

std::map<std::string, const json::Value*> by_name(const json::Value& list) {
    std::map<std::string, const json::Value*> found;
    for (const json::Value& entry : list.items()) found.emplace(full_name(entry), &entry);
    return found;
}

void compare_tables(const json::Value& expected, const json::Value& found, std::vector<std::string>& differences) {
    auto there = by_name(found);
    for (const json::Value& table : expected.items()) {
        const std::string name = full_name(table);
        const auto entry = there.find(name);
        if (entry == there.end()) {
            differences.push_back(fmt::format("table {} is missing", name));
            continue;
        }
        const json::Value& other = *entry->second;
        if (!table["rows"].is_null() && table["rows"].integer() != other["rows"].integer(-1))
            differences.push_back(
                fmt::format("{}: {} rows instead of {}", name, other["rows"].integer(), table["rows"].integer()));
        else if (!table["digest"].is_null() && table["digest"].text() != other["digest"].text())
            differences.push_back(fmt::format("{}: as many rows, but another content", name));
        there.erase(entry);
    }
    for (const auto& [name, table] : there) differences.push_back(fmt::format("table {} should not be there", name));
}

}    // namespace

std::string text_form_settings(int server_major) {
    std::string settings =
        "SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 3; "
        "SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET xmloption = content; SET search_path = pg_catalog; "
        "SET row_security = off; SET quote_all_identifiers = off; SET statement_timeout = 0; SET lock_timeout = '60s'; "
        "SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off;";
    if (server_major >= 14) settings += "SET idle_session_timeout = 0;";
    return settings;
}

std::string copy_form_settings(int server_major, const std::string& encoding) {
    return text_form_settings(server_major) +
           fmt::format(" RESET lc_monetary; SET client_encoding = {};", db::quote_literal(encoding));
}

Status pin_text_form(db::PostgresConnection& connection) {
    return connection.execute(text_form_settings(connection.server_major()));
}

Result<json::Value> describe_tables(db::PostgresConnection& connection, policy::Proof proof,
                                    const PostgresChoice* choice, const DescribeRows& describe_rows) {
    HF_TRY(const auto tables,
           connection.query(user_relations("n.nspname, c.relname, c.oid", "c.relkind = 'r'") + " ORDER BY 1, 2"));
    std::map<std::string, const PostgresTable*> wanted;
    if (choice)
        for (const PostgresTable& table : choice->tables) wanted.emplace(table.oid, &table);
    auto described = json::Value::array();
    for (const auto& table : tables) {
        const auto chosen = wanted.find(table.text(2));
        if (choice && chosen == wanted.end()) continue;
        auto entry = json::Value::object({{"schema", table.text(0)}, {"name", table.text(1)}});
        if (choice && !chosen->second->parent.empty()) entry.set("partition_of", chosen->second->parent);
        if (choice && !chosen->second->rows) {
            // As a restore will have it.
            if (proof != policy::Proof::none) entry.set("rows", 0);
            if (proof == policy::Proof::digest) entry.set("digest", "0:0");
            entry.set("left_out", true);
        } else {
            const PostgresTable one{table.text(2), table.text(0), table.text(1)};
            HF_DO(describe_rows ? describe_rows(one, entry) : describe_table(connection, one.quoted(), proof, entry));
        }
        described.push(std::move(entry));
    }
    return described;
}

Status describe_table(db::PostgresConnection& connection, const std::string& quoted, policy::Proof proof,
                      json::Value& to) {
    if (proof == policy::Proof::count) {
        HF_TRY(const auto rows, connection.query("SELECT count(*) FROM ONLY " + quoted));
        to.set("rows", rows[0].integer(0));
    } else if (proof == policy::Proof::digest) {
        // OFFSET 0 keeps the planner from writing a row as text twice. ROW(x.*) and not x: a column may be named x.
        HF_TRY(
            const auto rows,
            connection.query("SELECT count(*), sum(hashtextextended(r, 0)), sum(hashtextextended(r, 1)) FROM (SELECT "
                             "ROW(hf_row.*)::text COLLATE \"C\" AS r FROM ONLY " +
                             quoted + " AS hf_row OFFSET 0) AS hf_rows"));
        to.set("rows", rows[0].integer(0));
        to.set("digest", rows[0].integer(0) == 0 ? "0:0" : rows[0].text(1) + ':' + rows[0].text(2));
    }
    return {};
}

Result<json::Value> describe_content(db::PostgresConnection& connection, policy::Proof proof,
                                     const PostgresChoice* choice) {
    HF_TRY(auto tables, describe_tables(connection, proof, choice));
    auto content = json::Value::object({{"tables", std::move(tables)}});
    if (!choice || !choice->scope.partial()) HF_DO(describe_others(connection, proof, content));
    return content;
}

Status describe_others(db::PostgresConnection& connection, policy::Proof proof, json::Value& to) {
    HF_TRY(const auto views,
           connection.query(user_relations("n.nspname, c.relname, c.relispopulated", "c.relkind = 'm'") +
                            " ORDER BY 1, 2"));
    auto materialized = json::Value::array();
    for (const auto& view : views)
        materialized.push(
            json::Value::object({{"schema", view.text(0)}, {"name", view.text(1)}, {"populated", view.boolean(2)}}));
    HF_TRY(const auto installed, connection.query("SELECT extname, extversion FROM pg_extension ORDER BY 1"));
    auto extensions = json::Value::array();
    for (const auto& extension : installed)
        extensions.push(json::Value::object({{"name", extension.text(0)}, {"version", extension.text(1)}}));
    HF_TRY(auto objects, count_objects(connection));
    HF_TRY(auto large_objects, describe_large_objects(connection, proof));
    to.set("materialized_views", std::move(materialized));
    to.set("objects", std::move(objects));
    to.set("extensions", std::move(extensions));
    to.set("large_objects", std::move(large_objects));
    return {};
}

Result<json::Value> read_sequences(db::PostgresConnection& connection) {
    HF_TRY(const auto names,
           connection.query(user_relations("n.nspname, c.relname", "c.relkind = 'S'") + " ORDER BY 1, 2"));
    auto sequences = json::Value::array();
    for (const auto& name : names) {
        HF_TRY(const auto rows, connection.query("SELECT last_value, is_called FROM " + quote_identifier(name.text(0)) +
                                                 '.' + quote_identifier(name.text(1))));
        sequences.push(json::Value::object({{"schema", name.text(0)},
                                            {"name", name.text(1)},
                                            {"value", rows[0].integer(0)},
                                            {"called", rows[0].boolean(1)}}));
    }
    return sequences;
}

Result<std::int64_t> count_user_objects(db::PostgresConnection& connection) {
    HF_TRY(const auto rows, connection.query(fmt::format("SELECT ({}) + ({}) + ({}) + ({} AND n.nspname <> 'public') "
                                                         "+ (SELECT count(*) FROM pg_largeobject_metadata)",
                                                         user_relations("count(*)", "true"), functions("count(*)"),
                                                         types("count(*)"), schemas("count(*)"))));
    return rows[0].integer(0);
}

std::vector<std::string> compare_content(const json::Value& expected, const json::Value& found) {
    std::vector<std::string> differences;
    compare_tables(expected["tables"], found["tables"], differences);
    const auto views = by_name(found["materialized_views"]);
    for (const json::Value& view : expected["materialized_views"].items()) {
        const auto other = views.find(full_name(view));
        if (other == views.end())
            differences.push_back(fmt::format("materialized view {} is missing", full_name(view)));
        else if (view["populated"].boolean() != (*other->second)["populated"].boolean())
            differences.push_back(fmt::format("materialized view {} is{} populated", full_name(view),
                                              view["populated"].boolean() ? " not" : ""));
    }
    for (const auto& [kind, count] : expected["objects"].members())
        if (count.integer() != found["objects"][kind].integer(-1))
            differences.push_back(
                fmt::format("{} {} instead of {}", found["objects"][kind].integer(), kind, count.integer()));
    const json::Value& large = expected["large_objects"];
    const json::Value& other = found["large_objects"];
    if (large.is_null()) return differences;    // of some tables nothing else is told
    if (large["count"].integer() != other["count"].integer(-1))
        differences.push_back(
            fmt::format("{} large objects instead of {}", other["count"].integer(), large["count"].integer()));
    else if (!large["digest"].is_null() && !other["digest"].is_null() &&
             large["digest"].text() != other["digest"].text())
        differences.push_back("as many large objects, but another content");
    return differences;
}

std::vector<std::string> compare_sequences(const json::Value& before, const json::Value& after,
                                           const json::Value& found) {
    std::vector<std::string> differences;
    const auto later = by_name(after), there = by_name(found);
    for (const json::Value& sequence : before.items()) {
        const std::string name = full_name(sequence);
        const auto restored = there.find(name);
        const auto moved = later.find(name);
        if (restored == there.end()) {
            differences.push_back(fmt::format("sequence {} is missing", name));
        } else if (moved != later.end() && dump(*moved->second) == dump(sequence) &&
                   dump(*restored->second) != dump(sequence)) {
            differences.push_back(fmt::format("sequence {} stands at {} instead of {}", name,
                                              (*restored->second)["value"].integer(), sequence["value"].integer()));
        }
    }
    return differences;
}

}    // namespace holdfast::source
