#include "holdfast/source/duckdb_copy.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/source/duckdb_live.hpp"

namespace holdfast::source {
namespace {

constexpr std::size_t k_slice = std::size_t(8) << 20;

class Copier {
public:
    Copier(const std::string& path, const std::string& to) : path_(path), to_(to) {}

    Status write_log(const db::JoinedLog& joined) {
        const std::string path = to_ + ".wal";
        if (joined.pieces.empty()) {
            if (::unlink(path.c_str()) != 0 && errno != ENOENT)
                return fail(errno_error(errno, "cannot remove " + path));
            return {};
        }
        HF_TRY(const os::Fd out, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
        for (const ByteView piece : joined.pieces) HF_DO(os::write_all(out.get(), piece));
        return {};
    }

    // The whole physical file as long as it is now: log entries may point behind the block count. False: it was cut.
    Result<bool> write_file(int file, const DuckDbHeaderBytes& start, std::uint64_t size) {
        HF_TRY(const os::Fd out, os::open_file(to_, O_WRONLY | O_CREAT | O_TRUNC));
        HF_DO(os::write_all(out.get(), start));
        for (std::uint64_t at = start.size(); at < size;) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + path_);
            HF_TRY(const std::size_t got, copy_slice(file, out.get(), at, std::min<std::uint64_t>(k_slice, size - at)));
            if (got == 0) return false;
            at += got;
        }
        return true;
    }

private:
    // By the kernel where it can (and by reference on file systems that share blocks), else by hand.
    Result<std::size_t> copy_slice(int from, int to, std::uint64_t at, std::size_t size) {
        if (kernel_copies_) {
            off_t from_at = static_cast<off_t>(at), to_at = from_at;
            const ssize_t got = ::copy_file_range(from, &from_at, to, &to_at, size, 0);
            if (got >= 0) return static_cast<std::size_t>(got);
            if (errno == ENOSPC || errno == EDQUOT) return fail(errno_error(errno, "cannot write " + to_));
            kernel_copies_ = false;
        }
        buffer_.resize(std::min<std::size_t>(size, 1 << 20));
        HF_TRY(const std::size_t got, os::pread_full(from, buffer_, at));
        HF_DO(os::pwrite_all(to, ByteView(buffer_).first(got), at));
        return got;
    }

    const std::string& path_;
    const std::string& to_;
    bool kernel_copies_ = true;
    Bytes buffer_;
};

}    // namespace

Result<DuckDbCopy> copy_live_duckdb(const std::string& path, const std::string& to, Clock& clock, unsigned tries_max) {
    LiveDuckDb live(path, to, clock);
    Copier copier(path, to);
    DuckDbCopy copy;
    LiveDuckDb::Taker taker;
    taker.log = [&](const db::DuckDbHeaders& headers, const LiveDuckDb::Log& log) {
        copy.headers = headers;
        copy.wal_bytes = log.joined.size();
        copy.wal_commits = log.joined.commit_count;
        return copier.write_log(log.joined);
    };
    taker.blocks = [&](int file, const DuckDbHeaderBytes& start, std::uint64_t size) {
        copy.file_bytes = size;
        return copier.write_file(file, start, size);
    };
    HF_TRY(copy.tries, live.take(taker, tries_max));
    return copy;
}

}    // namespace holdfast::source
