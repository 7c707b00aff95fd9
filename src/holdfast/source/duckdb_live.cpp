#include "holdfast/source/duckdb_live.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;

constexpr unsigned k_header_reads_max = 50, k_log_reads_max = 25, k_waits_max = 500, k_damaged_tries = 2;
constexpr Duration k_pause = 2ms, k_checkpoint_poll = 10ms, k_checkpoint_max = 5min;
constexpr Duration k_header_follows = 20ms;

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

}    // namespace

LiveDuckDb::LiveDuckDb(std::string path, std::string scratch, Clock& clock)
    : path_(std::move(path)), scratch_(std::move(scratch)), clock_(clock) {}

LiveDuckDb::~LiveDuckDb() {
    ::unlink(log_copy().c_str());
    ::unlink(checkpoint_log_copy().c_str());
}

Result<DuckDbHeaderBytes> LiveDuckDb::read_header_bytes(int file) {
    DuckDbHeaderBytes bytes{};
    HF_TRY([[maybe_unused]] const std::size_t got, os::pread_full(file, bytes, 0));
    return bytes;
}

bool LiveDuckDb::is_open_somewhere(int file) {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    return ::fcntl(file, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

// A checksum that does not hold may be a header on its way to the file: looked at again for a while.
Result<db::DuckDbHeaders> LiveDuckDb::read_headers(int file, DuckDbHeaderBytes& bytes) {
    for (unsigned read = 1;; ++read) {
        HF_TRY(const struct stat now, os::status_of(path_));
        HF_TRY(bytes, read_header_bytes(file));
        const auto size = std::min<std::uint64_t>(bytes.size(), static_cast<std::uint64_t>(now.st_size));
        auto headers = db::parse_duckdb_headers(ByteView(bytes).first(size), path_);
        if (headers || headers.error().code != ErrorCode::corrupt || !db::looks_like_duckdb(bytes) ||
            read == k_header_reads_max)
            return headers;
        clock_.sleep(k_pause);
    }
}

// False: the database moved on meanwhile; why_ says how.
Result<bool> LiveDuckDb::attempt(const Taker& taker) {
    waited_ = false;
    HF_TRY(const os::Fd file, os::open_file(path_, O_RDONLY));
    DuckDbHeaderBytes start;
    HF_TRY(const db::DuckDbHeaders headers, read_headers(file.get(), start));
    HF_TRY(const bool has_log, read_log(file.get(), headers, taker.log));
    if (!has_log) return false;
    if (checkpoint_runs_ && is_open_somewhere(file.get())) {
        HF_DO(wait_for_checkpoint(file.get(), start, headers.root));
        waited_ = true;
        return moved_on();
    }
    // These two reads tie the log to the iteration, and the blocks to both.
    HF_TRY(const DuckDbHeaderBytes middle, read_header_bytes(file.get()));
    if (middle != start) return moved_on();
    HF_TRY(const struct stat now, os::status_of(fmt::format("/proc/self/fd/{}", file.get())));
    HF_TRY(const bool has_blocks, taker.blocks(file.get(), start, static_cast<std::uint64_t>(now.st_size)));
    if (!has_blocks) return moved_on();
    const Instant read = clock_.instant();
    // Before the headers: a checkpoint that ended in between has changed them.
    HF_TRY(const bool runs, sees_checkpoint(headers.root));
    if (runs && is_open_somewhere(file.get())) return moved_on();
    if (taker.settle) HF_DO(taker.settle());
    // A checkpoint that found no log leaves no marker: its header follows its first freed block within an fsync or two. Whoever wrote
    // one and closed the database has written it by now.
    if (const Duration left = read + k_header_follows - clock_.instant();
        left > Duration::zero() && is_open_somewhere(file.get()))
        clock_.sleep(left);
    HF_TRY(const DuckDbHeaderBytes end, read_header_bytes(file.get()));
    if (end != start) return moved_on();
    // Another file may have been put in its place by rename: then the log was that one's.
    HF_TRY(const struct stat opened, os::status_of(fmt::format("/proc/self/fd/{}", file.get())));
    HF_TRY(const struct stat named, os::status_of(path_));
    if (opened.st_ino != named.st_ino || opened.st_dev != named.st_dev) return moved_on();
    return true;
}

// Always false, for the caller to hand on.
bool LiveDuckDb::moved_on() {
    why_ = {ErrorCode::changed, path_ + " was checkpointed during every copy",
            "run the backup again when less is written, or raise checkpoint_threshold in the writing program"};
    return false;
}

// A running checkpoint says so by its marker in the log, from its beginning (1.5). Near its end DuckDB hands out
// blocks that it no longer needs, before the header that frees them is written (duckdb issue 25106): a bulk insert
// that is going on then overwrites blocks that the header on disk still counts. One in some hundred copies taken
// during checkpoints was torn by that, and a block that is overwritten whole would not even show. So a copy counts
// only when no checkpoint ran until its end. After a crash the marker stays, but nobody writes: that is no matter.
Result<bool> LiveDuckDb::sees_checkpoint(std::uint64_t root) {
    HF_TRY(const LogImage image, LogImage::read(path_ + ".wal", log_copy()));
    HF_TRY(const db::DuckDbLog log, db::parse_duckdb_log(image.bytes(), path_ + ".wal"));
    return log.damaged_at || (log.marker_root && *log.marker_root != root);
}

Status LiveDuckDb::wait_for_checkpoint(int file, const DuckDbHeaderBytes& start, std::uint64_t root) {
    const Instant until = clock_.instant() + k_checkpoint_max;
    while (clock_.instant() < until) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + path_);
        HF_TRY(const DuckDbHeaderBytes now, read_header_bytes(file));
        if (now != start) return {};
        HF_TRY(const bool runs, sees_checkpoint(root));
        if (!runs) return {};
        clock_.sleep(k_checkpoint_poll);
    }
    return fail(ErrorCode::changed, fmt::format("a checkpoint of {} does not end", path_),
                "look at the program that has the database open, and run the backup again");
}

