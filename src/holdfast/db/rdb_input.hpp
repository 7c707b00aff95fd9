#pragma once
// The bytes of an RDB, pulled from a source and turned into its numbers and strings; keeps the CRC of all that was taken.
//
//   errors   corrupt, with the offset: the input ends too early, a length that cannot be, broken LZF. The source's own
//            errors are handed on as they are
//   memory   one 64 KiB buffer; a string that is asked for whole grows with the bytes that really come
//   source   rdb.c of Redis 7.0 (rdbLoadLenByRef, rdbGenericLoadStringObject), lzf_d.c

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/result.hpp"
#include "holdfast/db/rdb_digest.hpp"

namespace holdfast::db {

/// Fills `to` with what is there, at least one byte; 0 only at the end.
using RdbSource = std::function<Result<std::size_t>(ByteSpan to)>;

class RdbInput {
public:
    explicit RdbInput(RdbSource source);

    Result<std::uint8_t> byte();
    Status read(ByteSpan to);
    template <class T>
    Result<T> little_endian() {
        std::array<std::byte, sizeof(T)> bytes;
        HF_DO(read(bytes));
        return load_le<T>(bytes.data());
    }
    /// A plain length; an encoding where a length must stand is corrupt.
    Result<std::uint64_t> length();
    /// A string, decoded: integers become decimal text, LZF is unpacked.
    Result<std::string> string();
    /// The same, straight into a hash, as RdbHash::text would put it; plain strings of any size pass through in pieces.
    Status hash_string(RdbHash& hash);

    Result<bool> at_end();    // nothing more comes; looks at the source if it must
    std::uint64_t offset() const { return taken_before_ + at_; }
    /// From here on each byte that is taken goes to `tap`, too, once and in order; drain() hands on what is due.
    void tap(std::function<Status(ByteView)> tap) {
        tap_ = std::move(tap);
        tapped_ = at_;
    }
    Status drain();

    /// CRC-64 of everything taken so far.
    std::uint64_t crc();
    std::unexpected<Error> corrupt(std::string_view what) const;

private:
    struct Header {
        std::uint64_t value;
        bool encoded;
    };
    Result<Header> header();
    Result<bool> refill();    // false at the end of the source
    Status fill();    // at least one byte, or an error
    Status append(std::string& to, std::uint64_t size);
    Status pass(std::uint64_t size, RdbHash& hash);
    Result<std::string_view> packed_string();    // LZF; lives until the next one
    Result<std::string> encoded_string(std::uint64_t encoding);

    RdbSource source_;
    Bytes buffer_;
    std::string plain_;
    std::size_t at_ = 0, end_ = 0, summed_ = 0, tapped_ = 0;
    std::function<Status(ByteView)> tap_;
    std::uint64_t taken_before_ = 0, crc_ = 0;
};

}    // namespace holdfast::db
