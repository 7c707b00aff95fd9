#pragma once
// Parts that were saved as the server's own files (FREEZE), back through the table's folder `detached`.

#include "holdfast/recovery/clickhouse_load.hpp"

namespace holdfast::recovery::clickhouse {

/// Lays each part out below <table>/detached, with the owner of that folder, and attaches it. Every blob is checked against its ID on the way: the
/// server takes damaged files without a word. Errors: unsupported, when the server's data folder cannot be reached from here.
Status attach_parts(const Loader& loader, const Item& item, const std::string& table);

/// CHECK TABLE, where the server has it for this engine. Errors: mismatch.
Status check_table(const Loader& loader, const Item& item, const std::string& table);

}    // namespace holdfast::recovery::clickhouse
