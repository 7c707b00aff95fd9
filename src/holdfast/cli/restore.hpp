#pragma once
// The two ways back: as plain files below a target, or into the stores that the configuration names.

#include <optional>

#include "holdfast/cli/options.hpp"
#include "holdfast/cli/session.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/vault/path_filter.hpp"

namespace holdfast::cli {

struct RestoreArguments {
    std::string snapshot, subfolder, target, overwrite, keys, conflict, expiry, database, partition, time;
    std::vector<std::string> only, tables, schemas, roles, renames;    // the last four: of a database that runs
    vault::PathPatterns patterns;
    struct {
        std::vector<std::string> include, iinclude, exclude, iexclude;
    } files;    // of patterns
    FilterArguments filter;
    bool look = false, dry_run = false, yes = false, replace = false, delete_others = false, sparse = false,
         verify = false;
    bool no_lock = false;
    std::int64_t jobs = 0;    // 0: as the configuration says
    bool resume = false, undo = false, commit = false, status = false;    // of an earlier restore into the stores
};

/// --expiry, as_now without it.
recovery::Expiry expiry_of(const RestoreArguments& arguments);

/// Shows the plan, asks (or takes --yes), restores, reports. exit 3: some components failed; 1: all did.
Result<int> restore_stores(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                           const vault::Repository& repository, const vault::SnapshotEntry& entry,
                           const std::optional<recovery::TableChoice>& tables);

/// Which store --table, --schema, --role and --partition are about; of neither kind without them.
struct TablesOf {
    const policy::PostgresConfig* postgres = nullptr;    // restore_tables()
    std::optional<recovery::TableChoice> clickhouse;    // restore_stores()
};
/// `only` then names a ClickHouse. Errors: usage, when none or more than one fits.
Result<TablesOf> choose_tables(RestoreArguments& arguments, const policy::Config& config);

/// What an earlier restore into the stores left: it goes on, what it replaced is put back, or removed; or where it is.
Result<int> resume_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config);
Result<int> undo_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config);
Result<int> commit_restore(const Session& session, const RestoreArguments& arguments, const policy::Config& config);
Result<int> restore_status(const Session& session, const policy::Config& config);

/// Where the disk is short by [restore] keep_free_mib, what passed restores kept there goes. How many; what fails is only a warning.
std::size_t make_room(const Session& session, const policy::Config& config);

/// --table, --schema, --role: a part of a database into the one that runs.
Result<int> restore_tables(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                           const policy::PostgresConfig* postgres, const vault::Repository& repository,
                           const vault::SnapshotEntry& entry);

/// Which Redis of the configuration `option` is about. Errors: usage, when none or more than one fits.
Result<const policy::RedisConfig*> chosen_redis(const policy::Config& config, const std::vector<std::string>& only,
                                                std::string_view option);
/// What the snapshot's manifest tells of it; not_found: it has no whole copy.
Result<json::Value> redis_facts(const vault::Repository& repository, const vault::SnapshotEntry& entry,
                                const std::string& name);

/// --look: one Redis in a server of our own, to read, until a signal. `lock` is let go once all is read.
Result<int> restore_look(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                         const vault::Repository& repository, const vault::SnapshotEntry& entry,
                         std::unique_ptr<vault::RepositoryLock> lock);

/// --keys: some keys of one Redis into the server as it runs.
Result<int> restore_keys(const Session& session, const RestoreArguments& arguments, const policy::Config& config,
                         const vault::Repository& repository, const vault::SnapshotEntry& entry);

}    // namespace holdfast::cli
