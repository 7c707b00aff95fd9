#pragma once
// Index files for packs whose bytes are stored: written whenever enough blobs have come together, each after a sync(),
// so that an index never names a pack that a power failure could lose.
//
//   threads  add() from any thread; finish() once
//   errors   the backend's own; the first one stays and is returned by every later call

#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

/// What an index file names at most (a pack's blobs stay together). restic goes up to 50,000; but whoever writes or reads
/// such a file has ten times its text in memory for a moment, and this many blobs are 3 MB of text.
constexpr std::size_t k_index_blobs_max = 20'000;

class IndexWriter {
public:
    IndexWriter(Repository& repository, const RepositoryLock& lock) : repository_(repository), lock_(lock) {}

    /// A pack that was added before is left out: a repository may name one in two index files.
    Status add(format::IndexPack pack);
    /// Everything written and safe, names included.
    Status finish();
    const std::set<Id>& written() const { return written_; }    // after finish()

private:
    Status write();    // under mutex_

    Repository& repository_;
    const RepositoryLock& lock_;
    std::mutex mutex_;
    std::vector<format::IndexPack> packs_;
    std::set<Id> known_, written_;
    std::size_t blobs_ = 0;
    std::optional<Error> error_;
};

}    // namespace holdfast::vault
