#pragma once
// Reads a Redis RDB once, from its first byte to its last, and says what is in it: a check and a digest, not a loader.
//
//   contract  a value means: the RDB is whole, of a kind we know all of, its CRC-64 is right (or switched off in the
//             server) and nothing follows it
//   digest    canonical, version 1: over every key its database, name, type, expiry and decoded elements, and the function
//             libraries; independent of the order of keys and of how the server encodes them, so that it is equal after a
//             server has loaded and saved the data again. Left out: LRU and LFU clocks, and what a server estimates of
//             streams (entries-added, entries-read, seen and active times)
//   types     everything that Redis 7.0 and 7.2 write (RDB up to 11), and what 2.x to 6.x wrote; values of modules are
//             skipped by their own framing and digested as they stand
//   errors    corrupt (with the offset); unsupported for newer versions and types; the source's own
//   memory    grows with one key's packed blob or compressed string, not with the data set
//   source    rdb.c and rdb.h of Redis 7.0; docs/formats of Redis: https://rdb.fnordig.de/file_format.html

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "holdfast/base/id.hpp"
#include "holdfast/db/rdb_digest.hpp"
#include "holdfast/db/rdb_input.hpp"

namespace holdfast::db {

/// One key, as it is handed to RdbOptions::on_key.
struct RdbKey {
    std::uint64_t database = 0;
    std::string_view name;    // lives as long as the call
    std::int64_t expires_ms = -1;    // Unix time; -1: never
    Id hash;
};

/// Where the bytes of an RDB go while it is read: part by part, a key with all that belongs to it.
struct RdbCopy {
    enum class Part { aux, module_aux, function, database, key, other };
    /// A part begins: the database that is selected, and the name of a key or an aux field. `bytes` then gets the part, in pieces;
    /// the head (9 bytes) and what follows the last part (the end and the checksum) are no parts.
    std::function<Status(Part part, std::uint64_t database, std::string_view name)> begin;
    std::function<Status(ByteView)> bytes;
};

struct RdbOptions {
    std::function<void(const RdbKey&)> on_key;    // may be empty
    const RdbCopy* copy = nullptr;
    bool digests = true;    // false: values are passed over; no hash and no digest, numbers and the checksum only
};

struct RdbSummary {
    struct Database {
        std::uint64_t keys = 0, expires = 0;
        bool operator==(const Database&) const = default;
    };
    unsigned version = 0;
    std::string server_version;    // aux redis-ver
    std::map<std::uint64_t, Database> databases;    // those with keys
    std::map<std::string, std::uint64_t> types;    // "string", "list", "set", "zset", "hash", "stream", "module"
    std::uint64_t keys = 0, expires = 0;
    std::uint64_t functions = 0;    // libraries
    RdbSum functions_sum, keys_sum;
    bool has_checksum = false;    // false: the server runs with rdbchecksum no
    std::uint64_t bytes = 0;

    /// 64 hex digits.
    std::string digest() const { return digest_of(keys_sum, functions_sum); }
    static std::string digest_of(const RdbSum& keys, const RdbSum& functions);
};

Result<RdbSummary> read_rdb(RdbSource source, const RdbOptions& options = {});
Result<RdbSummary> read_rdb_file(const std::string& path, const RdbOptions& options = {});

}    // namespace holdfast::db
