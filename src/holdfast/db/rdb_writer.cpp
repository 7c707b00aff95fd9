#include "holdfast/db/rdb_writer.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/db/rdb_crc64.hpp"

namespace holdfast::db {
namespace {

constexpr std::byte k_select{254}, k_end{255}, k_length_of_64_bits{0x81};
constexpr std::uint64_t k_step = 8 << 20;    // written out by the disk while we go on

}    // namespace

Result<RdbWriter> RdbWriter::create(const std::string& path, unsigned version) {
    HF_TRY(os::Fd file, os::open_file(path, O_WRONLY | O_CREAT | O_TRUNC));
    RdbWriter writer(std::move(file), path);
    HF_DO(writer.write(as_bytes(fmt::format("REDIS{:04}", version))));
    return writer;
}

Status RdbWriter::select(std::uint64_t database) {
    std::array<std::byte, 10> bytes{k_select, k_length_of_64_bits};
    store_le(bytes.data() + 2, __builtin_bswap64(database));
    return write(bytes);
}

Status RdbWriter::flush() {
    HF_DO(put(buffer_));
    buffer_.clear();
    return {};
}

Status RdbWriter::put(ByteView bytes) {
    crc_ = crc64_jones(crc_, bytes);
    HF_DO(os::write_all(file_.get(), bytes));
    written_ += bytes.size();
    if (written_ - started_ >= k_step) {
        ::sync_file_range(file_.get(), static_cast<off_t>(started_), static_cast<off_t>(written_ - started_),
                          SYNC_FILE_RANGE_WRITE);
        started_ = written_;
    }
    return {};
}

Status RdbWriter::finish() {
    buffer_.push_back(k_end);
    HF_DO(flush());
    std::array<std::byte, 8> sum;
    store_le(sum.data(), crc_);
    HF_DO(os::write_all(file_.get(), sum));
    return os::sync_fd(file_.get(), path_);
}

}    // namespace holdfast::db
