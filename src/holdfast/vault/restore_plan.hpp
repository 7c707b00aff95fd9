#pragma once
// What a restore has to make, read from the snapshot's trees: folders, files, links and the rest, in the order in which
// they can be made. Nothing is written here.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "holdfast/vault/path_filter.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::vault {

struct RestorePlan {
    using FolderNumber = std::uint32_t;
    struct Folder {
        FolderNumber above = 0;
        format::Node node;
        PathFilter::Standing standing;
    };
    struct Entry {
        FolderNumber in = 0;
        format::Node node;    // of a file without its content …
        std::vector<std::uint32_t> chunks = {};    // … which are these, by their numbers in the index
    };
    static constexpr std::uint32_t k_unknown = UINT32_MAX;    // a chunk that no index knows
    struct HardLink {
        FolderNumber in = 0;
        std::string name;
        std::uint32_t file = 0;    // the entry of `files` that it is another name of
    };
    std::vector<Folder> folders;    // 0 is the target itself; parents come before what they hold
    std::vector<Entry> files, others;
    std::vector<HardLink> links;
    std::map<std::uint32_t, Id> unknown;    // by the number of a file: the first of its chunks that no index knows
    std::uint64_t bytes = 0;

    /// not_found for an exact path, or a pattern without wildcards, that the snapshot does not have; and when nothing at
    /// all is wanted of a snapshot that is not empty.
    static Result<RestorePlan> make(const Repository& repository, const Id& tree, const RestoreOptions& options,
                                    const PathFilter& filter);
    /// The folder's path below the target: "" or "/a/b".
    std::string path_of(FolderNumber folder) const;
};

}    // namespace holdfast::vault
