#include "holdfast/base/bytes.hpp"

#include <fmt/core.h>

#include <array>

namespace holdfast {
namespace {

constexpr std::string_view k_hex = "0123456789abcdef";
constexpr std::string_view k_base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// A table: the two tests per digit of a random ID are mispredicted half of the time.
constexpr std::array<std::int8_t, 256> make_hex_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < 10; ++i) values['0' + i] = static_cast<std::int8_t>(i);
    for (std::size_t i = 0; i < 6; ++i) values['a' + i] = static_cast<std::int8_t>(10 + i);
    return values;
}
constexpr auto k_hex_values = make_hex_values();

constexpr std::array<std::int8_t, 256> make_base64_values() {
    std::array<std::int8_t, 256> values{};
    values.fill(-1);
    for (std::size_t i = 0; i < k_base64.size(); ++i)
        values[static_cast<unsigned char>(k_base64[i])] = static_cast<std::int8_t>(i);
    return values;
}
constexpr auto k_base64_values = make_base64_values();

}    // namespace

std::string to_hex(ByteView bytes) {
    std::string hex;
    hex.reserve(bytes.size() * 2);
    for (const std::byte b : bytes) {
        hex += k_hex[std::to_integer<unsigned>(b) >> 4];
        hex += k_hex[std::to_integer<unsigned>(b) & 15];
    }
    return hex;
}

bool from_hex(std::string_view hex, ByteSpan to) {
    if (hex.size() != to.size() * 2) return false;
    for (std::size_t i = 0; i < to.size(); ++i) {
        const signed char high = k_hex_values[static_cast<unsigned char>(hex[2 * i])],
                          low = k_hex_values[static_cast<unsigned char>(hex[2 * i + 1])];
        if ((high | low) < 0) return false;
        to[i] = static_cast<std::byte>(high << 4 | low);
    }
    return true;
}

std::string to_base64(ByteView bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        std::uint32_t word = std::to_integer<std::uint32_t>(bytes[i]) << 16;
        if (left > 1) word |= std::to_integer<std::uint32_t>(bytes[i + 1]) << 8;
        if (left > 2) word |= std::to_integer<std::uint32_t>(bytes[i + 2]);
        text += k_base64[word >> 18];
        text += k_base64[word >> 12 & 63];
        text += left > 1 ? k_base64[word >> 6 & 63] : '=';
        text += left > 2 ? k_base64[word & 63] : '=';
    }
    return text;
}

bool from_base64(std::string_view text, Bytes& to) {
    to.clear();
    if (text.size() % 4 != 0) return false;
    to.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const bool last = i + 4 == text.size();
        const int padding = last ? (text[i + 3] == '=') + (text[i + 2] == '=' && text[i + 3] == '=') : 0;
        std::uint32_t word = 0;
        for (int k = 0; k < 4; ++k) {
            const int value = k >= 4 - padding ? 0 : k_base64_values[static_cast<unsigned char>(text[i + k])];
            if (value < 0) return false;
            word = word << 6 | static_cast<std::uint32_t>(value);
        }
        for (int k = 0; k < 3 - padding; ++k) to.push_back(static_cast<std::byte>(word >> (16 - 8 * k)));
        if ((padding == 1 && (word & 0xff)) || (padding == 2 && (word & 0xffff))) return false;
    }
    return true;
}

std::string human_size(std::uint64_t bytes) {
    if (bytes < 1024) return fmt::format("{} B", bytes);
    double size = static_cast<double>(bytes);
    std::size_t unit = 0;
    constexpr std::array<std::string_view, 6> units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    while (size >= 1024 && unit + 1 < units.size()) {
        size /= 1024;
        ++unit;
    }
    return fmt::format("{:.{}f} {}", size, size < 10 ? 2 : size < 100 ? 1 : 0, units[unit]);
}

}    // namespace holdfast
