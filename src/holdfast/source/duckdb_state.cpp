#include "holdfast/source/duckdb_state.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/db/duckdb_file.hpp"
#include "holdfast/format/sha256.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::source {
namespace {

/// "inode size time mode owner group hash-of-headers"
Result<std::string> look(const std::string& path) {
    HF_TRY(const os::Fd file, os::open_file(path, O_RDONLY));
    HF_TRY(const struct stat s, os::status_of(fmt::format("/proc/self/fd/{}", file.get())));
    Bytes headers(db::k_duckdb_headers_size);
    HF_TRY(const std::size_t got, os::pread_full(file.get(), headers, 0));
    return fmt::format("{}:{} {} {}.{:09} {:o} {}:{} {}", s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec,
                       s.st_mtim.tv_nsec, s.st_mode, s.st_uid, s.st_gid,
                       format::sha256(ByteView(headers).first(got)).hex());
}

/// "size hash"; a log that is not there is empty. In pieces: a log may have hundreds of megabytes.
Result<std::string> look_at_log(const std::string& path) {
    auto file = os::open_file(path, O_RDONLY);
    if (!file && file.error().code == ErrorCode::not_found) return std::string("none");
    if (!file) return fail(std::move(file).error());
    format::Sha256 sum;
    Bytes piece(std::size_t(1) << 20);
    std::uint64_t size = 0;
    for (;;) {
        HF_TRY(const std::size_t got, os::read_full(file->get(), piece));
        if (got == 0) break;
        size += got;
        sum.update(ByteView(piece).first(got));
    }
    return fmt::format("{} {}", size, sum.finish().hex());
}

}    // namespace

Result<std::optional<std::string>> duckdb_state(const std::string& path) {
    HF_TRY(const std::string before, look(path));
    HF_TRY(const std::string log, look_at_log(path + ".wal"));
    HF_TRY(const std::string checkpoint_log, look_at_log(path + ".wal.checkpoint"));
    HF_TRY(const std::string log_again, look_at_log(path + ".wal"));
    HF_TRY(const std::string after, look(path));
    if (before != after || log != log_again) return std::nullopt;
    return fmt::format("{} | {} | {}", after, log, checkpoint_log);
}

}    // namespace holdfast::source
