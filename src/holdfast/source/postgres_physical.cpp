#include "holdfast/source/postgres_physical.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <deque>
#include <map>
#include <optional>

#include "holdfast/base/log.hpp"
#include "holdfast/db/postgres.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/source/backup_manifest.hpp"
#include "holdfast/source/tar_reader.hpp"

namespace holdfast::source {
namespace {

using Kind = db::PostgresAnswer::Kind;

constexpr std::size_t k_ended_max = 32;    // files whose last blocks may still be on their way
constexpr std::size_t k_relation_min = 2u << 20;    // below, a file is one block or few either way

struct Tablespace {
    std::string oid, location;
};

// "base/5/16384.1" and what lies in a tablespace; not pg_wal, and not the small ones beside.
bool is_relation(std::string_view path) { return path.starts_with("base/") || path.starts_with("pg_tblspc/"); }

// Puts what the archives hold into the snapshot, and sums it up.
class Files final : public TarSink {
public:
    explicit Files(CaptureContext& context) : context_(context) {}

    /// `prefix`: of the paths as the manifest tells them, "" or "pg_tblspc/16384/".
    void begin_archive(std::string folder, std::string prefix) {
        folder_ = std::move(folder);
        prefix_ = std::move(prefix);
    }

    Status begin(const TarEntry& entry) override {
        vault::StreamOptions options;
        options.mode = entry.mode;
        options.mtime = entry.mtime;
        options.owner = {entry.uid, entry.gid};
        if (!owner_) owner_ = options.owner;
        const std::string place = fmt::format("{}/{}", folder_, entry.name);
        path_ = prefix_ + entry.name;
        if (entry.kind == TarEntry::Kind::folder) return context_.backup.add_folder(place, options);
        if (entry.kind == TarEntry::Kind::link) return add_link(entry, place, options);
        options.size_expected = entry.size;
        options.cut = is_relation(path_) || entry.size > k_relation_min ? vault::Cut::blocks(k_relation_cut)
                                                                        : vault::Cut::content();
        HF_TRY(writer_, context_.backup.start_stream(place, options));
        file_ = {entry.size, 0};
        return {};
    }

    Status data(ByteView bytes) override {
        file_.crc = crc32c_of(bytes, file_.crc);
        return writer_->write(bytes);
    }

    Status end() override {
        if (!found_.emplace(path_, file_).second)
            return fail(ErrorCode::corrupt, fmt::format("the server sent {} twice", path_));
        bytes_ += file_.size;
        HF_DO(writer_->end());
        ended_.push_back(std::move(writer_));
        return finish(k_ended_max);
    }

    /// All but `left` of the files that have ended are in the snapshot.
    Status finish(std::size_t left) {
        for (; ended_.size() > left; ended_.pop_front()) {
            HF_TRY(const auto receipt, ended_.front()->finish());
            bytes_added_ += receipt.bytes_added;
        }
        return {};
    }

    const BackupFiles& found() const { return found_; }
    /// Whose the cluster is: a server starts on no data folder that is not its own.
    std::optional<std::pair<std::uint32_t, std::uint32_t>> owner() const { return owner_; }
    const std::vector<Tablespace>& links() const { return links_; }
    std::uint64_t bytes() const { return bytes_; }
    std::uint64_t bytes_added() const { return bytes_added_; }

private:
    // A link to a tablespace leads to its copy, never to the live one: a server that is started on the restored folder
    // would write there.
    Status add_link(const TarEntry& entry, const std::string& place, const vault::StreamOptions& options) {
        constexpr std::string_view k_tablespaces = "pg_tblspc/";
        if (path_.starts_with(k_tablespaces)) {
            const std::string oid = path_.substr(k_tablespaces.size());
            links_.push_back({oid, entry.link_target});
            return context_.backup.add_link(place, fmt::format("../../tablespaces/{}", oid), options);
        }
        // The server itself follows pg_wal and the like; anything else is somebody's own.
        return context_.backup.add_link(place, entry.link_target, options);
    }

    CaptureContext& context_;
    std::string folder_, prefix_, path_;
    std::unique_ptr<vault::StreamWriter> writer_;
    std::deque<std::unique_ptr<vault::StreamWriter>> ended_;
    BackupFile file_;
    BackupFiles found_;
    std::vector<Tablespace> links_;
    std::optional<std::pair<std::uint32_t, std::uint32_t>> owner_;
    std::uint64_t bytes_ = 0, bytes_added_ = 0;
};

// The one stream of messages in which all archives and the manifest come.
class Receiver {
public:
    Receiver(Files& files, std::string folder) : files_(files), folder_(std::move(folder)) {}

