#pragma once
// A file on its way to a storage that wants its name and length first: kept in a file without a name under $TMPDIR (or
// /tmp), so that memory stays flat however many uploads run at once, and a killed process leaves nothing.
//
//   errors    disk_full, denied, io: of the folder for temporary files
//   threads   one at a time

#include "holdfast/os/fd.hpp"
#include "holdfast/storage/http_client.hpp"

namespace holdfast::storage {

class Spool final : public HttpBody {
public:
    static Result<Spool> create();

    Status write(ByteView bytes);
    std::uint64_t size() const override { return size_; }
    Status read(std::uint64_t offset, ByteSpan to) override;

private:
    explicit Spool(os::Fd fd) : fd_(std::move(fd)) {}
    os::Fd fd_;
    std::uint64_t size_ = 0;
};

}    // namespace holdfast::storage
