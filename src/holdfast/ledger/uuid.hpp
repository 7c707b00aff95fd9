#pragma once
// The 16 bytes by which a signal and its order are known everywhere: idempotency key at the intake, client order ID at
// the broker, key in every store. Made by the producer (version 7 is best: it sorts by time), never by the engine.
//
//   shape    RFC 9562 text, 8-4-4-4-12 hex digits; any version and variant is taken; all zeros is none
//   threads  values only

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/bytes.hpp"

namespace holdfast::ledger {

struct Uuid {
    std::array<std::byte, 16> bytes{};

    /// Either case is read; lower case is written. Anything but the 36 characters: nothing.
    static std::optional<Uuid> parse(std::string_view text);
    std::string text() const;
    bool is_nil() const { return *this == Uuid{}; }
    auto operator<=>(const Uuid&) const = default;
};

/// The ID of the `number`-th (from 1) child order of `parent`: the same for every instance that works it out. Version 8:
/// the first bytes of SHA-256 over "holdfast child", parent and number.
Uuid child_id(const Uuid& parent, std::uint32_t number);

}    // namespace holdfast::ledger

template <>
struct std::hash<holdfast::ledger::Uuid> {
    // A version 7 begins with its time, so both halves are mixed.
    std::size_t operator()(const holdfast::ledger::Uuid& id) const noexcept {
        const auto high = holdfast::load_le<std::uint64_t>(id.bytes.data());
        const auto low = holdfast::load_le<std::uint64_t>(id.bytes.data() + 8);
        std::uint64_t x = high ^ (low * 0x9e3779b97f4a7c15u);
        x ^= x >> 32;
        x *= 0xd6e8feb86659fd93u;
        x ^= x >> 32;
        return static_cast<std::size_t>(x);
    }
};
