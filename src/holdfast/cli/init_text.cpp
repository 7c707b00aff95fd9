#include "holdfast/cli/init_text.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace holdfast::cli {
namespace {

// A TOML basic string.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            out += fmt::format("\\{}", c);
        else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            out += c;
    }
    return out + "\"";
}

std::string postgres_text(const policy::PostgresConfig& config) {
    std::string text = fmt::format("[[postgres]]\nname = {}\n", quoted(config.name));
    text += config.host.empty() ? ""
                                : fmt::format("host = {}{}\n", quoted(config.host),
                                              config.host.starts_with('/') ? "    # the folder of its socket" : "");
    text += fmt::format(R"(port = {}
user = {}
# password_file = "/etc/holdfast/postgres.password"
# method = "dump"                       # or "physical": the whole cluster by its files; beside dumps, a table of its own
# databases = ["trading"]               # default: all but templates
# exclude_databases = ["scratch"]
# proof = "digest"                      # or "count" (quicker), "none": how a restore is proven equal

)",
                        config.port, quoted(config.user));
    return text;
}

std::string redis_text(const policy::RedisConfig& config) {
    std::string text = fmt::format("[[redis]]\nname = {}\n", quoted(config.name));
    text += config.socket.empty() ? fmt::format("host = {}\nport = {}\n", quoted(config.host), config.port)
                                  : fmt::format("socket = {}\n", quoted(config.socket));
    text +=
        "# password_file = \"/etc/holdfast/redis.password\"\n# For restores: where its files lie, and how it is "
        "stopped and started\n";
    text += config.data_folder.empty() ? "# data_folder = \"/var/lib/redis\"\n"
                                       : fmt::format("data_folder = {}\n", quoted(config.data_folder));
    text += fmt::format("db_file_name = {}\nappend_only = {}\n", quoted(config.db_file_name), config.append_only);
    if (config.append_only)
        text += fmt::format("append_folder_name = {}\nappend_file_name = {}\n", quoted(config.append_folder_name),
                            quoted(config.append_file_name));
    text += R"(# stop_command = ["systemctl", "stop", "redis-server"]
# start_command = ["systemctl", "start", "redis-server"]

)";
    return text;
}

std::string duckdb_text(const policy::DuckDbConfig& config) {
    return fmt::format("[[duckdb]]\nname = {}\npath = {}\n\n", quoted(config.name), quoted(config.path));
}

std::string clickhouse_text(const policy::ClickHouseConfig& config) {
    return fmt::format(R"([[clickhouse]]
name = {}
url = {}
user = {}
# password_file = "/etc/holdfast/clickhouse.password"
# databases = ["ticks"]                 # default: all but system ones

)",
                       quoted(config.name), quoted(config.url), quoted(config.user));
}

// What was not found stands there as an example, switched off.
std::string commented(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        out += line.empty() ? "\n" : line.starts_with('#') ? fmt::format("{}\n", line) : fmt::format("# {}\n", line);
    }
    return out;
}

template <class Config>
std::string section(std::string_view title, const std::vector<Config>& found, const Config& example,
                    std::string (*text)(const Config&)) {
    std::string all = fmt::format("# {}{}\n", title, found.empty() ? ": none was found here" : "");
    if (found.empty()) all += commented(text(example));
    for (const Config& config : found) all += text(config);
    return all;
}

std::string password_text(const InitText& what) {
    if (!what.password_file.empty()) return fmt::format("password_file = {}\n", quoted(what.password_file));
    if (!what.password_command.empty()) return fmt::format("password_command = {}\n", quoted(what.password_command));
    if (!what.password_keyring.empty()) return fmt::format("password_keyring = {}\n", quoted(what.password_keyring));
    if (!what.password_credential.empty())
        return fmt::format("password_credential = {}\n", quoted(what.password_credential));
    return "# password_file = \"/etc/holdfast/password\"    # or password_command; else HOLDFAST_PASSWORD_FILE, or the "
           "terminal is asked\n";
}

}    // namespace

std::string init_text(const InitText& what) {
    policy::DuckDbConfig duckdb;
    duckdb.name = "trades";
    duckdb.path = "/srv/data/trades.duckdb";
    policy::RedisConfig redis;
    redis.data_folder = "/var/lib/redis";
    std::string text = fmt::format(
        R"(# holdfast.toml: what is backed up, and where to. Written by `holdfast init`; edit it as you like.
# All keys are explained in docs/formats/configuration.md. Secrets never stand here, only the files that hold them.

stack = {}
# scratch_folder = "/var/tmp"           # where DuckDB copies are checked; needs room for the largest

[repository]
location = {}
{}# compression_level = 1                 # 0: none, up to 19
# pack_size_mib = 16
# memory_max_mib = 48

)",
        quoted(what.stack), quoted(what.location), password_text(what));
    text += section("PostgreSQL", what.found.postgres, policy::PostgresConfig{}, postgres_text);
    text += section("Redis", what.found.redis, redis, redis_text);
    text += section("DuckDB files", what.found.duckdb, duckdb, duckdb_text);
    text += section("ClickHouse", what.found.clickhouse, policy::ClickHouseConfig{}, clickhouse_text);
    text += R"(# Configuration folders, whole
# [[files]]
# name = "config"
# paths = ["/etc/redis", "/etc/postgresql"]
# exclude = ["*.tmp"]

# Logs: what was written in the last days
# [[logs]]
# name = "logs"
# paths = ["/var/log"]
# newer_than_days = 7

# Settings files of which each good change is kept (holdfast config watch)
# [[keep]]
# paths = ["/etc/mt5/config/ea.json", "/srv/trading/.env"]
# on_invalid = "report"                 # or "restore": the newest good version takes the place of a bad one
)";
    return text;
}

}    // namespace holdfast::cli
