#include "holdfast/source/duckdb_copy.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "holdfast/db/duckdb_wal.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

constexpr unsigned k_header_reads_max = 50, k_log_reads_max = 25, k_waits_max = 500;
constexpr Duration k_pause = 2ms, k_checkpoint_poll = 10ms, k_checkpoint_max = 5min;
constexpr Duration k_header_follows = 20ms;
constexpr std::size_t k_slice = std::size_t(8) << 20;

using HeaderBytes = std::array<std::byte, db::k_duckdb_headers_size>;

Result<HeaderBytes> read_header_bytes(int fd) {
    HeaderBytes bytes{};
    HF_TRY([[maybe_unused]] const std::size_t got, os::pread_full(fd, bytes, 0));
    return bytes;
}

// A checksum that does not hold may be a header on its way to the file: looked at again for a while.
Result<db::DuckDbHeaders> read_headers(int fd, const std::string& path, Clock& clock, HeaderBytes& bytes) {
    for (unsigned read = 1;; ++read) {
        HF_TRY(const struct stat now, os::status_of(path));
        HF_TRY(bytes, read_header_bytes(fd));
        const auto size = std::min<std::uint64_t>(bytes.size(), static_cast<std::uint64_t>(now.st_size));
        auto headers = db::parse_duckdb_headers(ByteView(bytes).first(size), path);
        if (headers || headers.error().code != ErrorCode::corrupt || !db::looks_like_duckdb(bytes) ||
            read == k_header_reads_max)
            return headers;
        clock.sleep(k_pause);
    }
}

// A log as it was read: kept in a file of ours and mapped, so that its size does not count as memory.
class LogImage {
public:
    LogImage() = default;
    LogImage(LogImage&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    LogImage& operator=(LogImage&&) = delete;
    ~LogImage() {
        if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
    ByteView bytes() const { return bytes_; }

    // A log that is not there is empty.
    static Result<LogImage> read(const std::string& from, const std::string& to) {
        LogImage image;
        auto source = os::open_file(from, O_RDONLY);
        if (!source && source.error().code == ErrorCode::not_found) return image;
        if (!source) return fail(source.error());
        HF_TRY(const os::Fd copy, os::open_file(to, O_RDWR | O_CREAT | O_TRUNC));
        Bytes buffer(1 << 20);
        std::size_t size = 0;
        while (true) {
            HF_TRY(const std::size_t got, os::read_some(source->get(), buffer));
            if (got == 0) break;
            HF_DO(os::write_all(copy.get(), ByteView(buffer).first(got)));
            size += got;
        }
        if (size == 0) return image;
        void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, copy.get(), 0);
        if (at == MAP_FAILED) return fail(errno_error(errno, "cannot map " + to));
        image.bytes_ = ByteView(static_cast<const std::byte*>(at), size);
        return image;
    }

private:
    ByteView bytes_;
};

class Copier {
public:
    Copier(const std::string& path, const std::string& to, Clock& clock) : path_(path), to_(to), clock_(clock) {}
    ~Copier() {
        ::unlink(log_copy().c_str());
        ::unlink(checkpoint_log_copy().c_str());
    }
    Copier(const Copier&) = delete;
    Copier& operator=(const Copier&) = delete;

    // False: the database moved on meanwhile; why() says how.
    Result<bool> attempt(DuckDbCopy& copy) {
        waited_ = false;
        HF_TRY(const os::Fd file, os::open_file(path_, O_RDONLY));
        HeaderBytes start;
        HF_TRY(copy.headers, read_headers(file.get(), path_, clock_, start));
        const std::uint64_t root = copy.headers.root;
        HF_TRY(const bool has_log, write_log(file.get(), root, copy));
        if (!has_log) return false;
        if (checkpoint_runs_ && is_open_somewhere(file.get())) {
            HF_DO(wait_for_checkpoint(file.get(), start, root));
            waited_ = true;
            return moved_on();
        }
        // These two reads tie the log to the iteration, and the blocks to both.
        HF_TRY(const HeaderBytes middle, read_header_bytes(file.get()));
        if (middle != start) return moved_on();
        HF_TRY(const bool has_blocks, write_file(file.get(), start, copy));
        if (!has_blocks) return false;
        // Before the headers: a checkpoint that ended in between has changed them.
        HF_TRY(const bool runs, sees_checkpoint(root));
        if (runs && is_open_somewhere(file.get())) return moved_on();
        // A checkpoint that found no log leaves no marker: its header follows its first freed block within an fsync or two.
        clock_.sleep(k_header_follows);
        HF_TRY(const HeaderBytes end, read_header_bytes(file.get()));
        if (end != start) return moved_on();
        // Another file may have been put in its place by rename: then the log was that one's.
        HF_TRY(const struct stat opened, os::status_of(fmt::format("/proc/self/fd/{}", file.get())));
        HF_TRY(const struct stat named, os::status_of(path_));
        if (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev) return moved_on();
        return true;
    }
    const Error& why() const { return why_; }
    // A checkpoint has just ended: the best moment to try again, as the next one is the furthest away.
    bool waited() const { return waited_; }

private:
    std::string log_copy() const { return to_ + ".log-as-read"; }
    std::string checkpoint_log_copy() const { return to_ + ".checkpoint-log-as-read"; }

    // Always false, for the caller to hand on.
    bool moved_on() {
        why_ = {ErrorCode::changed, path_ + " was checkpointed during every copy",
                "run the backup again when less is written, or raise checkpoint_threshold in the writing program"};
        return false;
    }

