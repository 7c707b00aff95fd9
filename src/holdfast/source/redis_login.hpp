#pragma once
// What a [[redis]] table says about reaching the server. Reads the password where the configuration says it lies.

#include "holdfast/db/redis.hpp"
#include "holdfast/policy/config.hpp"

namespace holdfast::source {

Result<db::RedisLogin> redis_login(const policy::RedisConfig& config);

}    // namespace holdfast::source
