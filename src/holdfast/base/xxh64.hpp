#pragma once
// XXH64, seeded: finds changed and damaged blocks at the speed of memory. No protection against ill will: that is SHA-256's work.
//
//   source   the xxHash specification, 0.2.0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md)

#include "holdfast/base/bytes.hpp"

namespace holdfast {

std::uint64_t xxh64(ByteView bytes, std::uint64_t seed = 0);

}    // namespace holdfast
