#pragma once
// One moment of a live DuckDB database, seen from outside by plain reads, never under a lock, while another process keeps committing.
//
//   scheme    headers | logs | headers | every block | headers; the headers must be the same bytes all three times, and
//             the logs are joined to fit them (db/duckdb_wal.hpp). Blocks that count are never rewritten between two
//             header changes, except near the end of a checkpoint: what was read during one does not count. Blocks that do
//             not count may be torn, which is harmless
//   promise   every commit acknowledged before the call is in what was taken
//   never     use this in the process that has the database open: closing the file would drop DuckDB's own lock
//   threads   one object by one thread at a time
//   proof     docs/decisions/0004-duckdb-live-copy.md

#include <array>
#include <functional>
#include <string>

#include "holdfast/base/clock.hpp"
#include "holdfast/db/duckdb_file.hpp"
#include "holdfast/db/duckdb_wal.hpp"

namespace holdfast::source {

using DuckDbHeaderBytes = std::array<std::byte, db::k_duckdb_headers_size>;

class LiveDuckDb {
public:
    /// `scratch`: where logs are put as they are read: "<scratch>.log-as-read" and another, gone in the end.
    LiveDuckDb(std::string path, std::string scratch, Clock& clock);
    ~LiveDuckDb();
    LiveDuckDb(const LiveDuckDb&) = delete;
    LiveDuckDb& operator=(const LiveDuckDb&) = delete;

    /// Valid while the callback runs.
    struct Log {
        const db::JoinedLog& joined;
        /// X.wal alone holds it, without a checkpoint's marker: until the headers change it only grows, from wal_end on.
        bool only_grows = false;
        std::uint64_t wal_end = 0;    // behind its last flush
    };
    /// Called anew in each try.
    struct Taker {
        std::function<Status(const db::DuckDbHeaders&, const Log&)> log;
        /// Reads all of `file`, which is as long as `size` says. False: it was cut meanwhile.
        std::function<Result<bool>(int file, const DuckDbHeaderBytes&, std::uint64_t size)> blocks;
        /// Runs in a time in which there is only to wait: makes durable what was taken. May be empty.
        std::function<Status()> settle;
    };
    /// Returns the number of tries. Errors: not_found, corrupt (not a DuckDB file, or damaged), unsupported (encrypted, too
    /// old), changed (never quiet long enough), cancelled, and those of the callbacks.
    Result<unsigned> take(const Taker& taker, unsigned tries_max);

    /// The log alone, when the headers are still these bytes: all that was committed since whoever read the blocks under them.
    /// False: they are not, or the two logs never fitted together.
    Result<bool> take_log(const DuckDbHeaderBytes& known,
                          const std::function<Status(const db::DuckDbHeaders&, const Log&)>& log);

    static Result<DuckDbHeaderBytes> read_header_bytes(int file);
    /// Whether a process has it open, by the lock that DuckDB holds; takes none.
    static bool is_open_somewhere(int file);

private:
    Result<bool> attempt(const Taker& taker);
    Result<db::DuckDbHeaders> read_headers(int file, DuckDbHeaderBytes& bytes);
    Result<bool> read_log(int file, const db::DuckDbHeaders& headers,
                          const std::function<Status(const db::DuckDbHeaders&, const Log&)>& use);
    Result<bool> sees_checkpoint(std::uint64_t root);
    Status wait_for_checkpoint(int file, const DuckDbHeaderBytes& start, std::uint64_t root);
    void remember_log(const db::DuckDbLog& log, const db::DuckDbLog& checkpoint_log);
    bool moved_on();
    std::string log_copy() const { return scratch_ + ".log-as-read"; }
    std::string checkpoint_log_copy() const { return scratch_ + ".checkpoint-log-as-read"; }

    const std::string path_, scratch_;
    Clock& clock_;
    bool checkpoint_runs_ = false;    // when the log was read
    bool waited_ = false;    // a checkpoint has just ended: the next one is as far away as it can be
    Error why_;
};

}    // namespace holdfast::source
