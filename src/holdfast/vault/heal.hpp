#pragma once
// Brings back what is damaged or missing in a repository: from mirrors, from parity, and for content from the live files
// themselves where these still have it.
//
//   finds     every index file, snapshot and key whose content does not match its name; packs that the index names and
//             that are missing, of another size, or (unless quick) of other content; index files that are gone although
//             snapshots need what only they name; config and keys before the repository can even be opened
//   safe      nothing takes the place of a file before its hash was checked; what it replaces is set aside until all
//             is well again; exclusive lock; may be stopped and run again
//   forgets   nothing on its own: snapshots and keys that a mirror has and the repository has not may have been removed
//             on purpose. Snapshots come back when asked for; keys only when none is left
//   source    docs/operations/heal.md

#include <string>
#include <vector>

#include "holdfast/vault/check.hpp"
#include "holdfast/vault/file_source.hpp"

namespace holdfast::vault {

struct HealOptions {
    std::vector<FileSource*> sources;    // the first that has a whole copy serves
    bool quick = false;    // packs: only existence and size
    bool missing_snapshots = false;    // bring back snapshots that a source has and the repository has not
    bool live_files = true;    // re-make lost content from this machine's files
    /// Where a path of a snapshot may lie on this machine now; without it: the path itself, and the path without its
    /// first part ("config/etc/app.toml").
    std::function<std::vector<std::string>(const std::string& path)> live_paths;
    std::string aside_folder;    // where replaced files are kept meanwhile
    std::function<void(std::uint64_t done, std::uint64_t total)> progress;    // packs looked at
};

struct HealReport {
    struct Healed {
        std::string what, from;    // "pack 1a2b…", "mirror far"; "12 blobs of pack 1a2b…", "live files"
    };
    std::vector<Healed> healed;
    std::vector<std::string> not_healed;    // files of the repository that no source had whole
    std::vector<std::string> lost_trees;    // folders whose list of names is lost, with the snapshots that had them
    std::vector<std::string> lost_files;    // content that is lost, with the snapshots that had it
    std::vector<std::string> snapshots_elsewhere;    // only a source has them: forgotten here, or lost
    std::string aside_folder;    // not empty: something was replaced and not all is well; the old files lie there
    std::vector<std::string> errors_left;    // what check says afterwards
    std::vector<std::string> source_errors;    // sources that could not be used
    bool well() const { return errors_left.empty() && not_healed.empty(); }
};

/// Opens a repository whose config or keys may be damaged, healing them first. `make_backend` may be called twice.
Result<std::unique_ptr<Repository>> open_healing(
    const std::function<Result<std::unique_ptr<storage::Backend>>()>& make_backend, const Secret& password,
    Clock& clock, const HealOptions& options, HealReport& report);

/// All the rest. Ends with a check; `report` may come from open_healing.
Status heal(Repository& repository, const HealOptions& options, HealReport& report);

}    // namespace holdfast::vault
