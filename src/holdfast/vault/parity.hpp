#pragma once
// Parity for a repository that has no mirror, or besides one: files beside it from which damaged and lost ones are put
// together again, as long as no more than the stated share of them is hurt.
//
//   groups    up to 50 files of one kind and about one size; a share of parity files for each, at least one, and two for
//             the small files (config, keys, snapshots) without which all others are worth nothing
//   order     new parity files are whole and safe before the ones that they replace go
//   keeps     groups whose lost member the index still names: they are what brings it back. Of index files, snapshots and
//             keys that are gone, the old groups for 14 days
//   source    docs/formats/parity.md, docs/operations/parity.md

#include <string>
#include <vector>

#include "holdfast/vault/parity_set.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

struct ParityOptions {
    std::string folder;
    unsigned percent = 10;    // parity files a hundred members
    std::uint32_t block_size = 128u << 10;
    Duration keep_old = std::chrono::hours(24 * 14);
    bool reread = false;    // also check every block of the parity files that are there; make damaged groups anew
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress;
};

struct ParityReport {
    std::uint64_t files = 0, bytes = 0;    // covered
    std::uint64_t parity_files = 0, parity_bytes = 0;
    std::uint64_t groups_made = 0, groups_kept = 0;
    std::vector<std::string> damaged;    // files of the repository that could not be covered
    std::vector<std::string> lost;    // files that the index names and that are gone: `heal` brings them back
};

/// Makes or brings up to date, under a shared lock.
Result<ParityReport> update_parity(Repository& repository, const ParityOptions& options);

struct ParityCheck {
    std::uint64_t groups = 0, files = 0, bytes_read = 0;
    std::uint64_t uncovered = 0;    // files of the repository that no group covers
    std::vector<std::string> repairable, beyond_repair;    // each names a file and its group's state
    bool ok() const { return repairable.empty() && beyond_repair.empty() && uncovered == 0; }
};
/// Reads every covered file and every parity file. Needs no password.
Result<ParityCheck> verify_parity(storage::Backend& backend, const std::string& folder,
                                  const std::function<void(std::uint64_t done, std::uint64_t total)>& progress = {});

/// Where parity lies when nobody says: "parity" inside a repository on this machine; empty for other storage.
std::string parity_folder(const std::string& configured, const std::string& repository_location);

}    // namespace holdfast::vault
