#pragma once
// Which snapshots have a file of this name, or need this blob, tree or pack?
//
//   patterns  as exclude patterns (glob.hpp); what lies below a folder that fits is found, too, as restic does
//   memory    32 bytes a tree in which nothing was found: it is not read again for the next snapshot

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct FindOptions {
    std::vector<std::string> patterns;
    bool ignore_case = false;
    std::optional<Timestamp> oldest{}, newest{};    // of the modification time
};
using FoundFile = std::function<Status(const SnapshotEntry&, const std::string& path, const format::Node&)>;
/// The index must be loaded.
Status find_files(const Repository& repository, const std::vector<SnapshotEntry>& snapshots, const FindOptions& options,
                  const FoundFile& found);

enum class ObjectKind { blob, tree, pack };
struct ObjectHit {
    format::BlobType type = format::BlobType::data;
    Id id;
    std::string path;    // of the file or folder
    Id tree;    // that names it; all zero for the root of a snapshot
};
/// `ids`: hex, or the first digits. Of a pack: all blobs in it.
Status find_objects(const Repository& repository, const std::vector<SnapshotEntry>& snapshots, ObjectKind kind,
                    const std::vector<std::string>& ids,
                    const std::function<Status(const SnapshotEntry&, const ObjectHit&)>& found);

}    // namespace holdfast::vault
