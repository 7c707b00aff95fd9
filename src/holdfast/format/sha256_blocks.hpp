#pragma once
// SHA-256's inner part on x86 CPUs with the SHA instructions: whole blocks of one sum, or of two at once.
// Private to format/.

#include <array>
#include <cstddef>
#include <cstdint>

namespace holdfast::format {

struct Sha256Blocks {
    using Digest = std::array<std::uint32_t, 8>;
    static constexpr std::size_t k_block = 64;

    /// Whether this CPU can run the others.
    static bool available();
    static void one(Digest& digest, const std::byte* data, std::size_t blocks);
    /// The same for two sums; both advance by `blocks`.
    static void two(Digest& a, const std::byte* data_a, Digest& b, const std::byte* data_b, std::size_t blocks);
};

}    // namespace holdfast::format
