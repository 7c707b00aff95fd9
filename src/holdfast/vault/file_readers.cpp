#include "holdfast/vault/file_readers.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

// Open files that wait; each is a descriptor.
constexpr std::size_t k_files_waiting_max = 32;

// A DuckDB database: three headers of 4 KiB, then blocks. "DUCK" stands at byte 8 of the first header, the block size at
// byte 40 of the second (and third). Cut like this, a changed block costs one blob.
Cut cut_for(int fd, const struct stat& st) {
    constexpr std::uint32_t headers = 12288;
    constexpr std::uint64_t block_min = 16u << 10, block_max = 256u << 10;
    if (st.st_size < headers) return Cut::content();
    std::array<std::byte, 12> start;
    std::array<std::byte, 8> size;
    const auto started = os::pread_full(fd, start, 0);
    if (!started || *started != start.size() || as_text(ByteView(start).subspan(8)) != "DUCK") return Cut::content();
    const auto sized = os::pread_full(fd, size, 4096 + 40);
    if (!sized || *sized != size.size()) return Cut::content();
    const auto block = load_le<std::uint64_t>(size.data());
    if (!std::has_single_bit(block) || block < block_min || block > block_max) return Cut::content();
    // Blobs of small blocks would cost more in the index than they save: several blocks go together.
    return Cut::blocks(static_cast<std::uint32_t>(block_max), headers);
}

// A file is taken up to the size it had when it was opened: one that grows as fast as it is read would have no end.
// Files that the kernel makes up (/proc) say 0 and do have one.
constexpr auto k_unknown_end = std::numeric_limits<std::uint64_t>::max();
std::uint64_t end_of(const struct stat& st) {
    return st.st_size > 0 ? static_cast<std::uint64_t>(st.st_size) : k_unknown_end;
}

}    // namespace

FileReaders::FileReaders(Pipeline& pipeline, const Chunkers& chunkers, unsigned threads)
    : pipeline_(pipeline), chunkers_(chunkers) {
    for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { read_loop(); });
}

FileReaders::~FileReaders() {
    {
        const std::scoped_lock lock(mutex_);
        ending_ = true;
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void FileReaders::add(File file) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return files_.size() < k_files_waiting_max; });
    files_.push_back(std::move(file));
    lock.unlock();
    ready_.notify_one();
}

void FileReaders::read_loop() {
    for (;;) {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return !files_.empty() || ending_; });
        if (files_.empty()) return;
        File file = std::move(files_.front());
        files_.pop_front();
        lock.unlock();
        room_.notify_one();
        read(std::move(file));
    }
}

void FileReaders::read(File file) {
    ChunkFeeder feeder(pipeline_, chunkers_, cut_for(file.fd.get(), file.st),
                       static_cast<std::uint64_t>(file.st.st_size));
    const auto run = [&]() -> Result<std::shared_ptr<Content>> {
        for (std::uint64_t end = end_of(file.st); feeder.size() < end;) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while reading");
            const ByteSpan room = feeder.room();
            HF_TRY(const std::size_t n,
                   os::read_some(file.fd.get(), room.first(std::min<std::uint64_t>(room.size(), end - feeder.size()))));
            if (n == 0) break;
            HF_DO(feeder.filled(n));
            // It was empty when it was opened: a file that has begun to grow since has a size by now.
            if (struct stat now{}; end == k_unknown_end && ::fstat(file.fd.get(), &now) == 0)
                end = std::max(feeder.size(), end_of(now));
        }
        return feeder.end();
    };
    auto content = run();
    if (!content) return file.done(fail(std::move(content).error()));
    (*content)->end([done = std::move(file.done), keep = *content](Content&) { done(keep); });
}

}    // namespace holdfast::vault
