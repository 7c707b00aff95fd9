#pragma once
// Other tags on snapshots that are there.
//
//   errors   usage: an empty tag, or one with a comma (the list on a command line is cut there)
//   source   docs/formats/vault.md section 8

#include <string>
#include <vector>

#include "holdfast/vault/replace_snapshots.hpp"

namespace holdfast::vault {

struct TagChange {
    std::optional<std::vector<std::string>> set;    // instead of all that are there; empty: none
    std::vector<std::string> add, remove;    // in this order; a tag is there at most once
};

/// Pure.
std::vector<std::string> changed_tags(std::vector<std::string> tags, const TagChange& change);
Status check_tags(const std::vector<std::string>& tags);

/// Those of `chosen` whose tags change. `known`: all snapshots. Needs the exclusive lock.
Result<std::vector<Replacement>> tag(Repository& repository, const RepositoryLock& lock,
                                     const std::vector<SnapshotEntry>& known, const std::vector<SnapshotEntry>& chosen,
                                     const TagChange& change);

}    // namespace holdfast::vault
