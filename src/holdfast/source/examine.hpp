#pragma once
// `holdfast doctor`, store by store: asks each what it is like now and says what will hurt. Changes nothing but
// what apply_redis() is told to.
//
//   errors   none: a store that is away, refuses or is damaged is advice, with the store's own remedy as its cure
//   bounds   a server that does not answer is given up after its client's connect timeout

#include "holdfast/policy/advice.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::source {

using Advices = std::vector<policy::Advice>;

/// An error as advice.
policy::Advice advice_of(const std::string& subject, const Error& error,
                         policy::Severity severity = policy::Severity::trouble);

/// `profiles` of the accounts that trade through it (empty: none); `keys_saved` in the newest whole backup (0: not known).
Advices examine_redis(const policy::RedisConfig& config, const std::vector<std::string_view>& profiles,
                      std::uint64_t keys_saved);
Advices examine_postgres(const policy::PostgresConfig& config);
Advices examine_clickhouse(const policy::ClickHouseConfig& config);
/// `scratch` is where a copy is checked during a backup.
Advices examine_duckdb(const policy::DuckDbConfig& config, const std::string& scratch,
                       const policy::DoctorConfig& limits = {});
Advices examine_journal(const policy::JournalConfig& config, const policy::DoctorConfig& limits = {});
/// Of [[files]] and [[logs]].
Advices examine_files(const policy::FilesConfig& config);

/// Tells the server each setting of `advices`, then has it write its own configuration file, if it has one.
/// Returns when a first append-only file that begins with that is whole.
Status apply_redis(const policy::RedisConfig& config, const Advices& advices);

}    // namespace holdfast::source
