#pragma once
// A new file that is written past the page cache (O_DIRECT): no byte is copied, what other programs have in the cache stays
// there, and no heap of unwritten pages builds up that somebody has to wait for.
//
//   alignment  what goes past the cache lies at the same distance from a multiple of k_block in memory as in the file. Its ends,
//              less than a block each, are kept and written together later: a write through the cache waits for all writes
//              past it, and they for it
//   fallback   a file system that refuses: everything goes through the cache
//   durable    no more than after any write: to sync is the caller's part
//   threads    any, for parts of the file that do not overlap; open_direct() before them

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/os/fd.hpp"

namespace holdfast::os {

inline constexpr std::size_t k_block = 4096;

/// The ends of a file's parts that are not yet written.
class PartEnds {
public:
    /// `held`: the bytes of all files that share it, and outlives them. They keep 2 MiB together, however many they are.
    explicit PartEnds(std::atomic<std::size_t>& held) : held_(held) {}
    ~PartEnds() { held_ -= bytes_.size(); }
    PartEnds(const PartEnds&) = delete;
    PartEnds& operator=(const PartEnds&) = delete;
    /// Keeps a copy; the file gets all that is kept when it has become much.
    Status add(int fd, ByteView bytes, std::uint64_t offset);
    /// The file gets all that is kept. Without it, it is lost.
    Status flush(int fd);

private:
    struct End {
        std::uint64_t offset;
        std::size_t size;
    };
    Status flush_locked(int fd);
    std::atomic<std::size_t>& held_;
    std::mutex mutex_;
    std::vector<End> ends_;
    Bytes bytes_;    // of all, one after the other
};

class DirectFile {
public:
    /// Through the cache, until open_direct().
    explicit DirectFile(Fd fd) : fd_(std::move(fd)) {}
    /// Past the cache from now on, if the system can. The file should have its size already: writes that make it longer wait
    /// for each other.
    void open_direct();
    int get() const { return fd_.get(); }
    /// How many of the bytes went into the cache, or into `ends`.
    Result<std::size_t> write(ByteView bytes, std::uint64_t offset, PartEnds* ends);

private:
    Fd fd_, direct_;
};

}    // namespace holdfast::os
