#include "holdfast/recovery/postgres_proof.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "holdfast/db/postgres_tools.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/scratch_folder.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;

constexpr Duration k_poll = 20ms, k_stop_max = 10min, k_quit_max = 10s;
constexpr unsigned k_readers_max = 4;

// All regular files below `folder`, by their paths relative to the data folder.
Status list_files(const std::string& folder, const std::string& prefix, std::vector<std::string>& to) {
    HF_TRY(const auto names, os::list_folder(folder));
    for (const std::string& name : names) {
        const std::string path = folder + "/" + name, inner = prefix + name;
        HF_TRY(const struct stat status, os::status_of(path, prefix == "pg_tblspc/"));
        if (S_ISDIR(status.st_mode)) {
            HF_DO(list_files(path, inner + "/", to));
        } else if (S_ISREG(status.st_mode)) {
            to.push_back(inner);
        }
    }
    return {};
}

Result<source::BackupFile> sum_up(const std::string& path, Bytes& buffer) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    source::BackupFile sum;
    for (;;) {
        HF_TRY(const std::size_t n, os::read_some(file.get(), buffer));
        if (n == 0) return sum;
        sum.size += n;
        sum.crc = source::crc32c_of(ByteView(buffer).first(n), sum.crc);
    }
}

Result<source::BackupFiles> sum_up_all(const std::string& folder, const std::vector<std::string>& paths) {
    std::mutex mutex;
    source::BackupFiles found;
    std::optional<Error> error;
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
        Bytes buffer(std::size_t(1) << 20);
        for (std::size_t i = next++; i < paths.size(); i = next++) {
            auto sum = os::stop_requested() ? Result<source::BackupFile>(fail(ErrorCode::cancelled, "stopped"))
                                            : sum_up(folder + "/" + paths[i], buffer);
            const std::scoped_lock lock(mutex);
            if (error) return;
            if (sum)
                found.emplace(paths[i], *sum);
            else
                error = std::move(sum).error();
        }
    };
    {
        std::vector<std::jthread> readers;
        for (unsigned i = 0; i < std::clamp(std::thread::hardware_concurrency(), 1u, k_readers_max); ++i)
            readers.emplace_back(work);
    }
    if (error) return fail(*std::move(error));
    return found;
}

// A page of the log begins with magic u16, info u16, timeline u32 and its own place u64, each little endian.
Result<bool> begins_at(const std::string& path, std::uint64_t place) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    Bytes head(16);
    HF_TRY(const std::size_t got, os::pread_full(file.get(), head, 0));
    return got == head.size() && load_le<std::uint64_t>(head.data() + 8) == place;
}

std::uint64_t place_of(const std::string& segment, std::uint64_t segment_size) {
    const std::uint64_t high = std::stoull(segment.substr(8, 8), nullptr, 16);
    const std::uint64_t low = std::stoull(segment.substr(16, 8), nullptr, 16);
    return (high << 32) + low * segment_size;
}

// What the cluster remembers of its settings: a server with smaller ones could not replay all of its log, or would drop
// what the others keep (commit times).
Result<std::vector<std::string>> settings_of(const std::string& data_folder, const ClusterServer& server) {
    HF_TRY(const auto tool, db::find_postgres_tool("pg_controldata", server.major, server.bin_folder));
    os::Command command;
    command.arguments = {tool.path, "-D", data_folder};
    command.environment = {{"LC_ALL", "C"}};
    command.user = server.owner.name;
    command.folder = "/";
    HF_TRY(const auto done, os::run(std::move(command)));
    if (!done.status.ok()) return fail(ErrorCode::corrupt, fmt::format("pg_controldata: {}", done.errors));
    const std::map<std::string_view, std::string> wanted = {
        {"wal_level setting:", "wal_level"},
        {"wal_log_hints setting:", "wal_log_hints"},
        {"max_connections setting:", "max_connections"},
        {"max_worker_processes setting:", "max_worker_processes"},
        {"max_wal_senders setting:", "max_wal_senders"},
        {"max_prepared_xacts setting:", "max_prepared_transactions"},
        {"max_locks_per_xact setting:", "max_locks_per_transaction"},
        {"track_commit_timestamp setting:", "track_commit_timestamp"},
    };
    std::vector<std::string> settings;
    for (const auto& [label, name] : wanted) {
        const std::size_t at = done.output.find(label);
        if (at == std::string::npos) continue;
        std::string value = done.output.substr(at + label.size());
        value.resize(std::min(value.find('\n'), value.size()));
        value.erase(0, std::min(value.find_first_not_of(' '), value.size()));
        settings.push_back(name + "=" + value);
    }
    return settings;
}

