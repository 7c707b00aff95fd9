#pragma once
// What changed between two snapshots, name by name; and which blobs only one of them needs. As restic's diff counts.
//
//   memory   32 bytes for each blob of the folders that differ, one bit for each blob of the index; one tree a level
//   errors   corrupt for trees that cannot be read; whatever `changed` returns ends the walk

#include <functional>
#include <string>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct Change {
    std::string path;    // folders end with '/'
    std::string modifier;    // "+", "-", or of "T" (type), "M" (content), "U" (metadata)
};

struct DiffCounts {
    std::uint64_t files = 0, dirs = 0, others = 0;
    std::uint64_t data_blobs = 0, tree_blobs = 0, bytes = 0;    // bytes: plain
};
struct DiffReport {
    std::uint64_t changed_files = 0;
    DiffCounts added, removed;
};

struct DiffOptions {
    bool metadata = false;    // "U" for nodes whose content is equal and whose metadata is not
    std::function<Status(const Change&)> changed{};
};

/// The index must be loaded.
Result<DiffReport> diff(const Repository& repository, const Id& before, const Id& after, const DiffOptions& options);

}    // namespace holdfast::vault
