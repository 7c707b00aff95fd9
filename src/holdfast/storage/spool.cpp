#include "holdfast/storage/spool.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::storage {
namespace {

Error in_context(Error error) {
    error = std::move(error).within("a file on its way to the repository is kept under the folder for temporary files");
    if (error.code == ErrorCode::disk_full) error.hint = "free some space there, or name another folder by TMPDIR";
    return error;
}

}    // namespace

Result<Spool> Spool::create() {
    const std::string folder = os::environment("TMPDIR").value_or("/tmp");
    if (auto unnamed = os::open_file(folder, O_TMPFILE | O_RDWR, 0600)) return Spool(*std::move(unnamed));
    // This file system has no unnamed files, or the folder is no good: the name goes at once.
    std::string name = folder + "/holdfast-spool-XXXXXX";
    os::Fd fd(::mkostemp(name.data(), O_CLOEXEC));
    if (!fd) return fail(in_context(errno_error(errno, "cannot make a file in " + folder)));
    ::unlink(name.c_str());
    return Spool(std::move(fd));
}

Status Spool::write(ByteView bytes) {
    if (auto status = os::write_all(fd_.get(), bytes); !status) return fail(in_context(std::move(status).error()));
    size_ += bytes.size();
    return {};
}

Status Spool::read(std::uint64_t offset, ByteSpan to) {
    HF_ASSERT(offset + to.size() <= size_);
    auto n = os::pread_full(fd_.get(), to, offset);
    if (!n) return fail(in_context(std::move(n).error()));
    if (*n != to.size()) return fail(ErrorCode::io, "a file on its way to the repository became shorter");
    return {};
}

}    // namespace holdfast::storage
