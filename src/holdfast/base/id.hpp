#pragma once
// 32 bytes of SHA-256 that name a blob, pack, index, snapshot, key or lock.

#include <array>
#include <compare>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/bytes.hpp"

namespace holdfast {

struct Id {
    std::array<std::byte, 32> bytes{};

    std::string hex() const { return to_hex(bytes); }
    /// The first eight digits, for people.
    std::string brief() const { return hex().substr(0, 8); }
    /// Exactly 64 lower-case hex digits.
    static std::optional<Id> parse(std::string_view hex) {
        Id id;
        if (!from_hex(hex, id.bytes)) return std::nullopt;
        return id;
    }
    auto operator<=>(const Id&) const = default;
};

}    // namespace holdfast

template <>
struct std::hash<holdfast::Id> {
    // The bytes are already uniformly distributed.
    std::size_t operator()(const holdfast::Id& id) const noexcept {
        return holdfast::load_le<std::size_t>(id.bytes.data());
    }
};
