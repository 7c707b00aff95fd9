#pragma once
// The names (SHA-256) by which repositories know kept blocks, so that a backup need not read a block to know that it is there already.
//
//   shape    "blob-ids" in the folder of the states: "HFDUCKI1" | u64 entries | per entry u32 generation, u32 index, u64 XXH64, 32 bytes
//            SHA-256 | u64 XXH64 of all before; little endian
//   promise  a name is told only for a block of that place with that XXH64; it was taken of bytes that had it
//   errors   a file that is lost or damaged counts as empty: its blocks are then read
//   threads  one
//   source   docs/formats/duckdb.md

#include <unordered_map>

#include "holdfast/base/id.hpp"
#include "holdfast/source/duckdb_generation.hpp"

namespace holdfast::source {

class DuckDbBlobIds {
public:
    static DuckDbBlobIds load(const std::string& folder);
    std::optional<Id> find(const KeptBlock& block);
    void learn(const KeptBlock& block, const Id& id);
    /// Keeps what was found and learned since it was loaded.
    Status save(const std::string& folder) const;

private:
    friend DuckDbBlobIds parse_blob_ids(ByteView bytes);
    struct Entry {
        std::uint64_t hash = 0;
        Id id;
        bool used = false;
    };
    static std::uint64_t key(const KeptBlock& block) { return std::uint64_t(block.generation) << 32 | block.index; }
    std::unordered_map<std::uint64_t, Entry> entries_;
};

/// Empty, when they are no such file.
DuckDbBlobIds parse_blob_ids(ByteView bytes);

}    // namespace holdfast::source