    Status take(ByteView message) {
        if (message.empty()) return broken("an empty message");
        const ByteView rest = message.subspan(1);
        switch (static_cast<char>(message[0])) {
            case 'n':
                HF_DO(end_archive());
                return begin_archive(as_text(rest));
            case 'm':
                HF_DO(end_archive());
                in_manifest_ = true;
                return {};
            case 'd':
                if (in_manifest_) {
                    if (manifest_.size() + rest.size() > k_backup_manifest_max)
                        return broken("a manifest of more than 256 MiB");
                    manifest_ += as_text(rest);
                    return {};
                }
                if (!archive_) return broken("data before an archive");
                return archive_->feed(rest, files_);
            case 'p':    // how far the server is; our own progress counts bytes
                return {};
            default:
                return broken("a message of an unknown kind");
        }
    }
    Status finish() {
        HF_DO(end_archive());
        return manifest_.empty() ? broken("no manifest") : Status();
    }
    const std::string& manifest() const { return manifest_; }

private:
    static Status broken(std::string_view what) {
        return fail(ErrorCode::store, fmt::format("BASE_BACKUP of the server brought {}", what),
                    "is there a pooler or a proxy between? It must hand replication on as it is");
    }
    // "base.tar\0\0" is the data folder, "16384.tar\0/srv/fast\0" a tablespace.
    Status begin_archive(std::string_view text) {
        const std::string name(text.substr(0, text.find('\0')));
        const std::string stem = name.substr(0, name.rfind(".tar"));
        if (name == "base.tar") {
            files_.begin_archive(folder_ + "/data", "");
        } else if (!stem.empty() && stem.size() < name.size() &&
                   stem.find_first_not_of("0123456789") == std::string::npos) {
            files_.begin_archive(fmt::format("{}/tablespaces/{}", folder_, stem), fmt::format("pg_tblspc/{}/", stem));
        } else {
            return broken("an archive of an unknown name");
        }
        archive_.emplace(name);
        return {};
    }
    Status end_archive() {
        if (archive_) HF_DO(archive_->finish());
        archive_.reset();
        return {};
    }

