#include "holdfast/db/rdb_packed.hpp"

#include <fmt/format.h>

#include "holdfast/base/bytes.hpp"

namespace holdfast::db {
namespace {

std::unexpected<Error> broken(std::string_view kind) {
    return fail(ErrorCode::corrupt, fmt::format("a {} in the RDB is damaged", kind));
}

// Takes from the front; `ok` turns false for good when more is asked than there is.
struct Cursor {
    std::string_view left;
    bool ok = true;

    std::string_view take(std::uint64_t n) {
        if (n > left.size()) {
            ok = false;
            return {};
        }
        const std::string_view taken = left.substr(0, n);
        left.remove_prefix(n);
        return taken;
    }
    template <class T>
    T little_endian() {
        const std::string_view taken = take(sizeof(T));
        return ok ? load_le<T>(as_bytes(taken).data()) : T{};
    }
    std::uint8_t byte() { return little_endian<std::uint8_t>(); }
    std::int64_t int24() {
        const std::string_view taken = take(3);
        if (!ok) return 0;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < 3; ++i) value |= std::uint32_t(static_cast<unsigned char>(taken[i])) << (8 * i + 8);
        return static_cast<std::int32_t>(value) >> 8;
    }
};

Status hand_out(std::int64_t number, const PackedElement& found) {
    const fmt::format_int text(number);
    return found({text.data(), text.size()});
}

// How many bytes hold the length of an entry of `size` bytes, behind it.
std::size_t listpack_back_size(std::size_t size) {
    if (size <= 127) return 1;
    if (size < 16383) return 2;
    if (size < 2097151) return 3;
    if (size < 268435455) return 4;
    return 5;
}

}    // namespace

//   u32 bytes | u16 count (65535: unknown) | entries | ff
//   entry: 0xxxxxxx uint7 · 10xxxxxx string · 110xxxxx int13 · 1110xxxx string12 · f0 string32 · f1..f4 int16,24,32,64,
//   then its own length once more, for walking backwards
Status each_of_listpack(std::string_view packed, const PackedElement& found) {
    constexpr std::string_view k_kind = "listpack";
    Cursor in{packed};
    const auto bytes = in.little_endian<std::uint32_t>();
    const auto count = in.little_endian<std::uint16_t>();
    if (!in.ok || bytes != packed.size()) return broken(k_kind);
    for (std::size_t n = 0;; ++n) {
        const std::size_t before = in.left.size();
        const std::uint8_t first = in.byte();
        if (!in.ok) return broken(k_kind);
        if (first == 0xff) {
            if (!in.left.empty() || (count != 0xffff && count != n)) return broken(k_kind);
            return {};
        }
        std::string_view text;
        std::int64_t number = 0;
        bool is_text = false;
        if ((first & 0x80) == 0) {
            number = first;
        } else if ((first & 0xc0) == 0x80) {
            text = in.take(first & 0x3f);
            is_text = true;
        } else if ((first & 0xe0) == 0xc0) {
            number = (first & 0x1f) << 8 | in.byte();
            if (number >= 1 << 12) number -= 1 << 13;
        } else if ((first & 0xf0) == 0xe0) {
            const std::size_t size = (first & 0x0fu) << 8 | in.byte();
            text = in.take(size);
            is_text = true;
        } else {
            switch (first) {
                case 0xf0:
                    text = in.take(in.little_endian<std::uint32_t>()), is_text = true;
                    break;
                case 0xf1:
                    number = in.little_endian<std::int16_t>();
                    break;
                case 0xf2:
                    number = in.int24();
                    break;
                case 0xf3:
                    number = in.little_endian<std::int32_t>();
                    break;
                case 0xf4:
                    number = in.little_endian<std::int64_t>();
                    break;
                default:
                    return broken(k_kind);
            }
        }
        in.take(listpack_back_size(before - in.left.size()));
        if (!in.ok) return broken(k_kind);
        if (is_text) {
            HF_DO(found(text));
        } else {
            HF_DO(hand_out(number, found));
        }
    }
}

