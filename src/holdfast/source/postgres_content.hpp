#pragma once
// What a PostgreSQL database holds, in a form that can be compared after a restore.
//
//   shape     {"tables": [{schema, name, rows, digest}], "materialized_views": [{schema, name, populated}],
//              "objects": {"views": n, "indexes": n, …}, "extensions": [{name, version}],
//              "large_objects": {count, digest}}; digest is absent where the role may not read, or the proof is count
//   digest    sum of hashtextextended(row::text) under two seeds: independent of the order of rows, and duplicate rows
//             count. Not cryptographic: against accidents, not against forgery. pin_text_form() makes row::text stable
//   limits    what belongs to an extension, foreign tables and the rows of materialized views (a restore computes them
//             anew) are not compared
//   moment    the caller's transaction; sequences are outside of any, see read_sequences()

#include "holdfast/base/json.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::source {

/// Sets everything that changes how a value is written as text, and ends time-outs: our session waits for pg_dump.
Status pin_text_form(db::PostgresConnection& connection);
/// The same as statements.
std::string text_form_settings(int server_major);

/// `choice`: only these tables, and those without rows as empty ones; of less than a database nothing but tables is told.
Result<json::Value> describe_content(db::PostgresConnection& connection, policy::Proof proof,
                                     const PostgresChoice* choice = nullptr);
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
