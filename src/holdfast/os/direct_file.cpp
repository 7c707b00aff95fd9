#include "holdfast/os/direct_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>

#include "holdfast/os/file.hpp"

namespace holdfast::os {
namespace {

// Shorter writes gain nothing.
constexpr std::size_t k_direct_min = 64u << 10;
// Of a file: about 25 parts' ends. Of all.
constexpr std::size_t k_ends_max = 64u << 10, k_held_max = 2u << 20;

}    // namespace

Status PartEnds::add(int fd, ByteView bytes, std::uint64_t offset) {
    if (bytes.empty()) return {};
    const std::scoped_lock lock(mutex_);
    if (bytes_.empty()) bytes_.reserve(k_ends_max + k_block);
    ends_.push_back({offset, bytes.size()});
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    const bool are_many = (held_ += bytes.size()) > k_held_max;
    if (!are_many && bytes_.size() < k_ends_max) return {};
    HF_DO(flush_locked(fd));
    if (are_many) Bytes().swap(bytes_);
    return {};
}

Status PartEnds::flush(int fd) {
    const std::scoped_lock lock(mutex_);
    return flush_locked(fd);
}

Status PartEnds::flush_locked(int fd) {
    std::size_t at = 0;
    for (const End& end : ends_) {
        HF_DO(pwrite_all(fd, ByteView(bytes_).subspan(at, end.size), end.offset));
        at += end.size;
    }
    held_ -= bytes_.size();
    ends_.clear();
    bytes_.clear();
    return {};
}

void DirectFile::open_direct() {
    // By way of the descriptor, not of the name: that may be another file by now.
    direct_ = Fd(::open(fmt::format("/proc/self/fd/{}", fd_.get()).c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC));
}

Result<std::size_t> DirectFile::write(ByteView bytes, std::uint64_t offset, PartEnds* ends) {
    const std::size_t head = (k_block - offset % k_block) % k_block;
    const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data() + head) % k_block == 0;
    if (!direct_ || !ends || !aligned || bytes.size() < k_direct_min) {
        HF_DO(pwrite_all(fd_.get(), bytes, offset));
        return bytes.size();
    }
    const std::size_t tail = (bytes.size() - head) % k_block;
    HF_DO(ends->add(fd_.get(), bytes.first(head), offset));
    HF_DO(ends->add(fd_.get(), bytes.last(tail), offset + bytes.size() - tail));
    ByteView blocks = bytes.subspan(head, bytes.size() - head - tail);
    for (std::uint64_t at = offset + head; !blocks.empty();) {
        const ssize_t n = ::pwrite(direct_.get(), blocks.data(), blocks.size(), static_cast<off_t>(at));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EINVAL) {
            // This file system wants other blocks, or what is left of a write that was cut short is none.
            HF_DO(pwrite_all(fd_.get(), blocks, at));
            return head + tail + blocks.size();
        }
        if (n < 0) return fail(errno_error(errno, "cannot write"));
        blocks = blocks.subspan(static_cast<std::size_t>(n));
        at += static_cast<std::uint64_t>(n);
    }
    return head + tail;
}

}    // namespace holdfast::os
