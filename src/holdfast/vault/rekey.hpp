#pragma once
// A new master key: everything is sealed anew into a new repository. The old one is read and never changed; it may be
// given up once the new one has been verified.
//
//   shape    the target has the source's chunker polynomial, so that later backups find their blobs in it
//   resume   run it again: what is in the target is kept, what came to the source since is added
//   verified the target's check reads all data; every blob that the source's snapshots need is in the target and no
//            other; every snapshot of the source has its equal there
//   errors   exists when the target is a repository with another polynomial or with snapshots that the source lacks;
//            mismatch when the verification fails

#include "holdfast/vault/copy.hpp"

namespace holdfast::vault {

enum class RekeyStep { copy, verify };

struct RekeyOptions {
    CopyOptions copy{};
    std::function<void(RekeyStep, std::uint64_t done, std::uint64_t total)> progress{};
};

struct RekeyReport {
    std::uint64_t snapshots = 0, snapshots_copied = 0;
    std::uint64_t blobs = 0, bytes_added = 0, bytes_stored = 0;    // sealed anew by this run
    std::uint64_t blobs_verified = 0, bytes_verified = 0;
};

/// `target` has been opened or made with format::Config::polynomial of `source`. Backups into `source` may go on
/// meanwhile; those that came during the verification are left for the next run.
Result<RekeyReport> rekey(Repository& source, Repository& target, const RekeyOptions& options = {});

}    // namespace holdfast::vault
