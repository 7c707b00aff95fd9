// --verify: what lies on disk is read again and its hashes compared with the snapshot.

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>

#include "holdfast/vault/restore_job.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_listed_max = 20;

class Verifier {
public:
    explicit Verifier(RestoreJob& job) : job_(job), wrong_(job.files.size()) {}

    Status run() {
        std::vector<ChunkRange> ranges;
        for (std::uint32_t i = 0; i < job_.files.size(); ++i) {
            if (!job_.files[i].finished) continue;
            const auto before = ranges.size();
            append_ranges(job_, i, ranges);
            if (ranges.size() == before) ranges.push_back({i, 0, 0, 0});    // an empty file
            ++files_;
        }
        run_parallel(job_, ranges.size(), [&](std::size_t number) { verify(ranges[number]); });
        HF_DO(job_.outcome());
        job_.summary.files_verified = files_;
        job_.summary.bytes_verified = bytes_;
        return report();
    }

private:
    void verify(const ChunkRange& range) {
        thread_local Bytes scratch;
        const auto& entry = job_.plan.files[range.file];
        auto fd = job_.target.open_to_read(job_.folders[entry.in], entry.node.name);
        if (!fd) return note(range.file, fd.error().message);
        struct stat st;
        if (::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode)) return note(range.file, "it is no file any more");
        if (static_cast<std::uint64_t>(st.st_size) != job_.files[range.file].size)
            return note(range.file,
                        fmt::format("it has {} bytes, the snapshot {}", st.st_size, job_.files[range.file].size));
        // From the disk, not from memory: what was written out leaves the page cache, and is read anew.
        if (!job_.options.sync) ::fdatasync(fd->get());
        ::posix_fadvise(fd->get(), static_cast<off_t>(range.offset), 0, POSIX_FADV_DONTNEED);
        const Status read =
            compare_chunks(job_, range, fd->get(), scratch, [&](std::uint32_t chunk, std::uint64_t length, bool equal) {
                bytes_ += length;
                if (!equal) note(range.file, fmt::format("its chunk {} differs", chunk));
            });
        if (!read) note(range.file, read.error().message);
    }

    void note(std::uint32_t file, const std::string& why) {
        const std::scoped_lock lock(mutex_);
        if (wrong_[file].empty()) wrong_[file] = why;
    }

    Status report() {
        std::string list;
        std::size_t count = 0;
        for (std::size_t i = 0; i < wrong_.size(); ++i) {
            if (wrong_[i].empty() || ++count > k_listed_max) continue;
            list += fmt::format("\n  {}: {}", job_.path_of(job_.plan.files[i]), wrong_[i]);
        }
        if (count == 0) return {};
        if (count > k_listed_max) list += fmt::format("\n  and {} more", count - k_listed_max);
        return fail(ErrorCode::mismatch,
                    fmt::format("{} of {} restored files differ from the snapshot on the disk:{}", count, files_, list),
                    "look at the disk (dmesg, smartctl), then restore these files again with --overwrite always");
    }

    RestoreJob& job_;
    std::mutex mutex_;
    std::vector<std::string> wrong_;    // by file: why
    std::size_t files_ = 0;
    std::atomic<std::uint64_t> bytes_ = 0;
};

}    // namespace

Status verify_contents(RestoreJob& job) { return Verifier(job).run(); }

}    // namespace holdfast::vault
