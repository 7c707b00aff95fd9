#pragma once
// The two ways back: as plain files below a target, or into the stores that the configuration names.

#include <optional>

#include "holdfast/cli/options.hpp"
#include "holdfast/cli/session.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/vault/path_filter.hpp"

namespace holdfast::cli {

struct RestoreArguments {
    std::string snapshot, subfolder, target, overwrite, keys, conflict;
    std::string partition;
    std::vector<std::string> only, tables, renames;
    vault::PathPatterns patterns;
    struct {
        std::vector<std::string> include, iinclude, exclude, iexclude;
    } files;    // of patterns
    FilterArguments filter;
    bool dry_run = false, yes = false, replace = false, delete_others = false, sparse = false, verify = false;
    bool no_lock = false;
    bool resume = false, undo = false, commit = false, status = false;    // of an earlier restore into the stores
};

/// Shows the plan, asks (or takes --yes), restores, reports. exit 3: some components failed; 1: all did.
Result<int> restore_stores(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                           const vault::Repository& repository, const vault::SnapshotEntry& entry,
                           const std::optional<recovery::TableChoice>& tables);

/// --table, --partition, --rename: what they choose, once it is clear that they are about one ClickHouse; `only` then names it.
/// nullopt without them. Errors: usage.
Result<std::optional<recovery::TableChoice>> chosen_tables(RestoreArguments& arguments, const policy::Config& config);

/// What an earlier restore into the stores left: it goes on, what it replaced is put back, or removed; or where it is.
Result<int> resume_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config);
Result<int> undo_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config);
Result<int> commit_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config);
Result<int> restore_status(const Session& session, const policy::Config& config);

/// --keys: some keys of one Redis into the server as it runs.
Result<int> restore_keys(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                         const vault::Repository& repository, const vault::SnapshotEntry& entry);

}    // namespace holdfast::cli
