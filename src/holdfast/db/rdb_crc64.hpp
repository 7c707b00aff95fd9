#pragma once
// CRC-64 as Redis computes it over an RDB: polynomial ad93d23594c935a9 (Jones), reflected, no inversion. Its check value
// of "123456789" is e9c6d914c4b8d9ca.

#include <cstdint>

#include "holdfast/base/bytes.hpp"

namespace holdfast::db {

std::uint64_t crc64_jones(std::uint64_t crc, ByteView bytes);

}    // namespace holdfast::db
