#include "holdfast/db/rdb_crc64.hpp"

#include <isa-l.h>

namespace holdfast::db {

std::uint64_t crc64_jones(std::uint64_t crc, ByteView bytes) {
    // The library inverts before and after, Redis does not.
    return ~crc64_jones_refl(~crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}    // namespace holdfast::db
