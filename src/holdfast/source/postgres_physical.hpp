#pragma once
// A whole PostgreSQL cluster by its files, over the replication protocol: what pg_basebackup takes, as ordinary files of the
// snapshot, so that a plain restore of the folder is a data folder that a server starts on.
//
//   shape     <folder>/data/… as in the cluster, with backup_label, backup_manifest and the write-ahead log that the copy
//             needs; <folder>/tablespaces/<oid>/…, to which data/pg_tblspc/<oid> leads by a relative link
//   moment    the copy is consistent at its stop LSN, and whoever starts on it sees the commits before that
//   cuts      relation files are cut into blocks of k_relation_cut, aligned to pages: what did not change is known
//   checks    every file's size and CRC32C against backup_manifest, whose own SHA-256 is checked, too; all segments of the
//             log; page checksums by the server, where the cluster has them
//   errors    denied (no right REPLICATION, no line in pg_hba.conf), unsupported (before PostgreSQL 15, wal_level minimal),
//             corrupt (a page's checksum is wrong, or a file is not what the manifest says), unreachable, store
//   load      one walsender that reads each file once; memory is the pipeline's, and about 100 bytes a file

#include "holdfast/source/capture.hpp"

namespace holdfast::source {

/// 32 pages: docs/decisions/0023-postgres-physical.md has the numbers.
constexpr std::uint32_t k_relation_cut = 256u << 10;

/// From there on BASE_BACKUP and its answer have the form that we know.
constexpr int k_physical_major_min = 15;

Result<json::Value> capture_postgres_physical(const policy::PostgresConfig& config, CaptureContext& context);

}    // namespace holdfast::source
