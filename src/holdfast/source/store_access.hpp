#pragma once
// What a [[postgres]] or [[clickhouse]] table says about reaching the server. Reads the password where the configuration says it lies.

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::source {

/// Connects to no server yet; its own database is the maintenance database.
Result<db::PostgresAccess> postgres_access(const policy::PostgresConfig& config);

Result<db::clickhouse::Client> clickhouse_client(const policy::ClickHouseConfig& config);

}    // namespace holdfast::source