class OwnServer {
public:
    static Result<OwnServer> start(const std::string& data_folder, const ClusterServer& server) {
        auto tool = db::find_postgres_tool("postgres", server.major, server.bin_folder);
        if (!tool)
            return fail(
                tool.error().code, tool.error().message,
                fmt::format("install postgresql-{}, or set bin_folder in [[postgres]] to where postgres lies; the "
                            "restored cluster is proven by starting it",
                            server.major));
        HF_TRY(auto settings, settings_of(data_folder, server));
        // In /tmp whatever $TMPDIR says: a socket's path has at most 107 bytes.
        HF_TRY(auto scratch, os::ScratchFolder::create("postgres", "/tmp"));
        OwnServer own(std::move(scratch));
        // The outer one stays ours, so that the next run may remove it: its owner is how it knows.
        const std::string at = own.folder();
        HF_DO(os::make_folders(at));
        if (::chmod(own.scratch_.path().c_str(), 0711) != 0)
            return fail(errno_error(errno, "cannot open " + own.scratch_.path() + " for the server"));
        HF_DO(os::write_file(at + "/postgresql.conf", {}));
        HF_DO(os::write_file(at + "/pg_hba.conf", as_bytes("local all all trust\n")));
        HF_DO(os::write_file(at + "/pg_ident.conf", {}));
        HF_DO(give_tree(at, server.owner));
        for (const char* setting : {"listen_addresses=",
                                    "unix_socket_permissions=0700",
                                    "port=5432",
                                    "hot_standby=off",
                                    "restore_command=false",
                                    "recovery_end_command=",
                                    "archive_cleanup_command=",
                                    "recovery_target=",
                                    "recovery_target_time=",
                                    "recovery_target_lsn=",
                                    "recovery_target_xid=",
                                    "recovery_target_name=",
                                    "recovery_target_timeline=latest",
                                    "primary_conninfo=",
                                    "primary_slot_name=",
                                    "archive_mode=off",
                                    "synchronous_standby_names=",
                                    "shared_preload_libraries=",
                                    "session_preload_libraries=",
                                    "local_preload_libraries=",
                                    "ssl=off",
                                    "logging_collector=off",
                                    "log_destination=stderr",
                                    "external_pid_file=",
                                    "huge_pages=off",
                                    "shared_buffers=64MB",
                                    "autovacuum=off",
                                    "fsync=off",
                                    "restart_after_crash=off",
                                    "cluster_name="})
            settings.emplace_back(setting);
        settings.push_back("unix_socket_directories=" + at);
        for (const char* file :
             {"config_file=/postgresql.conf", "hba_file=/pg_hba.conf", "ident_file=/pg_ident.conf"}) {
            std::string setting = file;
            settings.push_back(setting.insert(setting.find('=') + 1, at));
        }
        os::Command command;
        command.arguments = {tool->path, "-D", data_folder};
        for (const std::string& setting : settings) {
            command.arguments.emplace_back("-c");
            command.arguments.push_back(setting);
        }
        command.environment = {{"LC_ALL", "C"}};
        command.without_environment = {"PGDATA", "PGOPTIONS"};
        command.folder = "/";
        command.user = server.owner.name;
        command.errors = os::Stream::null;
        command.output_file = own.log_path();
        HF_TRY(auto process, os::Process::start(command));
        own.process_ = std::make_unique<os::Process>(std::move(process));
        return own;
    }
    OwnServer(OwnServer&&) = default;
    // At once, and with all its processes: what they write must not reappear in a folder that is being removed.
    ~OwnServer() {
        if (!process_) return;
        process_->kill(SIGQUIT);
        static_cast<void>(process_->wait(k_quit_max).has_value());
    }

    std::string log_tail() const {
        const std::string text = os::read_text(log_path()).value_or("");
        return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
    }

    /// Waits while it recovers, however long that takes.
    Result<db::PostgresConnection> connect(const std::string& user, Clock& clock) {
        const db::PostgresAccess access{{folder(), 5432, user, "postgres"}, Secret()};
        for (;;) {
            for (const char* database : {"postgres", "template1"}) {
                auto connection = access.connect(database);
                if (connection) return connection;
                if (connection.error().code == ErrorCode::denied) return fail(std::move(connection).error());
            }
            if (process_->wait(Duration(0)))
                return fail(ErrorCode::mismatch, "a server does not start on the restored files: " + log_tail(),
                            "nothing was replaced; run `holdfast check --read-data`, and try an older snapshot");
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped");
            clock.sleep(k_poll);
        }
    }
    db::PostgresAccess access(const std::string& user) const { return {{folder(), 5432, user, "postgres"}, Secret()}; }

