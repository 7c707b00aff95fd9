#pragma once
// The way back from a restore: what it replaced takes its place again, and the restored data goes aside; or what lies aside is
// removed for good.
//
//   order     the names under which the restored data will lie are chosen first (choose_undone_names) and made durable by the caller
//   again     each may be killed at any instant and called again: it sees from the stores how far it was
//   servers   those that run on files are stopped and started by the component's stop_command and start_command; locked where they
//             run and nobody told how to stop them
//   errors    those of the stores; config when the configuration no longer names the component

#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/restore_run.hpp"

namespace holdfast::recovery {

struct PutBackContext {
    const policy::Config& config;
    Clock& clock;
    std::string scratch;
    std::function<void(std::string_view)> say;    // never empty
};

void choose_undone_names(RunPart& part, Timestamp now);

/// What is put back has the stage `back` then; `changed` is called after each, to make that durable.
Status put_back(RunPart& part, const PutBackContext& context, const std::function<Status()>& changed);

enum class KeptWhere { anywhere, files };
/// Removes what is not in use: the old data or, after an undo, the restored. Of files alone it asks no server.
Status remove_kept(RunPart& part, const PutBackContext& context, const std::function<Status()>& changed,
                   KeptWhere where = KeptWhere::anywhere);

/// Bytes of what lies aside in files; 0 for what lies in servers.
std::uint64_t kept_bytes(const RunPart& part);
std::uint64_t kept_bytes(const Replacement& one);

// One store each.
Status put_back_path(const Replacement& one);
Status put_back_cluster(const policy::PostgresConfig& config, const Replacement& one, const PutBackContext& context);
Status put_back_database(const policy::PostgresConfig& config, const Replacement& one);
Status put_back_part(const policy::PostgresConfig& config, const Replacement& one);    // "relation", "schema"
Status put_back_redis(const policy::RedisConfig& config, const Replacement& one, const PutBackContext& context);
Status put_back_table(const policy::ClickHouseConfig& config, const Replacement& one);
Status drop_kept_database(const policy::PostgresConfig& config, const std::string& name);
Status drop_kept_part(const policy::PostgresConfig& config, const Replacement& one);
Status drop_kept_table(const policy::ClickHouseConfig& config, const std::string& database, const std::string& name);

}    // namespace holdfast::recovery
