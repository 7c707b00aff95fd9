#include "holdfast/recovery/duckdb_repair.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::recovery {
namespace {

constexpr std::uint64_t k_log_max = std::uint64_t(8) << 30;

Result<Bytes> read_if_there(const std::string& path) {
    auto bytes = os::read_file(path, k_log_max);
    if (!bytes && bytes.error().code == ErrorCode::not_found) return Bytes();
    return bytes;
}

Status copy_file(const std::string& from, const std::string& to) {
    HF_TRY(const os::Fd source, os::open_file(from, O_RDONLY));
    HF_TRY(const os::Fd out, os::open_file(to, O_WRONLY | O_CREAT | O_TRUNC));
    Bytes buffer(std::size_t(1) << 20);
    while (true) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + from);
        HF_TRY(const std::size_t got, os::read_some(source.get(), buffer));
        if (got == 0) break;
        HF_DO(os::write_all(out.get(), ByteView(buffer).first(got)));
    }
    return os::sync_fd(out.get(), to);
}

}    // namespace

Result<DuckDbLogs> examine_duckdb_logs(const std::string& path) {
    DuckDbLogs logs;
    logs.path = path;
    {
        HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
        Bytes headers(db::k_duckdb_headers_size);
        HF_TRY(const std::size_t got, os::pread_full(file.get(), headers, 0));
        HF_TRY(logs.headers, db::parse_duckdb_headers(ByteView(headers).first(got), path));
        HF_TRY(const struct stat status, os::status_of(path));
        logs.file_bytes = static_cast<std::uint64_t>(status.st_size);
    }
    HF_TRY(const Bytes log, read_if_there(path + ".wal"));
    HF_TRY(const Bytes checkpoint_log, read_if_there(path + ".wal.checkpoint"));
    HF_TRY(logs.log, db::examine_duckdb_log(log, logs.headers, path + ".wal"));
    HF_TRY(logs.checkpoint_log, db::examine_duckdb_log(checkpoint_log, logs.headers, path + ".wal.checkpoint"));

    const Bytes mended = db::mended_duckdb_log(log, logs.log, logs.headers);
    const Bytes checkpoint_mended = db::mended_duckdb_log(checkpoint_log, logs.checkpoint_log, logs.headers);
    HF_TRY(const db::DuckDbLog parsed, db::parse_duckdb_log(mended, path + ".wal"));
    HF_TRY(const db::DuckDbLog checkpoint_parsed, db::parse_duckdb_log(checkpoint_mended, path + ".wal.checkpoint"));
    auto joined = db::join_duckdb_logs(parsed, checkpoint_parsed, logs.headers.root);
    if (!joined) {
        // The first log lost what the second one builds upon.
        logs.log.lost_commits += logs.checkpoint_log.kept_commits;
        logs.log.lost_bytes += logs.checkpoint_log.kept_bytes;
        joined = db::join_duckdb_logs(parsed, {}, logs.headers.root);
    }
    if (!joined) return fail(ErrorCode::corrupt, fmt::format("the logs of {} do not fit together", path), "restore it");
    for (const ByteView piece : joined->pieces) append(logs.mended, piece);
    logs.mended_commits = joined->commit_count;
    return logs;
}

DuckDbOrigin mended_duckdb(const DuckDbLogs& logs) {
    DuckDbOrigin origin;
    origin.id = "repair";
    origin.file_bytes = logs.file_bytes;
    origin.log_bytes = logs.mended.size();
    origin.write = [&logs](const std::string& to) -> Status {
        HF_DO(copy_file(logs.path, to));
        if (!logs.mended.empty()) HF_DO(os::write_file(to + ".wal", logs.mended));
        return {};
    };
    return origin;
}

}    // namespace holdfast::recovery
