#pragma once
// Writes an RDB out of parts that an RdbCopy has handed on, with the checksum over them.
//
//   shape    "REDIS0010" | parts | ff | CRC-64 of all before, little endian
//   promise  finish() returns when the file is on the disk; before, and after an error, what is there is no RDB
//   threads  one object, one thread

#include <string>

#include "holdfast/base/result.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::db {

class RdbWriter {
public:
    static Result<RdbWriter> create(const std::string& path, unsigned version);

    Status write(ByteView part) {
        if (buffer_.size() + part.size() > k_buffer) HF_DO(flush());
        if (part.size() > k_buffer) return put(part);
        buffer_.insert(buffer_.end(), part.begin(), part.end());
        return {};
    }
    /// What is written from now on is of this database.
    Status select(std::uint64_t database);
    /// The end and the checksum; synced.
    Status finish();

private:
    static constexpr std::size_t k_buffer = std::size_t(1) << 20;

    RdbWriter(os::Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {
        buffer_.reserve(k_buffer);
    }
    Status flush();
    Status put(ByteView bytes);

    os::Fd file_;
    std::string path_;
    Bytes buffer_;
    std::uint64_t crc_ = 0, written_ = 0, started_ = 0;
};

}    // namespace holdfast::db
