#include "holdfast/vault/machine_key.hpp"

#include <string.h>

#include <array>

#include "holdfast/os/host.hpp"

namespace holdfast::vault {
namespace {

constexpr std::size_t k_groups = 7, k_group_size = 8;
constexpr std::string_view k_prefix = "hfkey";    // so that whoever finds one in a log or a checkout knows what it is
constexpr std::string_view k_alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(k_alphabet.size() == 32, "each letter is five bits, without a bias");

}    // namespace

MachineKey MachineKey::draw() {
    std::array<std::byte, k_groups * k_group_size> bytes;
    os::random_bytes(bytes);
    std::string text;
    text.reserve(k_prefix.size() + k_groups * (k_group_size + 1));    // never moved: nothing of it is left behind
    text += k_prefix;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i % k_group_size == 0) text += '-';
        text += k_alphabet[static_cast<std::size_t>(bytes[i]) % k_alphabet.size()];
    }
    ::explicit_bzero(bytes.data(), bytes.size());
    return MachineKey(Secret(std::move(text)));
}

bool is_machine_key_cost(const format::KdfCost& cost) {
    constexpr format::KdfCost k = MachineKey::k_cost;
    return cost.n == k.n && cost.r == k.r && cost.p == k.p;
}

}    // namespace holdfast::vault
