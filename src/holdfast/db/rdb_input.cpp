#include "holdfast/db/rdb_input.hpp"

#include <fmt/core.h>

#include "holdfast/db/rdb_crc64.hpp"

namespace holdfast::db {
namespace {

constexpr std::size_t k_buffer = std::size_t(64) << 10;
constexpr std::uint64_t k_step = std::uint64_t(1) << 20;    // how far a string grows at a time
constexpr std::size_t k_keep_max = std::size_t(1) << 20;    // of memory for unpacked strings between two of them
constexpr std::uint64_t k_string_max = std::uint64_t(4) << 30;    // nothing in Redis is larger than 4 GiB

// Three packed bytes unpack to 264 at most.
constexpr std::uint64_t k_lzf_ratio_max = 100;

// False when the packed bytes are not sound or do not give exactly `size` bytes.
bool unpack_lzf(std::string_view packed, char* to, std::size_t size) {
    std::size_t at = 0, made = 0;
    while (at < packed.size()) {
        const unsigned control = static_cast<unsigned char>(packed[at++]);
        if (control < 32) {
            const std::size_t run = control + 1;
            if (run > packed.size() - at || run > size - made) return false;
            std::memcpy(to + made, packed.data() + at, run);
            at += run;
            made += run;
            continue;
        }
        std::size_t run = control >> 5;
        if (run == 7) {
            if (at == packed.size()) return false;
            run += static_cast<unsigned char>(packed[at++]);
        }
        run += 2;
        if (at == packed.size()) return false;
        const std::size_t back = ((control & 0x1f) << 8) + static_cast<unsigned char>(packed[at++]) + 1;
        if (back > made || run > size - made) return false;
        if (back >= run)
            std::memcpy(to + made, to + made - back, run);
        else    // the run overlaps what it writes
            for (std::size_t i = 0; i < run; ++i) to[made + i] = to[made + i - back];
        made += run;
    }
    return made == size;
}

}    // namespace

RdbInput::RdbInput(RdbSource source) : source_(std::move(source)) { buffer_.resize(k_buffer); }

std::unexpected<Error> RdbInput::corrupt(std::string_view what) const {
    return fail(ErrorCode::corrupt, fmt::format("the RDB is damaged at byte {}: {}", offset(), what));
}

std::uint64_t RdbInput::crc() {
    crc_ = crc64_jones(crc_, ByteView(buffer_).subspan(summed_, at_ - summed_));
    summed_ = at_;
    return crc_;
}

Status RdbInput::drain() {
    const ByteView due = ByteView(buffer_).subspan(tapped_, at_ - tapped_);
    tapped_ = at_;
    return tap_ && !due.empty() ? tap_(due) : Status();
}

Result<bool> RdbInput::refill() {
    crc();
    HF_DO(drain());
    taken_before_ += at_;
    at_ = end_ = summed_ = tapped_ = 0;
    HF_TRY(end_, source_(buffer_));
    return end_ > 0;
}

Status RdbInput::fill() {
    HF_TRY(const bool more, refill());
    if (!more) return corrupt("it ends too early");
    return {};
}

Result<bool> RdbInput::at_end() {
    if (at_ < end_) return false;
    HF_TRY(const bool more, refill());
    return !more;
}

Result<std::uint8_t> RdbInput::byte() {
    if (at_ == end_) HF_DO(fill());
    return static_cast<std::uint8_t>(buffer_[at_++]);
}

Status RdbInput::read(ByteSpan to) {
    while (!to.empty()) {
        if (at_ == end_) HF_DO(fill());
        const std::size_t n = std::min(to.size(), end_ - at_);
        std::memcpy(to.data(), buffer_.data() + at_, n);
        at_ += n;
        to = to.subspan(n);
    }
    return {};
}

//   00xxxxxx                     6 bits
//   01xxxxxx x8                  14 bits, big endian
//   10000000 x32 | 10000001 x64  big endian
//   11xxxxxx                     not a length: a string's encoding
Result<RdbInput::Header> RdbInput::header() {
    HF_TRY(const std::uint8_t first, byte());
    switch (first >> 6) {
        case 0:
            return Header{first & 0x3fu, false};
        case 1: {
            HF_TRY(const std::uint8_t second, byte());
            return Header{(first & 0x3fu) << 8 | second, false};
        }
        case 3:
            return Header{first & 0x3fu, true};
        default:
            break;
    }
    if (first == 0x80) {
        HF_TRY(const auto value, little_endian<std::uint32_t>());
        return Header{__builtin_bswap32(value), false};
    }
    if (first == 0x81) {
        HF_TRY(const auto value, little_endian<std::uint64_t>());
        return Header{__builtin_bswap64(value), false};
    }
    return corrupt("a length of an unknown kind");
}

Result<std::uint64_t> RdbInput::length() {
    HF_TRY(const Header header, this->header());
    if (header.encoded) return corrupt("an encoding stands where a length must be");
    return header.value;
}

Status RdbInput::append(std::string& to, std::uint64_t size) {
    if (size > k_string_max) return corrupt("a string is longer than any that Redis holds");
    while (size > 0) {
        const std::size_t step = std::min(size, k_step);
        const std::size_t before = to.size();
        to.resize(before + step);
        HF_DO(read(std::as_writable_bytes(std::span(to.data() + before, step))));
        size -= step;
    }
    return {};
}

Result<std::string_view> RdbInput::packed_string() {
    HF_TRY(const std::uint64_t packed_size, length());
    HF_TRY(const std::uint64_t size, length());
    std::string gathered;
    std::string_view packed;
    if (packed_size <= end_ - at_) {    // as nearly always: no copy
        packed = as_text(ByteView(buffer_).subspan(at_, packed_size));
        at_ += packed_size;
    } else {
        HF_DO(append(gathered, packed_size));
        packed = gathered;
    }
    if (size > packed_size * k_lzf_ratio_max) return corrupt("a compressed string does not unpack");
    if (plain_.capacity() > k_keep_max) plain_ = {};
    bool sound = false;
    plain_.resize_and_overwrite(size, [&](char* to, std::size_t) {
        sound = unpack_lzf(packed, to, size);
        return sound ? size : 0;
    });
    if (!sound) return corrupt("a compressed string does not unpack");
    return plain_;
}

Result<std::string> RdbInput::encoded_string(std::uint64_t encoding) {
    switch (encoding) {
        case 0: {
            HF_TRY(const auto value, little_endian<std::int8_t>());
            return std::to_string(value);
        }
        case 1: {
            HF_TRY(const auto value, little_endian<std::int16_t>());
            return std::to_string(value);
        }
        case 2: {
            HF_TRY(const auto value, little_endian<std::int32_t>());
            return std::to_string(value);
        }
        case 3: {
            HF_TRY(const std::string_view plain, packed_string());
            return std::string(plain);
        }
        default:
            return corrupt("a string of an unknown encoding");
    }
}

Result<std::string> RdbInput::string() {
    HF_TRY(const Header header, this->header());
    if (header.encoded) return encoded_string(header.value);
    std::string text;
    HF_DO(append(text, header.value));
    return text;
}

Status RdbInput::pass(std::uint64_t size, RdbHash& hash) {
    while (size > 0) {
        if (at_ == end_) HF_DO(fill());
        const std::size_t n = std::min<std::uint64_t>(size, end_ - at_);
        hash.raw(ByteView(buffer_).subspan(at_, n));
        at_ += n;
        size -= n;
    }
    return {};
}

Status RdbInput::hash_string(RdbHash& hash) {
    HF_TRY(const Header header, this->header());
    if (header.encoded && header.value == 3 && hash.off()) {
        HF_TRY(const std::uint64_t packed_size, length());
        HF_DO(length());
        return pass(packed_size, hash);
    }
    if (header.encoded && header.value == 3) {
        HF_TRY(const std::string_view plain, packed_string());
        hash.text(plain);
        return {};
    }
    if (header.encoded) {
        HF_TRY(const std::string text, encoded_string(header.value));
        hash.text(text);
        return {};
    }
    hash.number(header.value);
    return pass(header.value, hash);
}

}    // namespace holdfast::db
