#pragma once
// A Redis that loads its RDB while that is still being made: a pipe at the place of dump.rdb, fed from the growing file.
//
//   when     nothing is replaced: no data lies there, no server runs. Damage that is found midway has then cost a start only
//   order    pipe in place, start_command | the file grows and goes through the pipe | it is whole, proven, synced, renamed over the
//            pipe | its last bytes go through. Before it has those no server serves or saves, and whoever opens later opens the file
//   restart  a server that ends before (a supervisor's time limit) and is started again is fed from the start
//   kill -9  before the rename a pipe lies there, which is no data; a server that waits at it serves nothing, until
//            release_redis_pipe(). Afterwards the file
//   threads  one object, one thread; a second one feeds
//   source   rdb.c of Redis 7.0: rdbLoad() opens with fopen, reads on without a seek, and wants the checksum's eight bytes; after an
//            error it opens its file once more, by name, and ends

#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include "holdfast/base/bytes.hpp"
#include "holdfast/os/fd.hpp"
#include "holdfast/recovery/redis_instance.hpp"
#include "holdfast/recovery/restore_store.hpp"

namespace holdfast::recovery {

class RedisStream {
public:
    /// Nothing happens yet. `staging` is on the data folder's file system; what is handed in outlives this object.
    RedisStream(const policy::RedisConfig& config, const RedisInstance& instance, const RestoreContext& context,
                Owner owner, std::string staging)
        : config_(config), instance_(instance), context_(context), owner_(owner), staging_(std::move(staging)) {}
    ~RedisStream();    // as abandon(), when it still follows
    RedisStream(const RedisStream&) = delete;
    RedisStream& operator=(const RedisStream&) = delete;

    /// The RDB is about to be written to `file`, from its start on and nothing of it twice: starts the server upon it. Where
    /// that cannot be (a file system without pipes, no such command) it does not follow, and the restore goes on without. The error is that
    /// of context.will_replace.
    Status follow(const std::string& file);
    bool follows() const { return feeder_.joinable(); }
    /// The file is in its place: lets its last bytes out. Returns when the server serves; one that did not load from the pipe is
    /// started as ever.
    Status finish();
    /// Neither pipe nor server is left.
    Status abandon();

private:
    Status put_pipe();
    void remove_pipe() const;
    void feed();
    enum class Fed { in_part, all, reader_gone };
    Fed feed_some(int out, std::uint64_t& at);
    void stop_feeding();

    const policy::RedisConfig& config_;
    const RedisInstance& instance_;
    const RestoreContext& context_;
    const Owner owner_;
    const std::string staging_;
    os::Fd file_;
    std::optional<os::Process> launched_;
    std::thread feeder_;
    std::atomic<bool> stop_ = false, whole_ = false;
    std::atomic<bool> was_opened_ = false;    // by a server, once
    std::atomic<bool> is_lost_ = false;    // the one that read has ended before it had all
    os::Fd pipe_;    // O_PATH
};

/// Ends the server that hangs at what a killed restore has left. Where none does the pipe stays: whatever comes to its place does so
/// by a rename, so that a server that is still on its way never finds nothing. Under the folder's lock.
Status release_redis_pipe(const RedisInstance& instance, Clock& clock);

}    // namespace holdfast::recovery
