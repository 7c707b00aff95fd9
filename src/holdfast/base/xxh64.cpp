#include "holdfast/base/xxh64.hpp"

namespace holdfast {
namespace {

constexpr std::uint64_t k_1 = 0x9E3779B185EBCA87, k_2 = 0xC2B2AE3D27D4EB4F, k_3 = 0x165667B19E3779F9,
                        k_4 = 0x85EBCA77C2B2AE63, k_5 = 0x27D4EB2F165667C5;

std::uint64_t round(std::uint64_t lane, std::uint64_t word) { return std::rotl(lane + word * k_2, 31) * k_1; }
std::uint64_t merge(std::uint64_t sum, std::uint64_t lane) { return (sum ^ round(0, lane)) * k_1 + k_4; }

}    // namespace

std::uint64_t xxh64(ByteView bytes, std::uint64_t seed) {
    const std::byte* at = bytes.data();
    std::size_t left = bytes.size();
    std::uint64_t sum = seed + k_5;
    if (left >= 32) {
        std::uint64_t a = seed + k_1 + k_2, b = seed + k_2, c = seed, d = seed - k_1;
        for (; left >= 32; at += 32, left -= 32) {
            a = round(a, load_le<std::uint64_t>(at));
            b = round(b, load_le<std::uint64_t>(at + 8));
            c = round(c, load_le<std::uint64_t>(at + 16));
            d = round(d, load_le<std::uint64_t>(at + 24));
        }
        sum = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
        for (const std::uint64_t lane : {a, b, c, d}) sum = merge(sum, lane);
    }
    sum += bytes.size();
    for (; left >= 8; at += 8, left -= 8) sum = std::rotl(sum ^ round(0, load_le<std::uint64_t>(at)), 27) * k_1 + k_4;
    if (left >= 4) {
        sum = std::rotl(sum ^ (load_le<std::uint32_t>(at) * k_1), 23) * k_2 + k_3;
        at += 4;
        left -= 4;
    }
    for (; left > 0; ++at, --left) sum = std::rotl(sum ^ (std::to_integer<std::uint64_t>(*at) * k_5), 11) * k_1;
    sum = (sum ^ (sum >> 33)) * k_2;
    sum = (sum ^ (sum >> 29)) * k_3;
    return sum ^ (sum >> 32);
}

}    // namespace holdfast
