#pragma once
// The memory-hard middle of scrypt, as fast as a core can. Private to format/.
//
//   A lane is one long chain of Salsa20/8 that leaves half of the core idle: two lanes run side by side in the halves of
//   256-bit registers. And of the N rows that a lane looks up only every second or fourth is kept, the others are made
//   again from the one before: a quarter more work than in the textbook, but 16 MiB instead of 32 for the usual N=32768.
//   (That trade has always been open to an attacker, too; what a guess costs is a matter of N, r and p alone.)
//   Measured, N=32768, r=8, p=5, one core: OpenSSL 430 ms and 32 MiB, this 240 ms and 16 MiB.
//
//   source   RFC 7914, sections 3 to 6

#include <cstdint>

#include "holdfast/base/bytes.hpp"

namespace holdfast::format {

struct ScryptLanes {
    /// Whether this CPU can run mix().
    static bool available();
    /// Replaces each lane of 128 * r bytes by scryptROMix of it. N is a power of two above 1, below 2^32. False when the
    /// memory is not to be had.
    static bool mix(ByteSpan lanes, std::uint64_t n, std::uint32_t r);
};

}    // namespace holdfast::format
