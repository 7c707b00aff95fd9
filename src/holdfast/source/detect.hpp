#pragma once
// Looks what runs on this machine, so that `holdfast init` can write a configuration that already fits. Changes nothing
// and asks for no password.
//
//   bounds   each server is given half a second; the search for DuckDB files ends after `entries_max` entries (and says so)
//            and goes `depth_max` levels deep

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/policy/config.hpp"

namespace holdfast::source {

struct DetectOptions {
    std::vector<std::uint16_t> redis_ports{6379};
    std::vector<std::string> redis_socket_folders{"/run/redis", "/var/run/redis"};
    std::string redis_config_folder = "/etc/redis";
    std::vector<std::string> postgres_socket_folders{"/run/postgresql", "/var/run/postgresql"};
    std::vector<std::uint16_t> postgres_ports{5432};
    std::vector<std::uint16_t> clickhouse_ports{8123};
    std::vector<std::string> search;    // folders in which DuckDB files are looked for
    std::size_t entries_max = 50000;
    int depth_max = 6;
};

struct Detected {
    std::vector<policy::RedisConfig> redis;
    std::vector<policy::PostgresConfig> postgres;
    std::vector<policy::ClickHouseConfig> clickhouse;
    std::vector<policy::DuckDbConfig> duckdb;
    std::vector<std::string> notes;    // what the user should know: "redis at …:6379 wants a password"
};

/// Names are unique within the result.
Detected detect(const DetectOptions& options);

}    // namespace holdfast::source
