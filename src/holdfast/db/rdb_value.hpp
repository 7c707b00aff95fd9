#pragma once
// One value of an RDB, read and reduced to 32 bytes that do not depend on how it was encoded.
//
//   list    SHA-256 over its elements in order          string  SHA-256 over it
//   set     sum of the elements' hashes, and the count   zset    the same over score and member
//   hash    the same over field and value                stream  entries in order, last id, sum over groups

#include <string_view>

#include "holdfast/db/rdb_input.hpp"

namespace holdfast::db {

/// The two hashes that reading needs, kept between keys: making one costs more than using it.
struct RdbHashes {
    RdbHash value, element;
};

/// "string", "list" …; empty for a type that we do not know.
std::string_view rdb_type_name(std::uint8_t type);

/// `type` is one that rdb_type_name() knows.
Result<Id> read_rdb_value(RdbInput& input, std::uint8_t type, RdbHashes& hashes);
/// The part of a module's value or aux field behind its id.
Status read_rdb_module(RdbInput& input, RdbHash& hash);
/// Types 15, 19 and 21 (rdb_stream.cpp).
Result<Id> read_rdb_stream(RdbInput& input, std::uint8_t type, RdbHashes& hashes);

}    // namespace holdfast::db