//   u32 bytes | u32 offset of the last | u16 count (65535: unknown) | entries | ff
//   entry: length of the one before (1 byte, or fe and 4), then 00 string6 · 01 string14 · 10 string32 (big endian) ·
//   c0 int16 · d0 int32 · e0 int64 · f0 int24 · fe int8 · f1..fd the numbers 0 to 12
Status each_of_ziplist(std::string_view packed, const PackedElement& found) {
    constexpr std::string_view k_kind = "ziplist";
    Cursor in{packed};
    const auto bytes = in.little_endian<std::uint32_t>();
    in.take(4);
    const auto count = in.little_endian<std::uint16_t>();
    if (!in.ok || bytes != packed.size()) return broken(k_kind);
    for (std::size_t n = 0;; ++n) {
        const std::uint8_t before = in.byte();
        if (!in.ok) return broken(k_kind);
        if (before == 0xff) {
            if (!in.left.empty() || (count != 0xffff && count != n)) return broken(k_kind);
            return {};
        }
        if (before == 0xfe) in.take(4);
        const std::uint8_t first = in.byte();
        std::string_view text;
        std::int64_t number = 0;
        bool is_text = true;
        if (first >> 6 == 0) {
            text = in.take(first & 0x3f);
        } else if (first >> 6 == 1) {
            const std::size_t size = (first & 0x3fu) << 8 | in.byte();
            text = in.take(size);
        } else if (first >> 6 == 2) {
            text = in.take(__builtin_bswap32(in.little_endian<std::uint32_t>()));
        } else {
            is_text = false;
            switch (first) {
                case 0xc0:
                    number = in.little_endian<std::int16_t>();
                    break;
                case 0xd0:
                    number = in.little_endian<std::int32_t>();
                    break;
                case 0xe0:
                    number = in.little_endian<std::int64_t>();
                    break;
                case 0xf0:
                    number = in.int24();
                    break;
                case 0xfe:
                    number = in.little_endian<std::int8_t>();
                    break;
                default:
                    if (first < 0xf1 || first > 0xfd) return broken(k_kind);
                    number = first - 0xf1;
            }
        }
        if (!in.ok) return broken(k_kind);
        if (is_text) {
            HF_DO(found(text));
        } else {
            HF_DO(hand_out(number, found));
        }
    }
}

//   u32 width (2, 4, 8) | u32 count | numbers
Status each_of_intset(std::string_view packed, const PackedElement& found) {
    Cursor in{packed};
    const auto width = in.little_endian<std::uint32_t>();
    const auto count = in.little_endian<std::uint32_t>();
    if (!in.ok || (width != 2 && width != 4 && width != 8) || in.left.size() != std::uint64_t(width) * count)
        return broken("intset");
    for (std::uint32_t n = 0; n < count; ++n) {
        const std::int64_t number = width == 2   ? in.little_endian<std::int16_t>()
                                    : width == 4 ? in.little_endian<std::int32_t>()
                                                 : in.little_endian<std::int64_t>();
        HF_DO(hand_out(number, found));
    }
    return {};
}

//   u8 count | (length key length free value unused[free])* | ff; a length is 1 byte, or fe and 4
Status each_of_zipmap(std::string_view packed, const PackedElement& found) {
    constexpr std::string_view k_kind = "zipmap";
    Cursor in{packed};
    in.byte();
    for (bool is_key = true;; is_key = !is_key) {
        const std::uint8_t first = in.byte();
        if (!in.ok) return broken(k_kind);
        if (first == 0xff) {
            if (!is_key || !in.left.empty()) return broken(k_kind);
            return {};
        }
        const std::uint64_t size = first == 0xfe ? in.little_endian<std::uint32_t>() : first;
        const std::uint8_t unused = is_key ? 0 : in.byte();
        const std::string_view text = in.take(size);
        in.take(unused);
        if (!in.ok) return broken(k_kind);
        HF_DO(found(text));
    }
}

}    // namespace holdfast::db