    // A running checkpoint says so by its marker in the log, from its beginning (1.5). Near its end DuckDB hands out
    // blocks that it no longer needs, before the header that frees them is written (duckdb issue 25106): a bulk insert
    // that is going on then overwrites blocks that the header on disk still counts. One in some hundred copies taken
    // during checkpoints was torn by that, and a block that is overwritten whole would not even show. So a copy counts
    // only when no checkpoint ran until its end. After a crash the marker stays, but nobody writes: that is no matter.
    Result<bool> sees_checkpoint(std::uint64_t root) {
        HF_TRY(const LogImage image, LogImage::read(path_ + ".wal", log_copy()));
        HF_TRY(const db::DuckDbLog log, db::parse_duckdb_log(image.bytes(), path_ + ".wal"));
        return log.damaged_at || (log.marker_root && *log.marker_root != root);
    }

    // Asks for the lock that DuckDB holds; takes none.
    static bool is_open_somewhere(int file) {
        struct flock lock{};
        lock.l_type = F_WRLCK;
        return ::fcntl(file, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
    }

    Status wait_for_checkpoint(int file, const HeaderBytes& start, std::uint64_t root) {
        const Instant until = clock_.instant() + k_checkpoint_max;
        while (clock_.instant() < until) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + path_);
            HF_TRY(const HeaderBytes now, read_header_bytes(file));
            if (now != start) return {};
            HF_TRY(const bool runs, sees_checkpoint(root));
            if (!runs) return {};
            clock_.sleep(k_checkpoint_poll);
        }
        return fail(ErrorCode::changed, fmt::format("a checkpoint of {} does not end", path_),
                    "look at the program that has the database open, and run the backup again");
    }

    // False: the two logs never fitted together.
    Result<bool> write_log(int file, std::uint64_t root, DuckDbCopy& copy) {
        for (unsigned read = 0; read < k_log_reads_max; ++read) {
            if (read > 0) clock_.sleep(k_pause);
            // In this order: what is committed between the two reads is then in the second one, or in neither.
            HF_TRY(const LogImage log_image, LogImage::read(path_ + ".wal", log_copy()));
            HF_TRY(const LogImage checkpoint_image, LogImage::read(path_ + ".wal.checkpoint", checkpoint_log_copy()));
            HF_TRY(const db::DuckDbLog log, db::parse_duckdb_log(log_image.bytes(), path_ + ".wal"));
            HF_TRY(const db::DuckDbLog checkpoint_log,
                   db::parse_duckdb_log(checkpoint_image.bytes(), path_ + ".wal.checkpoint"));
            // All of the first log is in the file, and there is no second one: or it was renamed over the first between
            // the two reads, after the header that we saw. One commit in some hundred copies was lost by that.
            const bool may_be_renamed = log.marker_root && *log.marker_root == root &&
                                        checkpoint_image.bytes().empty() && is_open_somewhere(file);
            const auto joined = may_be_renamed ? std::nullopt : db::join_duckdb_logs(log, checkpoint_log, root);
            if (joined) {
                copy.wal_bytes = joined->size();
                copy.wal_commits = joined->commit_count;
                checkpoint_runs_ = log.marker_root && *log.marker_root != root;
                HF_DO(write_pieces(*joined));
                return true;
            }
            remember_log(log, checkpoint_log);
        }
        return false;
    }

    void remember_log(const db::DuckDbLog& log, const db::DuckDbLog& checkpoint_log) {
        if (log.damaged_at || checkpoint_log.damaged_at) {
            const char* suffix = log.damaged_at ? ".wal" : ".wal.checkpoint";
            why_ = {ErrorCode::corrupt,
                    fmt::format("{}{} is damaged at byte {}: DuckDB would not open the database", path_, suffix,
                                log.damaged_at ? *log.damaged_at : *checkpoint_log.damaged_at),
                    "keep both files; the commits before that byte can be had back by cutting the log there"};
        } else {
            why_ = {ErrorCode::changed, path_ + ".wal and .wal.checkpoint never fitted together",
                    "run the backup again; if no program has the database open, open and close it once first"};
        }
    }

    Status write_pieces(const db::JoinedLog& joined) {
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
    Result<bool> write_file(int file, const HeaderBytes& start, DuckDbCopy& copy) {
        HF_TRY(const struct stat now, os::status_of(fmt::format("/proc/self/fd/{}", file)));
        copy.file_bytes = static_cast<std::uint64_t>(now.st_size);
        HF_TRY(const os::Fd out, os::open_file(to_, O_WRONLY | O_CREAT | O_TRUNC));
        HF_DO(os::write_all(out.get(), start));
        for (std::uint64_t at = start.size(); at < copy.file_bytes;) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + path_);
            HF_TRY(const std::size_t got,
                   copy_slice(file, out.get(), at, std::min<std::uint64_t>(k_slice, copy.file_bytes - at)));
            if (got == 0) return moved_on();
            at += got;
        }
        return true;
    }

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
    Clock& clock_;
    bool checkpoint_runs_ = false;    // when the log was read
    bool waited_ = false;
    bool kernel_copies_ = true;
    Bytes buffer_;
    Error why_;
};

}    // namespace

Result<DuckDbCopy> copy_live_duckdb(const std::string& path, const std::string& to, Clock& clock, unsigned tries_max) {
    Copier copier(path, to, clock);
    DuckDbCopy copy;
    Duration pause = 5ms;
    unsigned waits = 0;
    for (copy.tries = 1; copy.tries <= tries_max;) {
        HF_TRY(const bool made, copier.attempt(copy));
        if (made) return copy;
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + path);
        if (copier.waited() && waits++ < k_waits_max) continue;
        ++copy.tries;
        clock.sleep(pause);
        pause = std::min<Duration>(pause * 2, 50ms);    // a longer one would sleep through the quiet time
    }
    return fail(copier.why());
}

}    // namespace holdfast::source
