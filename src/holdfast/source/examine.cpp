#include "holdfast/source/examine.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "holdfast/db/clickhouse.hpp"
#include "holdfast/db/clickhouse_text.hpp"
#include "holdfast/db/duckdb_file.hpp"
#include "holdfast/db/duckdb_library.hpp"
#include "holdfast/db/duckdb_log_damage.hpp"
#include "holdfast/db/duckdb_wal.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/source/duckdb_states.hpp"
#include "holdfast/source/postgres_physical.hpp"
#include "holdfast/source/postgres_rights.hpp"
#include "holdfast/source/store_access.hpp"

namespace holdfast::source {
namespace {

using policy::Severity;

std::string mib(std::uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

// A physical copy needs a walsender, and no right to read a table.
Result<Advices> ask_cluster(const policy::PostgresConfig& config) {
    Advices advices;
    HF_TRY(const Secret password, db::read_secret(config.password));
    HF_TRY(auto connection,
           db::PostgresConnection::connect_for_replication({config.host, config.port, config.user, {}}, password));
    const auto setting = [&](const std::string& name) -> Result<std::string> {
        HF_DO(connection.start("SHOW " + name));
        HF_TRY(const auto answer, connection.next());
        HF_TRY([[maybe_unused]] const auto end, connection.next());
        return answer.rows.empty() ? std::string() : answer.rows[0].text(0);
    };
    if (connection.server_major() < k_physical_major_min)
        advices.push_back({Severity::trouble,
                           config.name,
                           fmt::format("PostgreSQL {} is too old for a physical backup", connection.server_major()),
                           "method = \"dump\" in [[postgres]]",
                           {},
                           {}});
    HF_TRY(const std::string slots, setting("max_replication_slots"));
    if (slots == "0")
        advices.push_back({Severity::warning,
                           config.name,
                           "it has no replication slots: a long backup may find the log that it needs removed",
                           "ALTER SYSTEM SET max_replication_slots = 10; and restart the server",
                           {},
                           {}});
    return advices;
}

Result<Advices> ask_postgres(const policy::PostgresConfig& config) {
    if (config.method == policy::PostgresMethod::physical) return ask_cluster(config);
    Advices advices;
    const auto say = [&](Severity severity, std::string text, std::string cure) {
        advices.push_back({severity, config.name, std::move(text), std::move(cure), {}, {}});
    };
    HF_TRY(const db::PostgresAccess access, postgres_access(config));
    HF_TRY(auto connection, access.connect(config.maintenance_database));
    // A pg_dump that is older than the server refuses it: better known now than at the next backup.
    if (const auto tool = db::find_postgres_tool("pg_dump", connection.server_major(), config.bin_folder); !tool)
        advices.push_back(advice_of(config.name, tool.error()));
    std::vector<std::string> names = config.databases;
    if (names.empty()) {
        HF_TRY(const auto all,
               connection.query("SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate "
                                "ORDER BY 1"));
        for (const auto& row : all)
            if (std::ranges::find(config.exclude_databases, row.text(0)) == config.exclude_databases.end())
                names.push_back(row.text(0));
    }
    HF_TRY(const auto missing, find_missing_rights(access, names, scope_of(config)));
    if (const auto readable = check_rights(missing); !readable)
        advices.push_back(advice_of(config.name, readable.error()));
    // NS-17: "dump timeout". pg_dump turns the timeouts off for itself; counting and digesting would be cut.
    HF_TRY(const auto timeout, connection.query("SELECT current_setting('statement_timeout'), current_user::text"));
    if (timeout[0].text(0) != "0")
        say(Severity::warning,
            fmt::format("statements of this role end after {}: the proof of a backup may be cut", timeout[0].text(0)),
            fmt::format("ALTER ROLE {} SET statement_timeout = 0", db::quote_identifier(timeout[0].text(1))));
    HF_TRY(
        const auto locks,
        connection.query(
            "SELECT a.pid, coalesce(l.relation::regclass::text, '?'), "
            "extract(epoch FROM now() - a.xact_start)::bigint / 60 FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
            "WHERE l.granted AND l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' "
            "AND a.xact_start < now() - interval '5 minutes' ORDER BY 3 DESC LIMIT 1"));
    if (!locks.empty())
        say(Severity::trouble,
            fmt::format("process {} has held {} locked for {} minutes: pg_dump waits for it", locks[0].text(0),
                        locks[0].text(1), locks[0].text(2)),
            fmt::format("SELECT pg_terminate_backend({})", locks[0].text(0)));
    HF_TRY(const auto durable,
           connection.query("SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') "
                            "AND setting = 'off' ORDER BY 1"));
    for (const auto& setting : durable)
        say(Severity::trouble, fmt::format("{} is off: a power failure destroys it", setting.text(0)),
            fmt::format("ALTER SYSTEM SET {} = on; SELECT pg_reload_conf()", setting.text(0)));
    HF_TRY(const auto age, connection.query("SELECT datname, age(datfrozenxid) FROM pg_database "
                                            "WHERE age(datfrozenxid) > 1000000000 ORDER BY 2 DESC LIMIT 1"));
    if (!age.empty())
        say(Severity::warning,
            fmt::format("database {} has not been vacuumed for {} transactions: at 2 billion it stops taking writes",
                        age[0].text(0), age[0].integer(1)),
            fmt::format("vacuumdb --freeze {}", age[0].text(0)));
    return advices;
}

Result<Advices> ask_clickhouse(const policy::ClickHouseConfig& config) {
    Advices advices;
    const auto say = [&](Severity severity, std::string text, std::string cure) {
        advices.push_back({severity, config.name, std::move(text), std::move(cure), {}, {}});
    };
    HF_TRY(auto client, clickhouse_client(config));
    // Each of these tables needs a right of its own; who may only read data is not asked about the server.
    if (const auto disks = client.rows("SELECT name, free_space, total_space FROM system.disks"))
        for (const auto& disk : *disks) {
            const auto free = std::strtoull(disk[1].c_str(), nullptr, 10),
                       total = std::strtoull(disk[2].c_str(), nullptr, 10);
            if (total != 0 && free < total / 10)
                say(Severity::warning, fmt::format("its disk '{}' has {} left of {}", disk[0], mib(free), mib(total)),
                    "drop old partitions, or give it room: merges and inserts stop when it is full");
        }
    if (const auto replicas = client.rows("SELECT database, table FROM system.replicas WHERE is_readonly"))
        for (const auto& replica : *replicas)
            say(Severity::trouble,
                fmt::format("{}.{} is read-only: its replica has lost ZooKeeper", replica[0], replica[1]),
                "SYSTEM RESTART REPLICA " + db::clickhouse::quoted_name(replica[0], replica[1]));
    if (const auto broken = client.rows("SELECT database, table, count() FROM system.detached_parts "
                                        "WHERE reason LIKE 'broken%' GROUP BY database, table"))
        for (const auto& table : *broken)
            say(Severity::warning,
                fmt::format("{} damaged parts of {}.{} were set aside", table[2], table[0], table[1]),
                fmt::format("holdfast restore latest --only {} --dry-run", config.name));
    return advices;
}

// HA-08: damage that DuckDB tells only when it opens the file, or never. `read` says what is wrong; twice, for a live file may
// change under the reader.
std::optional<Error> seen_twice(const std::function<std::optional<Error>()>& read) {
    const auto once = read();
    if (!once) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const auto again = read();
    return again && again->message == once->message ? again : std::nullopt;
}

std::optional<Error> damage_in_head(const std::string& path) {
    const auto file = os::open_file(path, O_RDONLY);
    if (!file) return file.error();
    const auto head = LiveDuckDb::read_header_bytes(file->get());
    if (!head) return head.error();
    const auto headers = db::parse_duckdb_headers(*head, path);
    if (!headers && headers.error().code == ErrorCode::corrupt) return headers.error();
    return std::nullopt;
}

std::optional<Error> damage_in_open_log(const std::string& path, std::uint64_t size_max) {
    const auto bytes = os::read_file(path, size_max);
    if (!bytes) return std::nullopt;    // none, or too long to read now
    const auto log = db::parse_duckdb_log(*bytes, path);
    if (!log) return log.error().code == ErrorCode::corrupt ? std::optional(log.error()) : std::nullopt;
    if (!log->damaged_at) return std::nullopt;
    return Error{
        ErrorCode::corrupt,
        fmt::format(
            "its log is damaged at byte {}, behind {} commits: at its next start DuckDB refuses the file, or loses "
            "the rest without a word",
            *log->damaged_at, log->commit_count),
        {}};
}

// A log that DuckDB would refuse, or drop in silence: to be known before the next start. While a program has the database open,
// it still knows all that is in it, and a checkpoint saves that.
void examine_log(const policy::DuckDbConfig& config, std::uint64_t size_max, Advices& advices) {
    const std::string path = config.path + ".wal";
    const auto file = os::open_file(config.path, O_RDONLY);
    if (!file) return;
    if (LiveDuckDb::is_open_somewhere(file->get())) {
        if (const auto damage = seen_twice([&] { return damage_in_open_log(path, size_max); }))
            advices.push_back({Severity::trouble,
                               config.name,
                               damage->message,
                               "CHECKPOINT; in the program that has it open",
                               {},
                               {}});
        return;
    }
    const auto start = LiveDuckDb::read_header_bytes(file->get());
    if (!start) return;
    const auto headers = db::parse_duckdb_headers(*start, config.path);
    if (!headers) return;
    const auto log = os::read_file(path, size_max);
    if (!log) return;
    const auto damage = db::examine_duckdb_log(*log, *headers, path);
    if (damage && damage->damaged())
        advices.push_back({Severity::trouble,
                           config.name,
                           damage->text(),
                           "holdfast duckdb repair " + config.name + " --replace",
                           {},
                           {}});
}

// What `holdfast duckdb watch` keeps, if it ever ran.
void examine_states(const policy::DuckDbConfig& config, Advices& advices) {
    const std::string path = os::absolute_path(config.path);
    const auto kept = DuckDbStates(duckdb_states_folder(path, config.states_folder)).list();
    if (!kept || (kept->states.empty() && kept->damaged == 0)) return;
    if (kept->damaged > 0)
        advices.push_back({Severity::warning,
                           config.name,
                           fmt::format("{} of its kept generations are damaged: its disk may be", kept->damaged),
                           "holdfast duckdb states " + config.name,
                           {},
                           {}});
    if (config.verify_every_minutes > 0 &&
        std::ranges::all_of(kept->states, [](const KeptStates& one) { return one.verified.is_null(); }))
        advices.push_back({Severity::warning,
                           config.name,
                           "none of its kept states was ever read through",
                           "holdfast duckdb watch --once " + config.name,
                           {},
                           {}});
}

}    // namespace

policy::Advice advice_of(const std::string& subject, const Error& error, Severity severity) {
    return {severity, subject, error.message, error.hint, {}, {}};
}

Advices examine_postgres(const policy::PostgresConfig& config) {
    auto asked = ask_postgres(config);
    return asked ? *std::move(asked) : Advices{advice_of(config.name, asked.error())};
}

Advices examine_clickhouse(const policy::ClickHouseConfig& config) {
    auto asked = ask_clickhouse(config);
    return asked ? *std::move(asked) : Advices{advice_of(config.name, asked.error())};
}

Advices examine_duckdb(const policy::DuckDbConfig& config, const std::string& scratch,
                       const policy::DoctorConfig& limits) {
    Advices advices;
    const std::string rebuild =
        config.rebuild.empty() ? "" : "; or, from other stores: holdfast duckdb rebuild " + config.name + " --replace";
    const auto file = os::status_of(config.path);
    if (!file)
        return {{policy::Severity::trouble,
                 config.name,
                 file.error().message,
                 "correct `path` in [[duckdb]] of holdfast.toml, or: holdfast restore latest --only " + config.name +
                     rebuild,
                 {},
                 {}}};
    const std::string restore = "holdfast restore latest --only " + config.name + " --replace" + rebuild;
    if (const auto damage = seen_twice([&] { return damage_in_head(config.path); }))
        advices.push_back({Severity::trouble, config.name, damage->message, restore, {}, {}});
    if (const auto library = db::duckdb_library_version(); !library)
        advices.push_back(advice_of(config.name, library.error(), Severity::warning));
    if (const auto log = os::status_of(config.path + ".wal");
        log && static_cast<std::uint64_t>(log->st_size) > std::uint64_t(limits.duckdb_log_max_mib) << 20)
        advices.push_back(
            {Severity::warning,
             config.name,
             fmt::format("its log has {}: nothing checkpoints it", mib(static_cast<std::uint64_t>(log->st_size))),
             "CHECKPOINT; in the program that has it open",
             {},
             {}});
    examine_log(config, std::uint64_t(limits.duckdb_log_max_mib) << 20, advices);
    examine_states(config, advices);
    // A copy of the file, and of its log, is opened to prove that it is whole.
    const auto needed = static_cast<std::uint64_t>(file->st_size);
    if (const auto room = os::free_space(scratch); room && *room < needed + needed / 4)
        advices.push_back(
            {Severity::trouble,
             config.name,
             fmt::format("{} has {} free, and its copy of {} is checked there", scratch, mib(*room), mib(needed)),
             "scratch_folder = \"…\" in holdfast.toml, on a disk with room",
             {},
             {}});
    return advices;
}

Advices examine_journal(const policy::JournalConfig& config, const policy::DoctorConfig& limits) {
    Advices advices;
    if (const auto names = os::list_folder(config.path); !names) return {advice_of(config.name, names.error())};
    if (const auto room = os::free_space(config.path); room && *room < std::uint64_t(limits.journal_free_min_mib) << 20)
        advices.push_back({Severity::trouble,
                           config.name,
                           fmt::format("its disk has {} left: without room the engine takes no signal", mib(*room)),
                           "make room on the disk of " + config.path,
                           {},
                           {}});
    if (os::exists(config.path + "/restored"))
        advices.push_back(
            {Severity::warning,
             config.name,
             "it came out of a backup, and no engine has settled with stores and broker since what happened later",
             "holdfast trade run",
             {},
             {}});
    return advices;
}

Advices examine_files(const policy::FilesConfig& config) {
    Advices advices;
    for (const std::string& path : config.paths)
        if (const auto there = os::status_of(path, false); !there)
            advices.push_back(advice_of(config.name, there.error()));
    return advices;
}

}    // namespace holdfast::source
