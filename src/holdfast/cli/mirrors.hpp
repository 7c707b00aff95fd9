#pragma once
// What the commands share that deal with mirrors: opening them, bringing them up to date, saying how they are.

#include "holdfast/base/json.hpp"
#include "holdfast/cli/session.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/vault/mirror.hpp"
#include "holdfast/vault/mirror_memory_file.hpp"

namespace holdfast::cli {

/// With its options, credentials, limits, and new attempts behind a network: as the repository itself is opened. Keys of
/// the repository's own storage are not used for a mirror that has a credentials_file. Errors carry the mirror's name.
Result<std::unique_ptr<storage::Backend>> open_mirror(const policy::MirrorConfig& mirror, Clock& clock);

/// Those of the configuration that `names` chooses; all when it is empty. usage for a name that is not there, and when
/// the configuration has no mirror at all.
Result<std::vector<policy::MirrorConfig>> chosen_mirrors(const policy::Config& config,
                                                         const std::vector<std::string>& names);

/// Name, kind, place and age of one mirror, as far as they can be seen now.
struct MirrorState {
    policy::MirrorConfig config;
    std::optional<Error> error;    // it cannot be looked at
    vault::MirrorLag lag;
    vault::MirrorMemory memory;
    std::string device;    // local ones: of its file system
    bool overdue = false;    // its last complete state is older than lag_max_hours, or there never was one
    bool stale = false;    // behind and overdue, or empty: it is no copy
    /// "up to date", "12 files (3.0 MiB) behind, last complete 5 hours ago", "unreachable".
    std::string text(Timestamp now) const;
    json::Value as_json() const;
};
MirrorState look_at_mirror(const Session& session, const policy::Config& config, vault::Repository& repository,
                           const policy::MirrorConfig& mirror);

/// Of a local location: the file system that it lies on, as text; empty for others.
std::string device_of(const std::string& location);

struct SyncArguments {
    bool dry_run = false, force = false;
    vault::ReadBack read_back = vault::ReadBack::sample;
};
/// One mirror brought up to date, its memory kept.
Result<vault::MirrorReport> sync_one(const Session& session, const policy::Config& config,
                                     vault::Repository& repository, const policy::MirrorConfig& mirror,
                                     const SyncArguments& arguments);
json::Value sync_json(const std::string& name, const Result<vault::MirrorReport>& report);
/// One line for people, and what should worry them.
std::string sync_text(const std::string& name, const vault::MirrorReport& report, bool dry_run);

/// After a backup: new files to every mirror, parity brought up to date. The backup itself is complete whatever happens
/// here; a mirror fails the run (exit 3) when it refuses, when files could not be sent, or when it is further behind than
/// its lag_max_hours; one that merely does not answer is a warning until then.
struct Onward {
    json::Value mirrors, parity;    // null: there are none
    std::vector<std::string> lines, warnings;
    bool failed = false;

    int exit(int of_backup) const;
    void add_to(json::Value& document) const;
    void print(const Session& session) const;
};
Onward send_onward(const Session& session, const policy::Config* config, vault::Repository& repository, bool no_mirror);

}    // namespace holdfast::cli
