#include "holdfast/db/rdb_crc64.hpp"

#include <array>

namespace holdfast::db {
namespace {

constexpr std::uint64_t k_polynomial = 0x95ac9329ac4bc9b5;    // ad93d23594c935a9 with its bits reversed

// Slicing by 8: table[k][b] is the CRC of byte b followed by k zero bytes.
constexpr auto k_tables = [] {
    std::array<std::array<std::uint64_t, 256>, 8> tables{};
    for (std::uint64_t byte = 0; byte < 256; ++byte) {
        std::uint64_t crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? k_polynomial : 0);
        tables[0][byte] = crc;
    }
    for (std::size_t k = 1; k < 8; ++k)
        for (std::size_t byte = 0; byte < 256; ++byte)
            tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xff];
    return tables;
}();

}    // namespace

std::uint64_t crc64_jones(std::uint64_t crc, ByteView bytes) {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    for (; left >= 8; left -= 8, at += 8) {
        crc ^= load_le<std::uint64_t>(at);
        std::uint64_t next = 0;
        for (std::size_t k = 0; k < 8; ++k) next ^= k_tables[7 - k][(crc >> (8 * k)) & 0xff];
        crc = next;
    }
    for (; left > 0; --left, ++at) crc = (crc >> 8) ^ k_tables[0][(crc ^ static_cast<std::uint8_t>(*at)) & 0xff];
    return crc;
}

}    // namespace holdfast::db
