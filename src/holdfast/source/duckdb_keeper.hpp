#pragma once
// Keeps states of one live DuckDB database beside it, as often as twice a second: what was committed since the last time is appended to
// our log; only when its headers changed (a checkpoint) are its blocks read, and those that changed are stored.
//
//   cost      nothing committed: one read of 12 KiB. Commits: their bytes, once. A checkpoint: one read of the file, one hash
//             over it, and a write of what changed
//   promise   a state is durable before take() tells it, and every commit acknowledged before the call is in it. Killed at
//             any instant: what was told before is there. Expiry never takes the newest state, nor the newest verified one
//   never     as LiveDuckDb: not in the process that has the database open
//   errors    locked (another keeper), those of LiveDuckDb, disk_full
//   threads   take() by one thread; verify() by another one at the same time
//   source    docs/decisions/0025-duckdb-kept-states.md

#include <sys/stat.h>

#include <map>
#include <memory>
#include <mutex>

#include "holdfast/db/duckdb_check.hpp"
#include "holdfast/os/fd.hpp"
#include "holdfast/policy/kept_states.hpp"
#include "holdfast/source/duckdb_states.hpp"

namespace holdfast::source {

struct DuckDbKeeperOptions {
    std::string path;    // of the database, absolute
    std::string folder;    // of its states
    Duration keep = std::chrono::hours(1);    // how long a state is kept at least
    // However old they are: the newest states that were taken, and the newest generations that were verified.
    std::uint32_t keep_last = 1, keep_verified = 1;
    std::string scratch;    // for the copies that are verified; empty: in `folder`
};

class DuckDbKeeper {
public:
    static Result<std::unique_ptr<DuckDbKeeper>> open(DuckDbKeeperOptions options, Clock& clock);

    struct Taken {
        enum class Kind { nothing, log, blocks } kind = Kind::nothing;
        DuckDbState state;    // the newest one now
        std::uint64_t bytes = 0;    // written
        std::uint32_t blocks = 0;    // of them stored
        unsigned tries = 1;
    };
    Result<Taken> take();

    /// The newest state, opened and read by libduckdb in a child process; what it found stands beside the state from then on. After
    /// `corrupt` nothing that is kept is built upon any more: the next take() stores every block anew.
    Result<json::Value> verify(db::DuckDbCheck::Depth depth);
    /// The newest state; generation 0: none yet. From any thread.
    DuckDbState newest();

    const DuckDbKeeperOptions& options() const { return options_; }

private:
    // What expiry has to know of a generation.
    struct Kept {
        Timestamp at, until;
        std::uint32_t stored = 0;
        bool restorable = false;    // its log is there
        bool verified = false;
        std::uint64_t moments = 0;    // states that were taken of it
        std::map<std::uint32_t, std::uint32_t> needs;    // generation of blocks: how many of them
    };

    DuckDbKeeper(DuckDbKeeperOptions options, Clock& clock, os::Fd lock);
    Status load();
    Result<std::optional<Taken>> take_tail(Timestamp at);
    Result<std::optional<Taken>> take_log(Timestamp at);
    Result<Taken> take_blocks(Timestamp at);
    void note_identity(const struct stat& opened);
    std::vector<char> find_same(int file) const;
    Result<bool> store_blocks(int file, const DuckDbHeaderBytes& start, std::uint64_t size);
    Result<Taken> append(Timestamp at, const std::vector<ByteView>& pieces, std::uint64_t commits);
    void remember_end(const LiveDuckDb::Log& log);
    void expire(Timestamp now, const policy::KeepStatesRule& rule);
    Result<Taken> take_anew(Timestamp at);
    bool is_retiring(std::uint32_t generation) const { return retiring_.contains(generation); }

    const DuckDbKeeperOptions options_;
    Clock& clock_;
    const os::Fd lock_;
    LiveDuckDb live_;

    // The newest generation, and how far its log was taken.
    KeptGeneration current_;
    bool has_current_ = false;    // taken by this object: only then its log goes on
    dev_t device_ = 0;    // of the file whose blocks were read
    ino_t inode_ = 0;
    os::Fd log_;
    std::vector<KeptFrame> frames_;
    std::uint64_t log_bytes_ = 0, row_groups_ = 0;
    std::uint64_t log_end_ = 0;    // of the file of frames
    bool only_grows_ = false;
    std::uint64_t wal_end_ = 0;
    Bytes wal_tail_;    // the bytes before wal_end_

    // While blocks are stored.
    KeptGeneration next_;
    os::Fd blocks_file_;
    std::vector<std::uint64_t> stored_hashes_;    // of the blocks in blocks_file_
    std::map<std::uint64_t, std::uint32_t> stored_by_place_;    // block number: the newest of these
    Bytes buffer_;

    std::mutex mutex_;    // over what follows
    std::map<std::uint32_t, Kept> kept_;
    std::map<std::uint32_t, std::uint32_t> retiring_;    // files of blocks that are mostly unused
    std::uint32_t pinned_ = 0, newest_ = 0;
    DuckDbState newest_state_;
    bool distrust_ = false, distrusted_ = false;
};

}    // namespace holdfast::source
