#pragma once
// holdfast.toml: what is protected, where it goes, and how. Pure: text in, a checked value out.
//
//   errors   config, as "holdfast.toml:12:3: unknown key 'databses' in [[postgres]]; did you mean 'databases'?"
//   rules    every key has a default; sizes and times carry their unit in the key's name; unknown keys are errors;
//            secrets are never values here, only the files or commands that hold them

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/result.hpp"
#include "holdfast/base/secret_source.hpp"
#include "holdfast/policy/copies.hpp"
#include "holdfast/policy/document.hpp"

namespace holdfast::policy {

using holdfast::SecretSource;

struct RepositoryConfig {
    std::string location;    // path, or scheme:… (docs/formats/locations.md)
    std::vector<std::string> options;    // of the storage: "s3.region=eu-central-1"
    std::string ca_file;    // PEM; instead of the system's certificates
    std::uint32_t limit_upload_kib = 0, limit_download_kib = 0;    // a second; 0: no limit
    std::uint32_t first_contact_max_seconds = 25;    // how long a storage is asked that never answered; 0: once
    SecretSource password;    // password_file, …_command, …_keyring or …_credential
    std::uint32_t password_max_age_days = 90;    // 0: never due (policy/password_age.hpp)
    int compression_level = 1;
    std::uint32_t pack_size_mib = 16;
    std::uint32_t memory_max_mib = 48;
    std::uint32_t parity_percent = 0;    // share of damage that parity repairs; 0: none
    std::string parity_folder;    // empty: "parity" inside a local repository
};

/// A copy of the repository at another place (docs/operations/mirrors.md).
struct MirrorConfig {
    std::string name;
    std::string location;
    StorageKind kind = StorageKind::disk;    // guessed from the location
    bool off_site = false;    // guessed from the location
    std::uint32_t grace_days = 14;    // what was deleted here goes there only after this time
    bool append_only = false;    // nothing ever goes there
    std::uint32_t lag_max_hours = 24;    // an older mirror fails `backup` and does not count as a copy
    std::uint32_t connections = 2;
    std::uint32_t limit_upload_kib = 0, limit_download_kib = 0;    // a second; 0: no limit
    std::uint32_t first_contact_max_seconds = 25;    // how long it is asked before it has answered; 0: once
    std::vector<std::string> options;    // as --option: "s3.region=eu-central-1"
    std::string credentials_file;    // NAME=value lines for the environment variables that the storage asks for
    std::string ca_file;
};

/// How content is proven equal after a restore.
enum class Proof { digest, count, none };

/// How a cluster is taken: dumps of its databases by pg_dump, or its files over the replication protocol.
enum class PostgresMethod { dump, physical };

struct PostgresConfig {
    std::string name = "postgres";    // component and folder in the snapshot
    std::string host;    // empty: the local socket
    std::uint16_t port = 5432;
    std::string user = "postgres";
    SecretSource password;
    PostgresMethod method = PostgresMethod::dump;
    std::string maintenance_database = "postgres";
    std::vector<std::string> databases;    // empty: all but templates
    std::vector<std::string> exclude_databases;
    std::vector<std::string> tables, schemas, exclude_tables;    // patterns (source/postgres_selection.hpp)
    bool on_change = false;    // `holdfast watch` backs it up right after a change
    std::uint32_t look_again_seconds = 5;    // how often it looks, where nothing tells it
    bool globals = true;
    Proof proof = Proof::digest;
    std::string bin_folder;    // where pg_dump (postgres) lies; empty: found by the server's version
    std::uint32_t restore_jobs =
        0;    // connections that a restore of a dump uses at once; 0: as many as there are processors, 4 at most
    // For restores of a physical copy:
    std::string data_folder;    // the cluster's; empty: asked from the server when it is up
    std::string tablespace_folder;    // tablespaces go below it; empty: beside where each was
    std::vector<std::string> stop_command, start_command;    // argv; empty: the user stops and starts it
    std::string owner;    // whose the files shall be; empty: kept as the folder's owner
};

struct RedisConfig {
    std::string name = "redis";
    std::string host = "127.0.0.1";
    std::uint16_t port = 6379;
    std::string socket;    // instead of host and port
    std::string user;
    SecretSource password;
    bool tls = false;
    std::string ca_file;    // PEM; empty: what the system trusts
    std::string tls_certificate, tls_key;    // ours, PEM; empty: none
    // For restores into this instance:
    std::string data_folder;    // its `dir`; empty: asked from the server when it is up
    std::string db_file_name = "dump.rdb";
    bool append_only = false;    // it runs with appendonly yes
    std::string append_folder_name = "appendonlydir";
    std::string append_file_name = "appendonly.aof";
    std::vector<std::string> stop_command, start_command;    // argv; empty: the user stops and starts it
    std::string owner;    // files are given to this user; empty: kept as the folder's owner
    // For backups: increments by the replication stream in between.
    std::uint32_t full_every_hours = 24;    // 0: every backup is a full one
    std::uint32_t increments_max_percent = 50;    // of the RDB they began with
};

/// Where rows of a DuckDB database are to be had when it is beyond repair (docs/operations/duckdb.md).
struct DuckDbRebuildConfig {
    std::string
        table;    // "trades" or "schema.trades"; empty: each one that `from`, a ClickHouse, has by the same name
    std::string from;    // of [[clickhouse]] or [[redis]]
    // ClickHouse: a table ("database.table"; empty: of the same name), or a query.
    std::string source, query;
    // Redis: hashes by a pattern of their keys, or a stream; `fields` are read (empty: those named as the table's columns).
    std::string keys, stream;
    std::vector<std::string> fields;
    std::string select = "*";    // SELECT list of DuckDB over what the source gives, all of it text
    std::string version;    // the column by which a row is newer; empty: the source's row counts
};

struct DuckDbConfig {
    std::string name;    // default: the file's name without .duckdb, .ddb or .db; artefacts are duckdb/<name>.duckdb
    std::string path;
    Proof proof = Proof::digest;
    // For `holdfast duckdb watch`:
    std::uint32_t keep_every_milliseconds = 500;
    std::uint32_t keep_minutes = 60;    // how long a kept state can be had
    std::uint32_t keep_last = 10, keep_verified = 2;    // however old: the newest states, the newest that were verified
    std::uint32_t verify_every_minutes = 5;    // 0: never
    std::string states_folder;    // empty: ".holdfast" beside the file
    std::vector<DuckDbRebuildConfig> rebuild;    // in the order in which they are read
};

/// How parts of tables of the MergeTree family are taken.
enum class ClickHouseMethod {
    http,    // as rows, from anywhere
    freeze,    // as files, on the server's own host; where that cannot be, as rows
    backup,    // as files, by the server's own BACKUP into a folder that both reach; where that cannot be, as rows
};

struct ClickHouseConfig {
    std::string name = "clickhouse";
    std::string url = "http://127.0.0.1:8123";
    std::string user = "default";
    SecretSource password;
    std::vector<std::string> databases;    // empty: all but system ones
    std::vector<std::string> exclude_databases;
    Proof proof = Proof::digest;
    ClickHouseMethod method = ClickHouseMethod::http;
    std::string backup_folder;    // of `backup`: below one of the server's <backups><allowed_path>
};

/// The trade journal of one account (docs/formats/journal.md).
struct JournalConfig {
    std::string name = "journal";
    std::string path;    // its folder
};

/// The way to the broker of an account.
struct TradeBrokerConfig {
    std::string kind;    // "paper" or "fix"
    std::string address;    // paper: host:port, or the path of a Unix socket
    // fix (broker/fix.hpp):
    std::string host;
    std::uint16_t port = 0;
    std::string sender, target;    // CompIDs
    std::string account, username;
    SecretSource password;
    std::string folder;    // of the session; empty: "fix" in the journal's folder
    std::uint32_t heartbeat_seconds = 30;
    bool mass_status = false;
    std::string session_start, session_end;    // "HH:MM:SS" UTC
};

/// Where producers reach the engine of an account besides its Unix socket and Redis.
struct TradeHttpConfig {
    std::string listen;    // "127.0.0.1:8791"; empty: nowhere
    SecretSource token;    // token_file, …_command, …_keyring or …_credential
    std::string tls_certificate, tls_key;    // PEM
};

/// The trade engine of one account (docs/trade-path.md). It names components: these say where a store is and how to log in.
struct TradeConfig {
    std::string account;    // letters, digits, '_', '-', '.'
    std::string instance;    // empty: the host's name
    std::string profile = "ea";    // "ea" or "mt5": how links and stores that fail are treated
    std::string journal = "journal";
    std::string redis, duckdb, clickhouse;    // empty: this account does without
    std::string lease;    // of [[postgres]]; empty: only one instance may ever run
    std::string lease_database;    // empty: the component's maintenance database
    std::uint32_t lease_seconds = 10;
    std::vector<std::string> redis_sentinels;    // "host:port"; the component's own address is then not used
    std::string redis_master = "mymaster";
    std::string clickhouse_database = "holdfast";
    std::string socket;    // for commands and local producers; empty: "engine.sock" in the journal's folder
    std::uint32_t signal_ttl_seconds = 30;
    std::uint32_t retry_max_seconds = 3600;    // no attempt begins later after the signal was taken
    std::uint32_t duplicates_days = 90;    // for so long a UUID is known again
    bool resume_remainder = true;    // what the broker closed partially filled goes on as a child order
    unsigned realtime_priority = 0;    // 1 to 99: the engine goes before everything without one; 0: none
    TradeBrokerConfig broker;
    TradeHttpConfig http;
};

struct FilesConfig {
    std::string name;    // "config", "logs": component and folder
    std::vector<std::string> paths;
    std::vector<std::string> exclude;
    std::uint32_t newer_than_days = 0;    // 0: all; logs: 7
};

/// Configuration files whose changes are kept as versions (docs/formats/configuration-versions.md).
struct KeepConfig {
    std::vector<std::string> paths;
    std::optional<DocumentFormat> format;    // nullopt: by each file's name
    std::string profile;    // "ea": 3 versions, 10 KiB; "mt5": 5 versions, looked at every 5 minutes in any case
    std::uint32_t versions = 5;
    std::uint32_t size_max_kib = 1024;
    std::string versions_folder;    // empty: ".holdfast" beside each file
    bool restore_invalid = false;    // on_invalid = "restore"
    std::uint32_t settle_milliseconds = 250;
    std::uint32_t look_again_seconds = 60;
};

/// What happens around a restore into the stores (docs/operations/restore-everything.md). Commands are argv, run without a shell.
struct RestoreConfig {
    using Command = std::vector<std::string>;
    Command pause_command, resume_command;    // whatever else trades is told to stop, and to go on
    std::vector<Command> stop_commands, start_commands;    // programs that use the stores, in order
    std::uint32_t command_max_seconds = 600;    // one of these that takes longer has failed
    std::string
        trading_flag_redis;    // of [[redis]]; the key is set to false there, and to true again; empty: no such key
    std::string trading_flag_key = "TRADING_ENABLED";
    // NS-10
    std::vector<Command> check_commands;
    std::vector<std::string> health_urls;    // each must answer 2xx
    std::string recent_trades_query, recent_trades_database;    // one number, larger than 0
    std::string recent_trades_postgres;    // of [[postgres]]; empty: the first
    std::uint32_t check_wait_seconds = 60;    // what was just started may need some time until it answers
    std::uint32_t keep_free_mib = 1024;    // with less, files that restores have kept aside go; 0: never
    // NS-11
    std::uint32_t rto_database_seconds = 900, rto_redis_seconds = 300, rto_config_seconds = 300,
                  rto_whole_seconds = 1800;
};

/// What `doctor` thinks is too much, or too little.
struct DoctorConfig {
    std::uint32_t backup_age_max_hours = 24;    // NS-14
    std::uint32_t backup_max_minutes = 60;    // NS-17: a backup that takes longer than the hour until the next
    std::uint32_t repository_free_min_mib = 1024;
    std::uint32_t journal_free_min_mib = 512;    // room for the next segments
    std::uint32_t duckdb_log_max_mib = 256;    // HA-08, EA-10
    std::uint32_t kept_aside_max_days = 7;    // what a restore replaced
};

struct Config {
    std::string stack;    // default: the host's name
    RepositoryConfig repository;
    std::string state_folder;    // what is remembered between runs; empty: $XDG_STATE_HOME/holdfast
    std::string scratch_folder;    // for verification copies; empty: $TMPDIR or /var/tmp
    std::vector<PostgresConfig> postgres;
    std::vector<RedisConfig> redis;
    std::vector<DuckDbConfig> duckdb;
    std::vector<ClickHouseConfig> clickhouse;
    std::vector<JournalConfig> journals;
    std::vector<FilesConfig> files;
    std::vector<FilesConfig> logs;    // as files, newer_than_days = 7 by default
    std::vector<MirrorConfig> mirrors;
    std::vector<TradeConfig> trade;
    std::vector<KeepConfig> keep;
    RestoreConfig restore;
    DoctorConfig doctor;
};

/// `file_name` is for messages only. Component names must be unique, and good folder names ([a-z0-9_-]).
Result<Config> parse_config(std::string_view text, std::string_view file_name);

/// A component's name from its file: "/srv/Trades 1.duckdb" becomes "trades_1".
std::string duckdb_name_from_path(std::string_view path);

/// The closest of `known` to `word` (edit distance at most 2, or a third of its length); empty if none.
std::string suggest(std::string_view word, const std::vector<std::string_view>& known);

}    // namespace holdfast::policy
