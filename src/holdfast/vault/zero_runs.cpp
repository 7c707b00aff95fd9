#include "holdfast/vault/zero_runs.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "holdfast/os/file.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_block = 4096;    // holes begin and end on the file system's blocks

bool is_zero(ByteView block) {
    return block[0] == std::byte(0) && std::memcmp(block.data(), block.data() + 1, block.size() - 1) == 0;
}

}    // namespace

Status write_with_holes(int fd, ByteView bytes, std::uint64_t offset, bool punch) {
    const auto hole = [&](std::size_t from, std::size_t to) -> Status {
        if (!punch) return {};
        if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset + from),
                        static_cast<off_t>(to - from)) == 0)
            return {};
        if (errno != EOPNOTSUPP) return fail(errno_error(errno, "cannot free a run of zeros"));
        return os::pwrite_all(fd, bytes.subspan(from, to - from), offset + from);
    };
    std::size_t written = 0;
    // The first block boundary of the file inside these bytes.
    std::size_t at = std::min<std::size_t>((k_block - offset % k_block) % k_block, bytes.size());
    while (at < bytes.size()) {
        std::size_t end = at;
        while (end < bytes.size() && is_zero(bytes.subspan(end, std::min(k_block, bytes.size() - end))))
            end = std::min(end + k_block, bytes.size());
        // A run that goes on in the next chunk counts, too: all zeros of a file come in such pieces.
        if (end - at >= k_hole_min || (end == bytes.size() && at == 0 && end > at)) {
            if (at > written) HF_DO(os::pwrite_all(fd, bytes.subspan(written, at - written), offset + written));
            HF_DO(hole(at, end));
            written = at = end;
        } else {
            at = std::max(end, at + k_block);
        }
    }
    if (written < bytes.size()) return os::pwrite_all(fd, bytes.subspan(written), offset + written);
    return {};
}

}    // namespace holdfast::vault
