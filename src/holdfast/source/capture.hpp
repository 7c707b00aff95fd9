#pragma once
// What every store's capture has in common: it streams artefacts into one Backup and returns facts for the manifest.
//
//   contract   a capture that returns a value has streamed a whole, consistent copy and checked it as far as this store
//              can be checked; anything else is an error, and the run then drops what it had streamed below `folder`
//   threads    captures of different components may run at once; one capture is one thread

#include <functional>
#include <optional>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/base/json.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/vault/backup.hpp"

namespace holdfast::source {

/// The newest snapshot in which a component is whole.
struct EarlierCopy {
    Id tree;    // its root
    json::Value facts;    // of the component
};

struct CaptureContext {
    vault::Backup& backup;
    Clock& clock;
    std::string folder;    // of this component in the snapshot: "postgres"
    std::string scratch;    // a folder for verification copies, on a disk
    /// Looks for the copy that an increment may begin with; empty: take all anew.
    std::function<std::optional<EarlierCopy>()> earlier{};
};

/// Each returns the component's facts: versions, positions, counts and digests, as docs/formats/manifest.md lists them.
Result<json::Value> capture_postgres(const policy::PostgresConfig& config, CaptureContext& context);
Result<json::Value> capture_redis(const policy::RedisConfig& config, CaptureContext& context);
Result<json::Value> capture_duckdb(const policy::DuckDbConfig& config, CaptureContext& context);
Result<json::Value> capture_clickhouse(const policy::ClickHouseConfig& config, CaptureContext& context);
Result<json::Value> capture_journal(const policy::JournalConfig& config, CaptureContext& context);
Result<json::Value> capture_files(const policy::FilesConfig& config, CaptureContext& context);

}    // namespace holdfast::source
