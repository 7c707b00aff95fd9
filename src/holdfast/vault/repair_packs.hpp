#pragma once
// What is whole in damaged packs, saved into new ones.
//
//   order    good blobs durable in new packs → index with them → index without the damaged packs → a copy of each damaged
//            pack in `save_to`, on disk → the damaged packs go. A kill between loses nothing: run it again
//   locks    exclusive
//   memory   a slice of some MiB and the longest blob for each thread, however large a pack is
//   errors   not_found for a pack that neither the storage nor the index knows

#include <functional>
#include <string>
#include <vector>

#include "holdfast/vault/backup.hpp"

namespace holdfast::vault {

struct RepairPacksOptions {
    std::vector<Id> packs{};    // empty: all packs are read, and those that are damaged or missing are taken
    std::string save_to{};    // folder for copies of the damaged packs; empty: none are kept
    bool dry_run = false;
    BackupOptions storing{};
    std::function<void(std::uint64_t done, std::uint64_t total)> progress{};    // packs read
};

struct RepairPacksReport {
    struct Blob {
        format::BlobType type = format::BlobType::data;
        Id id;
    };
    std::vector<Id> damaged;
    std::vector<std::string> copies;    // paths of what was saved in save_to
    std::uint64_t blobs_saved = 0;    // stored anew, or whole in another pack
    std::vector<Blob> lost;
};

Result<RepairPacksReport> repair_packs(Repository& repository, const RepairPacksOptions& options = {});

}    // namespace holdfast::vault
