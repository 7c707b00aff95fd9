#pragma once
// A mirror: the same files as the repository, at another place. Same keys, so any program that reads the format opens it
// as it opens the repository itself.
//
//   order      keys, config, packs, index files, snapshots; each stage is safe there before the next begins. A sync that
//              is cut off anywhere leaves a mirror that checks, and the next one goes on with what is missing
//   damage     each file is hashed while it travels: a damaged one never gets its name at the mirror, and never replaces
//              a good one. Then neither index nor snapshots travel: they would promise what is not there
//   refuses    a place that holds another repository (exists), and one where a mirror was and is no more (not_found)
//   memory     one slice a connection
//   source     docs/operations/mirrors.md

#include <atomic>
#include <string>
#include <vector>

#include "holdfast/vault/mirror_plan.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::vault {

enum class ReadBack { none, sample, all };

struct MirrorOptions {
    MirrorRules rules;
    unsigned connections = 2;    // files on their way at once
    ReadBack read_back = ReadBack::sample;    // what of it is read again from the mirror after it was sent
    bool dry_run = false;
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress;
};

struct MirrorReport {
    std::uint64_t files_sent = 0, bytes_sent = 0;    // dry_run: would be
    std::uint64_t files_there = 0, bytes_there = 0;    // were there already
    std::uint64_t files_read_back = 0;
    std::uint64_t removed = 0, waiting = 0;    // deleted there; gone here but kept there for now
    std::uint64_t lost_at_source = 0;
    std::string suspicion;    // as MirrorPlan
    std::vector<std::string> faults;    // files that could not be sent, because they are damaged here
    bool complete() const { return faults.empty(); }
};

/// Brings the mirror up to date under a shared lock of the repository, and `memory` with it. Resumable: what is there
/// with the right size is not sent again.
Result<MirrorReport> sync_mirror(Repository& repository, storage::Backend& mirror, MirrorMemory& memory,
                                 const MirrorOptions& options);

struct MirrorLag {
    bool empty = false;    // nothing was ever sent there
    std::uint64_t files_missing = 0, bytes_missing = 0;
    std::uint64_t snapshots_here = 0, snapshots_there = 0, snapshots_missing = 0;
    std::uint64_t only_there = 0;    // gone here, waiting there
};
/// How far the mirror is behind. Lists both, reads nothing.
Result<MirrorLag> measure_lag(Repository& repository, storage::Backend& mirror);

struct VerifyOptions {
    unsigned connections = 2;
    unsigned percent = 100;    // of the packs; all else is always read
    bool repair = false;    // send what is damaged or missing again, from this repository
    bool append_only = false;    // nothing there can be replaced
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes_total)> progress;
};
struct VerifyReport {
    std::uint64_t files_read = 0, bytes_read = 0, repaired = 0;
    std::vector<std::string> errors;    // what is still wrong
};
/// Reads the mirror's files and compares each with its name, and the config with the repository's.
Result<VerifyReport> verify_mirror(Repository& repository, storage::Backend& mirror, MirrorMemory& memory,
                                   const VerifyOptions& options);

}    // namespace holdfast::vault
