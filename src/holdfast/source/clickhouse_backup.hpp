#pragma once
// The parts of a table as files, laid out by the server's own BACKUP (22.8 and newer) in a folder that it and we can reach. Unlike
// FREEZE it needs no sight of the server's data folder and takes parts from whatever disks they lie on, S3 too; but the server
// copies them. It is only a way for the bytes: what a part holds is counted and digested as for the other ways.
//
//   leftovers   folders of a backup that was killed are named holdfast_<machine>_<pid>_…; the next one removes those of this machine whose process is gone
//   source      26.5: <folder>/<name>/data/<database>/<table>/<part>, names as server_folder_of() gives them

#include <vector>

#include "holdfast/source/clickhouse_freeze.hpp"

namespace holdfast::source::clickhouse {

/// The partitions of these parts, at a moment after the call began; a part that was merged meanwhile is not there, others may be.
/// `parts` is not empty. Errors: unsupported, with the server's words, when it has no BACKUP, may not, or does not write to `backups`;
/// read the table over HTTP then.
Result<Frozen> back_up_by_server(db::clickhouse::Client& client, const Table& table, const std::vector<Part>& parts,
                                 const std::string& backups);

}    // namespace holdfast::source::clickhouse
