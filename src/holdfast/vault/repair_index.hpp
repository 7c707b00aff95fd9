#pragma once
// All index files anew, from what packs say about themselves: when index files are lost or damaged, or packs came or went
// without them.
//
//   keeps    what the index says about a pack that is there with the size that follows from it
//   reads    the tables of all other packs (of all packs with `read_all_packs`)
//   damaged  a pack whose table cannot be read: what the index said about it stays, for repair_packs
//   locks    exclusive

#include <functional>
#include <string>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct RepairIndexOptions {
    bool read_all_packs = false;
    bool dry_run = false;
    std::function<void(std::uint64_t done, std::uint64_t total)> progress{};    // tables read
};

struct RepairIndexReport {
    std::vector<std::string> damaged_index;    // files that could not be read
    std::vector<std::string> damaged_packs;    // tables that could not be read, and why
    std::uint64_t packs_kept = 0, packs_read = 0;
    std::uint64_t packs_vanished = 0;    // named by the index, but not there
    std::uint64_t packs_found = 0;    // there, but named by no index
    std::size_t index_written = 0;
    bool changed = false;    // false: the index was right, and nothing was written
};

Result<RepairIndexReport> repair_index(Repository& repository, const RepairIndexOptions& options = {});

}    // namespace holdfast::vault
