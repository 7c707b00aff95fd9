#pragma once
// When snapshot files are lost: the trees that nothing names any more become one snapshot, each as a folder named by the
// first digits of its ID.
//
//   memory   32 bytes a tree
//   locks    shared, as a backup: nothing goes

#include "holdfast/vault/backup.hpp"

namespace holdfast::vault {

struct RecoverReport {
    std::uint64_t trees_read = 0, unreadable = 0;
    std::vector<Id> roots;    // what was found
    std::optional<Id> snapshot;    // nullopt: nothing was found
};

/// The snapshot's path is "/recover", its tag "recovered", as restic's.
Result<RecoverReport> recover(Repository& repository, const BackupOptions& storing = {});

}    // namespace holdfast::vault
