#pragma once
// What a PostgreSQL database holds, in a form that can be compared after a restore.
//
//   shape     {"tables": [{schema, name, rows, digest}], "materialized_views": [{schema, name, populated}],
//              "objects": {"views": n, "indexes": n, …}, "extensions": [{name, version}],
//              "large_objects": {count, digest}}; digest is absent where the role may not read, or the proof is count
//   digest    "copy:…": of the rows as COPY tells them, see db/copy_digest.hpp, under copy_form_settings() and with the columns
//             that pg_dump names. "123:-456": what the server can sum up alone, hashtextextended(row::text) under two seeds;
//             pin_text_form() makes row::text stable. Both are independent of the order of rows, and duplicate rows count.
//             Not cryptographic: against accidents, not against forgery
//   limits    what belongs to an extension, foreign tables and the rows of materialized views (a restore computes them
//             anew) are not compared
//   moment    the caller's transaction; sequences are outside of any, see read_sequences()

#include <functional>

#include "holdfast/base/json.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::source {

/// Sets everything that changes how a value is written as text, and ends time-outs: our session waits for pg_dump.
Status pin_text_form(db::PostgresConnection& connection);
/// The same as statements.
std::string text_form_settings(int server_major);

/// For COPY, so that it tells rows as pg_dump does, which sets the rest and is told PGTZ and bytea_output. `encoding`: of the dumped database.
/// Money is told as the session's own lc_monetary has it: it is read in by that, too.
std::string copy_form_settings(int server_major, const std::string& encoding);

/// {rows, digest} of one table, as far as a proof wants them.
using DescribeRows = std::function<Status(const PostgresTable& table, json::Value& to)>;

/// `choice`: only these tables, and those without rows as empty ones; of less than a database nothing but tables is told.
Result<json::Value> describe_content(db::PostgresConnection& connection, policy::Proof proof,
                                     const PostgresChoice* choice = nullptr);
/// Its parts: the array of tables, by whom their rows are told (empty: by the server); and all else.
Result<json::Value> describe_tables(db::PostgresConnection& connection, policy::Proof proof,
                                    const PostgresChoice* choice = nullptr, const DescribeRows& describe_rows = {});
Status describe_others(db::PostgresConnection& connection, policy::Proof proof, json::Value& to);
/// {schema, name, rows, digest} of one table, named as SQL takes it.
Status describe_table(db::PostgresConnection& connection, const std::string& quoted, policy::Proof proof,
                      json::Value& to);

/// [{schema, name, value, called}]: nextval() of others moves them whatever transaction we are in.
Result<json::Value> read_sequences(db::PostgresConnection& connection);

/// Relations, functions, types, schemas and large objects that are neither the system's nor an extension's; 0: empty.
Result<std::int64_t> count_user_objects(db::PostgresConnection& connection);

/// The first differences, as sentences: "public.trades: 41 rows instead of 42". Empty: equal.
std::vector<std::string> compare_content(const json::Value& expected, const json::Value& found);
/// `before` and `after` were read around the dump: where they differ, a value between is right, so that only equal ones
/// are compared.
std::vector<std::string> compare_sequences(const json::Value& before, const json::Value& after,
                                           const json::Value& found);

}    // namespace holdfast::source
