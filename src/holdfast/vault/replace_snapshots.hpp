#pragma once
// Snapshots under new IDs: what tag and rewrite end with.
//
//   order    all new files safe → the old ones go. Killed in between, both are there; doing the same again finds the new
//            one and only removes the old one
//   source   docs/formats/vault.md section 8

#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct Replacement {
    SnapshotEntry old;
    format::Snapshot fresh;    // `original` is set to the old one's unless it has one
    Id id;    // of the new file, once it is written
};

/// `known`: all snapshots of the repository, among which one equal to `fresh` is taken instead of writing it again.
/// With `remove_old` the lock must be exclusive; denied comes before anything is written.
Status replace_snapshots(Repository& repository, const RepositoryLock& lock, const std::vector<SnapshotEntry>& known,
                         std::vector<Replacement>& replacements, bool remove_old);

}    // namespace holdfast::vault
