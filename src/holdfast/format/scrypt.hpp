#pragma once
// The memory-hard middle of scrypt, as fast as a core can. Private to format/.
//
//   A lane is one long chain of Salsa20/8 that leaves most of the core idle: five lanes run side by side. And of the N
//   rows that a lane looks up only every eighth is kept, the others are made again from that one: more work than in the
//   textbook, but in 20 MiB for all five lanes of the usual N=32768. (That trade has always been open to an attacker,
//   too; what a guess costs is a matter of N, r and p alone.) Measured, N=32768, r=8, p=5, one core: OpenSSL 430 ms and
//   32 MiB, this 165 ms with AVX-512 and 205 ms with AVX2.
//
//   source   RFC 7914, sections 3 to 6

#include <cstdint>

#include "holdfast/base/bytes.hpp"

namespace holdfast::format {

struct ScryptLanes {
    /// `avx2` is for tests: what a CPU without AVX-512 gets.
    enum class Kind { fastest, avx2 };
    /// Whether this CPU can run mix().
    static bool available();
    /// Replaces each lane of 128 * r bytes by scryptROMix of it. N is a power of two above 1, below 2^32. False when the
    /// memory is not to be had.
    static bool mix(ByteSpan lanes, std::uint64_t n, std::uint32_t r, Kind kind = Kind::fastest);
};

}    // namespace holdfast::format