// False: the two logs never fitted together.
Result<bool> LiveDuckDb::read_log(int file, const db::DuckDbHeaders& headers,
                                  const std::function<Status(const db::DuckDbHeaders&, const Log&)>& use) {
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
        const bool may_be_renamed = log.marker_root && *log.marker_root == headers.root &&
                                    checkpoint_image.bytes().empty() && is_open_somewhere(file);
        const auto joined = may_be_renamed ? std::nullopt : db::join_duckdb_logs(log, checkpoint_log, headers.root);
        if (joined) {
            checkpoint_runs_ = log.marker_root && *log.marker_root != headers.root;
            HF_DO(
                use(headers, {.joined = *joined,
                              .only_grows = !log.header.empty() && !log.marker_root && checkpoint_image.bytes().empty(),
                              .wal_end = log_image.bytes().size() - log.uncommitted_bytes}));
            return true;
        }
        remember_log(log, checkpoint_log);
    }
    return false;
}

void LiveDuckDb::remember_log(const db::DuckDbLog& log, const db::DuckDbLog& checkpoint_log) {
    if (log.damaged_at || checkpoint_log.damaged_at) {
        const char* suffix = log.damaged_at ? ".wal" : ".wal.checkpoint";
        why_ = {ErrorCode::corrupt,
                fmt::format("{}{} is damaged at byte {}: DuckDB would not open the database", path_, suffix,
                            log.damaged_at ? *log.damaged_at : *checkpoint_log.damaged_at),
                "a program that has it open: CHECKPOINT there writes all into the file; else `holdfast duckdb repair` "
                "says what is lost"};
    } else {
        why_ = {ErrorCode::changed, path_ + ".wal and .wal.checkpoint never fitted together",
                "run the backup again; if no program has the database open, open and close it once first"};
    }
}

Result<unsigned> LiveDuckDb::take(const Taker& taker, unsigned tries_max) {
    Duration pause = 5ms;
    unsigned waits = 0;
    for (unsigned tries = 1; tries <= tries_max;) {
        HF_TRY(const bool made, attempt(taker));
        if (made) return tries;
        // A log that nobody writes does not mend by itself.
        if (why_.code == ErrorCode::corrupt && tries >= k_damaged_tries) {
            const auto file = os::open_file(path_, O_RDONLY);
            if (file && !is_open_somewhere(file->get())) return fail(why_);
        }
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while copying " + path_);
        if (waited_ && waits++ < k_waits_max) continue;
        ++tries;
        clock_.sleep(pause);
        pause = std::min<Duration>(pause * 2, 50ms);    // a longer one would sleep through the quiet time
    }
    return fail(why_);
}

Result<bool> LiveDuckDb::take_log(const DuckDbHeaderBytes& known,
                                  const std::function<Status(const db::DuckDbHeaders&, const Log&)>& log) {
    HF_TRY(const os::Fd file, os::open_file(path_, O_RDONLY));
    HF_TRY(const DuckDbHeaderBytes start, read_header_bytes(file.get()));
    if (start != known) return false;
    HF_TRY(const db::DuckDbHeaders headers, db::parse_duckdb_headers(start, path_));
    bool fits = false;
    HF_TRY(const bool has_log,
           read_log(file.get(), headers, [&](const db::DuckDbHeaders& of, const Log& read) -> Status {
               // After the log: a checkpoint that ended meanwhile has taken it away, or put another in its place.
               HF_TRY(const DuckDbHeaderBytes end, read_header_bytes(file.get()));
               HF_TRY(const struct stat opened, os::status_of(fmt::format("/proc/self/fd/{}", file.get())));
               HF_TRY(const struct stat named, os::status_of(path_));
               fits = end == known && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
               return fits ? log(of, read) : Status();
           }));
    if (!has_log && why_.code == ErrorCode::corrupt) return fail(why_);
    return has_log && fits;
}

}    // namespace holdfast::source
