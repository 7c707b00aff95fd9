#pragma once
// Parts that were saved as the server's own files (FREEZE, BACKUP), back through the table's folder `detached`, or by the server's own
// RESTORE out of a folder that it and we can reach.
//
//   source   26.5: a backup is <folder>/.backup (XML: each file's name, size, checksum), data/<database>/<table>/<part>/…,
//            metadata/<database>/<table>.sql. RESTORE compares neither content nor checksum (tried): damage is looked for by us

#include "holdfast/recovery/clickhouse_load.hpp"

namespace holdfast::recovery::clickhouse {

/// Lays each part out below <table>/detached, with the owner of that folder, and attaches it. Every blob is checked against its ID on the way: the
/// server takes damaged files without a word. Errors: unsupported, when the server's data folder cannot be reached from here.
Status attach_parts(const Loader& loader, const Item& item, const std::string& table);

/// Makes a backup of these parts below loader.backups, has the server RESTORE it into the (empty) table, and removes it. What RESTORE
/// says is not believed: check_table() and the digest come after it. Errors: the server's.
Status restore_parts_by_server(const Loader& loader, const Item& item, const std::string& table);

/// CHECK TABLE, where the server has it for this engine. Errors: mismatch.
Status check_table(const Loader& loader, const Item& item, const std::string& table);

}    // namespace holdfast::recovery::clickhouse
