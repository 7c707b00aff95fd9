#pragma once
// What every store's restore has in common.
//
//   contract   look before acting: plan_*() changes nothing and says what restore_*() would do; an existing database,
//              file or data folder is refused (ErrorCode::exists, with the options in the hint) unless `existing` says
//              to switch; then the new one is made and checked beside the live one and switched by rename, the old one
//              stays aside under a name that is told. Killed at any instant: the old one or the whole new one is there.
//   proof      counts and digests of the restored store are compared with the manifest's facts; mismatch is an error
//   threads    one restore is one thread

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/replacement.hpp"
#include "holdfast/vault/repository.hpp"

namespace holdfast::recovery {

enum class WhenExisting { refuse, switch_over };

/// Some tables of a store instead of all of it.
struct TableChoice {
    std::vector<std::string> patterns;    // "database.table", * and ? fit anything; each must fit one
    std::string partition;    // ClickHouse: only this partition, by its ID ("202611")
    /// From and to: "database.table", or "database" for all tables of it. Each must be of what is chosen.
    std::vector<std::pair<std::string, std::string>> renames;

    bool operator==(const TableChoice&) const = default;
};
/// What a Redis restore does with keys that were to expire. as_now: those whose time has passed since are gone; shifted: each
/// lives on for as long as it had left when it was saved; never: nothing expires any more.
enum class Expiry { as_now, shifted, never };

struct RestoreContext {
    const vault::Repository& repository;
    const vault::SnapshotEntry& snapshot;
    const json::Value& facts;    // the manifest's facts of this component
    Clock& clock;
    std::string folder;    // of the component in the snapshot
    std::string scratch;    // for temporary files, on a disk
    WhenExisting existing = WhenExisting::refuse;
    std::function<void(std::string_view)> say;    // progress, a sentence at a time; never empty
    const TableChoice* tables = nullptr;    // null: all; only of stores that can (ClickHouse)
    Expiry expiry = Expiry::as_now;
    WillReplace will_replace = {};    // told of each live thing before it is put aside; may be empty
    std::optional<Timestamp> time = {};    // of a DuckDB: as it was then, and not as it was backed up

    Status replaces(const Replacement& one) const { return will_replace ? will_replace(one) : Status(); }
};

struct PlanStep {
    std::string what;    // "create database trading_restored and load 120 MiB"
    std::uint64_t bytes = 0;    // read from the repository
    bool replaces = false;    // something live would be put aside
};

/// What the restore would do to the store as it is now. Errors: unreachable, denied, exists (when refused) …
Result<std::vector<PlanStep>> plan_postgres(const policy::PostgresConfig& config, const RestoreContext& context);
Result<std::vector<PlanStep>> plan_redis(const policy::RedisConfig& config, const RestoreContext& context);
Result<std::vector<PlanStep>> plan_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context);
Result<std::vector<PlanStep>> plan_clickhouse(const policy::ClickHouseConfig& config, const RestoreContext& context);
Result<std::vector<PlanStep>> plan_journal(const policy::JournalConfig& config, const RestoreContext& context);
Result<std::vector<PlanStep>> plan_files(const policy::FilesConfig& config, const RestoreContext& context);

/// Each returns what was restored and compared, per database or table, and where the old one is kept.
Result<json::Value> restore_postgres(const policy::PostgresConfig& config, const RestoreContext& context);
Result<json::Value> restore_redis(const policy::RedisConfig& config, const RestoreContext& context);
Result<json::Value> restore_duckdb(const policy::DuckDbConfig& config, const RestoreContext& context);
Result<json::Value> restore_clickhouse(const policy::ClickHouseConfig& config, const RestoreContext& context);
Result<json::Value> restore_journal(const policy::JournalConfig& config, const RestoreContext& context);
Result<json::Value> restore_files(const policy::FilesConfig& config, const RestoreContext& context);

}    // namespace holdfast::recovery
