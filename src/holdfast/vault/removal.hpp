#pragma once
// Files of the repository, removed for good. What forget, tag, rewrite, prune and repair end with.
//
//   order    the lock is checked again and again; when it returns, the names are gone also after a power failure
//   errors   the backend's own; a file that is gone already is no error. `denied` says that the storage keeps what it has

#include <functional>
#include <memory>
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

/// The exclusive lock, also where the disk is too full for its file: then one after the other of `needless` is removed
/// until there is room. Never while another lock is there; and who has none finds no room for one, either.
Result<std::unique_ptr<RepositoryLock>> lock_making_room(Repository& repository,
                                                         std::span<const storage::FileName> needless);

}    // namespace holdfast::vault
