#pragma once
// The instance that a [[redis]] table names, as it is now: is it up, which files are its own; and stopping and starting it.

#include <optional>

#include "holdfast/base/clock.hpp"
#include "holdfast/db/redis.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/policy/config.hpp"
#include "holdfast/recovery/redis_files.hpp"

namespace holdfast::recovery {

struct RedisInstance {
    db::RedisLogin login;
    bool running = false;
    std::optional<std::uint64_t> keys;    // when it runs and lets us ask
    RedisFiles files;    // from the server where it tells, else from the configuration
};

/// Asks the server, if it is up, and the configuration. Errors: config when nobody knows the folder; denied; unreachable
/// when it is up but loading.
Result<RedisInstance> look_at_redis(const policy::RedisConfig& config);

/// A server that has its data answers, and soon: not one that loads, or waits at a pipe for what it is to load.
bool serves(const db::RedisLogin& login);

/// stop_command, or SHUTDOWN NOSAVE when there is none; returns when nothing answers any more.
Status stop_redis(const policy::RedisConfig& config, const RedisInstance& instance, Clock& clock);
/// start_command, on its way, and its end. `scratch` takes its output.
Result<os::Process> launch_redis(const policy::RedisConfig& config, const std::string& scratch);
Status await_launched(const policy::RedisConfig& config, os::Process& process, const std::string& scratch);
/// Both; returns when it has loaded its data.
Status start_redis(const policy::RedisConfig& config, const RedisInstance& instance, const std::string& scratch,
                   Clock& clock);

}    // namespace holdfast::recovery
