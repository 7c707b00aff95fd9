#include "holdfast/ledger/uuid.hpp"

#include <openssl/sha.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

constexpr bool is_dash_at(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}    // namespace

std::optional<Uuid> Uuid::parse(std::string_view text) {
    if (text.size() != 36) return std::nullopt;
    Uuid id;
    std::size_t digits = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_dash_at(i)) {
            if (text[i] != '-') return std::nullopt;
            continue;
        }
        const int digit = digit_of(text[i]);
        if (digit < 0) return std::nullopt;
        std::byte& to = id.bytes[digits++ / 2];
        to = to << 4 | std::byte(digit);
    }
    return id;
}

std::string Uuid::text() const {
    static constexpr char k_digits[] = "0123456789abcdef";
    std::string out(36, '-');
    std::size_t digits = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        if (is_dash_at(i)) continue;
        const auto byte = std::to_integer<unsigned>(bytes[digits / 2]);
        out[i] = k_digits[digits % 2 == 0 ? byte >> 4 : byte & 15];
        ++digits;
    }
    return out;
}

Uuid child_id(const Uuid& parent, std::uint32_t number) {
    Bytes input = to_bytes("holdfast child");
    append(input, parent.bytes);
    append_le(input, number);
    std::array<unsigned char, SHA256_DIGEST_LENGTH> sum;
    SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(), sum.data());
    Uuid id;
    std::memcpy(id.bytes.data(), sum.data(), id.bytes.size());
    id.bytes[6] = (id.bytes[6] & std::byte{0x0f}) | std::byte{0x80};
    id.bytes[8] = (id.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    return id;
}

}    // namespace holdfast::ledger