    Status stop() {
        process_->kill(SIGINT);    // fast: a checkpoint, and what was replayed is on disk
        const auto ended = process_->wait(k_stop_max);
        if (ended) process_.reset();
        if (ended && ended->ok()) return {};
        return fail(ErrorCode::mismatch, "the server on the restored files did not stop cleanly: " + log_tail(),
                    "nothing was replaced");
    }

private:
    explicit OwnServer(os::ScratchFolder scratch) : scratch_(std::move(scratch)) {}
    std::string folder() const { return scratch_.path() + "/s"; }
    std::string log_path() const { return folder() + "/log"; }
    os::ScratchFolder scratch_;
    std::unique_ptr<os::Process> process_;
};

// The role of the configuration may have no right to enter each database: a superuser of the cluster has.
Result<std::string> superuser(db::PostgresConnection& connection, const std::string& otherwise) {
    HF_TRY(const auto rows,
           connection.query("SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin ORDER BY oid LIMIT 1"));
    return rows.empty() ? otherwise : rows[0].text(0);
}

}    // namespace

Result<VerifiedCluster> verify_cluster_files(const std::string& data_folder, std::uint64_t segment_size) {
    HF_TRY(const Bytes text, os::read_file(data_folder + "/backup_manifest", source::k_backup_manifest_max));
    HF_TRY(const source::BackupManifest manifest, source::parse_backup_manifest(as_text(text)));
    std::vector<std::string> paths;
    HF_DO(list_files(data_folder, "", paths));
    HF_TRY(const source::BackupFiles found, sum_up_all(data_folder, paths));
    std::vector<std::string> wrong = source::compare_backup(manifest, found);
    for (const std::string& segment : source::wal_segments(manifest.wal, segment_size)) {
        const std::string inner = "pg_wal/" + segment;
        const auto there = found.find(inner);
        if (there == found.end()) {
            wrong.push_back(fmt::format("segment {} of the write-ahead log is missing", segment));
            continue;
        }
        HF_TRY(const bool right, begins_at(data_folder + "/" + inner, place_of(segment, segment_size)));
        if (there->second.size != segment_size || !right)
            wrong.push_back(fmt::format("segment {} of the write-ahead log is damaged", segment));
    }
    if (!wrong.empty()) {
        std::string all;
        for (const std::string& sentence : wrong) all += (all.empty() ? "" : "; ") + sentence;
        return fail(ErrorCode::corrupt, fmt::format("the restored files are not those of the backup: {}", all),
                    "nothing was replaced; run `holdfast check --read-data`, and try another snapshot");
    }
    VerifiedCluster verified{found.size(), 0};
    for (const auto& [path, file] : found) verified.bytes += file.size;
    return verified;
}

Result<json::Value> prove_cluster_starts(const std::string& data_folder, const ClusterServer& server, Clock& clock) {
    const Instant started = clock.instant();
    // With this it ends recovery on a new timeline; the server takes it away.
    HF_DO(os::write_file(data_folder + "/recovery.signal", {}));
    HF_DO(give_tree(data_folder + "/recovery.signal", server.owner));
    HF_TRY(OwnServer own, OwnServer::start(data_folder, server));
    auto databases = json::Value::array();
    json::Value facts;
    {
        HF_TRY(auto connection, own.connect(server.user, clock));
        HF_TRY(const std::string user, superuser(connection, server.user));
        HF_TRY(const auto system,
               connection.query("SELECT s.system_identifier, c.timeline_id, pg_is_in_recovery() FROM "
                                "pg_control_system() s, pg_control_checkpoint() c"));
        if (system[0].boolean(2))
            return fail(ErrorCode::mismatch, "the server on the restored files stays in recovery: " + own.log_tail(),
                        "nothing was replaced");
        HF_TRY(const auto names, connection.query("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1"));
        for (const auto& row : names) {
            HF_TRY(auto inside, own.access(user).connect(row.text(0)));
            HF_TRY(const auto relations, inside.query("SELECT count(*) FROM pg_class"));
            databases.push(json::Value::object({{"name", row.text(0)}, {"relations", relations[0].integer(0)}}));
        }
        facts = json::Value::object({{"system_identifier", system[0].text(0)}, {"timeline", system[0].integer(1)}});
    }
    HF_DO(own.stop());
    facts.set("databases", std::move(databases));
    facts.set("seconds", seconds(clock.instant() - started));
    return facts;
}

}    // namespace holdfast::recovery