    Files& files_;
    const std::string folder_;
    std::optional<TarReader> archive_;
    bool in_manifest_ = false;
    std::string manifest_;
};

Result<db::PostgresRows> expect_rows(db::PostgresConnection& connection, std::string_view what) {
    HF_TRY(auto answer, connection.next());
    if (answer.kind == Kind::rows && !answer.rows.empty()) return std::move(answer.rows);
    return fail(ErrorCode::store, fmt::format("PostgreSQL did not say {}", what),
                "is there a pooler or a proxy between? It must hand replication on as it is");
}

Result<db::PostgresRows> ask(db::PostgresConnection& connection, const std::string& command) {
    HF_DO(connection.start(command));
    HF_TRY(auto rows, expect_rows(connection, command));
    HF_TRY([[maybe_unused]] const auto end, connection.next());
    return rows;
}

// "16MB"
Result<std::uint64_t> parse_size(const std::string& text) {
    std::uint64_t number = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    const int shift = unit == "B" || unit.empty() ? 0 : unit == "kB" ? 10 : unit == "MB" ? 20 : unit == "GB" ? 30 : -1;
    if (bad != std::errc() || shift < 0 || number == 0 || number > (1u << 20))
        return fail(ErrorCode::store, fmt::format("PostgreSQL says {} is its wal_segment_size", text));
    return number << shift;
}

// Keeps the server from removing the log that the copy will need, until this session ends, killed or not. BASE_BACKUP
// itself only hopes that it is still there at the end. A server without a free slot is taken all the same.
bool reserve_log(db::PostgresConnection& connection, Timestamp now) {
    const auto made =
        ask(connection, fmt::format("CREATE_REPLICATION_SLOT holdfast_{}_{:x} TEMPORARY PHYSICAL RESERVE_WAL",
                                    ::getpid(), now.nanoseconds));
    if (!made) log_warning("no replication slot for the backup", {{"why", made.error().message}});
    return made.has_value();
}

Error explain(Error error, const db::PostgresConnection& connection) {
    const std::string& state = connection.sql_state();
    if (state == "XX001") {    // the server's own check of page checksums
        error.code = ErrorCode::corrupt;
        error.hint =
            "the server's log names file and block: pages of the live cluster are damaged. Restore the table from an "
            "older "
            "snapshot, or dump what can be read (method = \"dump\")";
    } else if (error.message.find("WAL level not sufficient") != std::string::npos) {
        error.code = ErrorCode::unsupported;
        error.hint = "ALTER SYSTEM SET wal_level = 'replica'; and restart the server";
    } else if (error.message.find("has already been removed") != std::string::npos) {
        error.code = ErrorCode::changed;
        error.hint =
            "give the server a free replication slot (max_replication_slots) and room (max_slot_wal_keep_size), or "
            "raise "
            "wal_keep_size; then run the backup again";
    } else if (state == "42501") {
        error.hint = "as a superuser: ALTER ROLE … REPLICATION";
    }
    return error;
}

// What the copy lacks or has otherwise than the manifest says; all of it would come to light at a restore only.
Status check(const BackupManifest& manifest, const BackupFiles& found, std::uint64_t segment_size) {
    std::vector<std::string> wrong = compare_backup(manifest, found);
    for (const std::string& segment : wal_segments(manifest.wal, segment_size)) {
        const auto there = found.find("pg_wal/" + segment);
        if (there == found.end())
            wrong.push_back(fmt::format("segment {} of the write-ahead log is missing", segment));
        else if (there->second.size != segment_size)
            wrong.push_back(fmt::format("segment {} of the write-ahead log has {} bytes", segment, there->second.size));
    }
    if (wrong.empty()) return {};
    std::string all;
    for (const std::string& sentence : wrong) all += (all.empty() ? "" : "; ") + sentence;
    return fail(ErrorCode::corrupt,
                fmt::format("the server sent something else than its backup_manifest says: {}", all),
                "run the backup again; if it stays so, look at the network and at the server's disk");
}

}    // namespace

Result<json::Value> capture_postgres_physical(const policy::PostgresConfig& config, CaptureContext& context) {
    HF_TRY(const Secret password, db::read_secret(config.password));
    const db::PostgresAddress address{config.host, config.port, config.user, {}};
    HF_TRY(auto connection, db::PostgresConnection::connect_for_replication(address, password));
    if (connection.server_major() < k_physical_major_min)
        return fail(ErrorCode::unsupported,
                    fmt::format("PostgreSQL {} is too old for a physical backup", connection.server_major()),
                    fmt::format("versions {} and newer are supported; method = \"dump\" takes older ones",
                                k_physical_major_min));
    const std::string data = context.folder + "/data";
    HF_TRY(const auto system, ask(connection, "IDENTIFY_SYSTEM"));
    HF_TRY(const auto version, ask(connection, "SHOW server_version"));
    HF_TRY(const auto segment_text, ask(connection, "SHOW wal_segment_size"));
    HF_TRY(const std::uint64_t segment_size, parse_size(segment_text[0].text(0)));
    HF_TRY(const auto mode, ask(connection, "SHOW data_directory_mode"));
    vault::StreamOptions top;
    top.mode = mode[0].text(0) == "0750" ? 0750 : 0700;    // a server starts on no other
    const bool slot = reserve_log(connection, context.clock.now());

    const std::string label = fmt::format("holdfast {}", to_rfc3339(context.clock.now()));
    const auto explained = [&](Error error) { return fail(explain(std::move(error), connection)); };
    // CHECKPOINT fast: a spread one may take minutes before the first byte. WAIT false: the log comes along, nobody need
    // wait for an archive. No TABLESPACE_MAP: the links come as links.
    HF_DO(connection.start(
        fmt::format("BASE_BACKUP (LABEL '{}', CHECKPOINT 'fast', WAL true, WAIT false, MANIFEST 'yes', "
                    "MANIFEST_CHECKSUMS 'CRC32C')",
                    label)));
    auto start = expect_rows(connection, "where the backup starts");
    if (!start) return explained(std::move(start).error());
    HF_TRY([[maybe_unused]] const auto tablespaces, expect_rows(connection, "its tablespaces"));
    HF_TRY(const auto copy, connection.next());
    if (copy.kind != Kind::copy) return fail(ErrorCode::store, "PostgreSQL began no copy after BASE_BACKUP");

    Files files(context);
    Receiver receiver(files, context.folder);
    for (;;) {
        auto message = connection.copied();
        if (!message) return explained(std::move(message).error());
        if (!*message) break;
        HF_DO(receiver.take(**message));
    }
    // Only now it says whether all went well.
    auto stop = expect_rows(connection, "where the backup ends");
    if (!stop) return explained(std::move(stop).error());
    if (auto end = connection.next(); !end) return explained(std::move(end).error());
    HF_DO(receiver.finish());
    HF_TRY(const BackupManifest manifest, parse_backup_manifest(receiver.manifest()));
    HF_DO(check(manifest, files.found(), segment_size));
    top.owner = files.owner();
    HF_DO(files.finish(0));
    vault::StreamOptions of_manifest = top;
    of_manifest.mode = 0600;
    HF_TRY(const auto manifest_file, context.backup.start_stream(data + "/backup_manifest", of_manifest));
    HF_DO(manifest_file->write(as_bytes(receiver.manifest())));
    HF_DO(manifest_file->finish());
    HF_DO(context.backup.add_folder(context.folder, top));
    HF_DO(context.backup.add_folder(data, top));
    for (const Tablespace& one : files.links())
        HF_DO(context.backup.add_folder(fmt::format("{}/tablespaces/{}", context.folder, one.oid), top));
    if (!files.links().empty()) HF_DO(context.backup.add_folder(context.folder + "/tablespaces", top));

    auto spaces = json::Value::array();
    for (const Tablespace& one : files.links())
        spaces.push(json::Value::object({{"oid", one.oid}, {"location", one.location}}));
    return json::Value::object({{"method", "physical"},
                                {"server_version", version[0].text(0)},
                                {"server_version_number", connection.server_version()},
                                {"system_identifier", system[0].text(0)},
                                {"label", label},
                                {"timeline", (*start)[0].integer(1)},
                                {"start_lsn", (*start)[0].text(0)},
                                {"stop_lsn", (*stop)[0].text(0)},
                                {"wal_segment_size", segment_size},
                                {"log_reserved", slot},
                                {"files", files.found().size() + 1},
                                {"bytes", files.bytes() + receiver.manifest().size()},
                                {"bytes_added", files.bytes_added()},
                                {"tablespaces", std::move(spaces)}});
}

}    // namespace holdfast::source
