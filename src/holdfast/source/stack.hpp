#pragma once
// One run over all components of a stack: one snapshot, with manifest.json in it.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::source {

/// The tag of what `holdfast watch` saved.
constexpr std::string_view k_on_change_tag = "on-change";

struct StackOptions {
    std::vector<std::string> only, without;    // component names or kinds ("postgres"); unknown ones: usage
    std::vector<std::string> tags;
    std::string program_version;
    bool full = false;    // no increments: every store is copied whole
    /// `watch`: a snapshot of one component after a change. It gets a path of its own, "/holdfast/<stack>/<component>", so that it
    /// never stands for the stack, neither as its latest state nor where `forget` keeps one a day.
    bool after_change = false;
    std::function<void(const vault::BackupProgress&)> progress;    // a few times a second
    std::function<void(std::string_view component, std::string_view event)> say;    // "redis", "started"
};

struct ComponentReport {
    std::string name, kind;
    bool complete = false;
    bool saved = false;    // complete, or files of which some could not be read, or damaged
    bool damaged = false;    // saved as it is, and no good copy
    std::optional<Error> error;
    std::vector<std::string> artefacts;    // its files and folders in the snapshot
    double seconds = 0;
    std::uint64_t bytes = 0, bytes_added = 0;    // plain: of what it saved, and of that new to the repository
    json::Value facts;

    /// As in the manifest.
    std::string_view status() const {
        return complete ? "complete" : damaged ? "damaged" : saved ? "incomplete" : "failed";
    }
};

struct StackReport {
    Id snapshot;
    bool complete = false;    // every component is
    std::vector<ComponentReport> components;
    format::SnapshotSummary summary;
    json::Value manifest;
};

/// The name in the configuration, else the host's.
std::string stack_name(const policy::Config& config);
/// Where copies are checked and archives unpacked: as configured, else $TMPDIR, else /var/tmp. It may not be there yet.
std::string scratch_folder(const policy::Config& config);

/// What the snapshots of a stack say was backed up, so that its runs find each other: "/holdfast/<stack>".
std::string stack_path(const policy::Config& config);
/// Of the snapshots that `watch` makes of one component.
std::string change_path(const policy::Config& config, const std::string& component);

/// Saves what succeeded even when a component failed: the manifest says so, and the snapshot is tagged "incomplete".
/// Only failures of the repository itself, or of all components, are errors of the call.
Result<StackReport> backup_stack(const policy::Config& config, vault::Repository& repository,
                                 const StackOptions& options);

/// The manifest of a snapshot; not_found for snapshots of plain paths.
Result<json::Value> read_manifest(const vault::Repository& repository, const vault::SnapshotEntry& snapshot);

}    // namespace holdfast::source
