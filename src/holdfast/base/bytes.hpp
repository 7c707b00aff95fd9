#pragma once
// Bytes and views of them, and the few encodings that every floor uses. Values only; safe on any thread.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast {

using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

/// Leaves new elements uninitialised: a buffer that is about to be filled by read() need not be zeroed first.
template <class T>
struct UninitializedAllocator : std::allocator<T> {
    template <class U>
    struct rebind {
        using other = UninitializedAllocator<U>;
    };
    template <class U, class... Args>
    void construct(U* at, Args&&... args) {
        if constexpr (sizeof...(Args) == 0)
            ::new (static_cast<void*>(at)) U;
        else
            ::new (static_cast<void*>(at)) U(std::forward<Args>(args)...);
    }
};

/// An owned buffer. resize() does not clear what it adds.
using Bytes = std::vector<std::byte, UninitializedAllocator<std::byte>>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes to_bytes(std::string_view text) {
    const ByteView view = as_bytes(text);
    return {view.begin(), view.end()};
}
inline void append(Bytes& to, ByteView more) { to.insert(to.end(), more.begin(), more.end()); }

/// Little-endian integers, at any alignment (the machines we run on are little-endian; checked below).
template <class T>
    requires std::is_integral_v<T>
T load_le(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}
template <class T>
    requires std::is_integral_v<T>
void store_le(std::byte* to, T value) {
    std::memcpy(to, &value, sizeof value);
}
template <class T>
    requires std::is_integral_v<T>
void append_le(Bytes& to, T value) {
    const std::size_t at = to.size();
    to.resize(at + sizeof value);
    store_le(to.data() + at, value);
}
static_assert(std::endian::native == std::endian::little, "load_le and store_le copy bytes as they are");

/// Lower-case hex.
std::string to_hex(ByteView bytes);
/// Fills `to` from exactly 2*to.size() lower-case hex digits; false on anything else.
bool from_hex(std::string_view hex, ByteSpan to);

/// Standard alphabet with padding.
std::string to_base64(ByteView bytes);
/// Strict: padding and alphabet are checked. False on anything else, `to` is then unspecified.
bool from_base64(std::string_view text, Bytes& to);

/// "1.5 GiB", "312 B": for people.
std::string human_size(std::uint64_t bytes);

}    // namespace holdfast
