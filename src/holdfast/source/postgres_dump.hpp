#pragma once
// One database into one stream of the snapshot, as pg_dump writes it, with the facts that prove it.
//
//   moment    an exported snapshot: pg_dump, the counts and the digests see the same rows. Every table is share-locked
//             first (as pg_dump does itself), for TRUNCATE and ALTER do not respect snapshots
//   errors    denied (check_rights() asks before), changed (a table was wanted by another for himself, three times),
//             unreachable, store; the stream is then not finished and the snapshot has no such file
//   counted   rows and digests are those of the dump itself, while it goes by (dump_tally.hpp): nothing is read twice
//   rows      of large tables we copy ourselves into its archive (postgres_rows.hpp)

#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/source/postgres_selection.hpp"

namespace holdfast::source {

/// `file` is the dump's name inside the component's folder. The facts: bytes, lsn, seconds, tables, sequences, …
Result<json::Value> dump_database(const db::PostgresAccess& access, const db::PostgresTool& pg_dump,
                                  const std::string& database, const std::string& file, policy::Proof proof,
                                  const PostgresScope& scope, CaptureContext& context);

/// {tables, schemas, exclude_tables}, as the facts tell what was taken of a database.
json::Value scope_json(const PostgresScope& scope);

/// "trading" is trading.dump; bytes other than letters, digits, '_', '-', '.' and non-ASCII become %XX, a leading dot too.
std::string dump_file_name(std::string_view database);

}    // namespace holdfast::source
