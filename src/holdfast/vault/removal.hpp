#pragma once
// Files of the repository, removed for good. What forget, tag, rewrite, prune and repair end with.
//
//   order    the lock is checked again and again; when it returns, the names are gone also after a power failure
//   errors   the backend's own; a file that is gone already is no error. `denied` says that the storage keeps what it has

#include <functional>
#include <span>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// Fails (denied) where the storage is known to refuse removals, before anything is written that would only be half of a
/// change. Asks to remove a name that does not exist: storage that is append-only answers that, too.
Status check_removal_allowed(const Repository& repository);

/// Removes `files` by as many requests at once as make sense, many names a request where the storage can. `gone` is told of
/// each, under a lock. A file that is not there is no error.
Status remove_in_batches(storage::Backend& backend, std::span<const storage::FileName> files,
                         const std::function<void(const storage::FileName&)>& gone);

Status remove_files(const Repository& repository, const RepositoryLock& lock,
                    const std::vector<storage::FileName>& files,
                    const std::function<void(std::uint64_t done)>& progress = {});

}    // namespace holdfast::vault
