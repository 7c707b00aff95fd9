#include "holdfast/storage/spool.hpp"

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
    auto fd = os::unnamed_file(folder);
    if (!fd) return fail(in_context(std::move(fd).error()));
    return Spool(*std::move(fd));
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
