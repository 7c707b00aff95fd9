#include "holdfast/plain/tar_check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

namespace holdfast::plain {
namespace {

constexpr std::size_t k_block = 512;
using Block = std::array<std::byte, k_block>;

// Octal text, or (GNU) a binary number behind a first byte of 0x80.
std::optional<std::uint64_t> number(ByteView field) {
    if (field[0] == std::byte{0x80}) {
        std::uint64_t value = 0;
        for (const std::byte b : field.subspan(1)) {
            if (value >> 55) return std::nullopt;
            value = value << 8 | std::to_integer<std::uint64_t>(b);
        }
        return value;
    }
    std::uint64_t value = 0;
    bool any = false;
    for (const char c : as_text(field)) {
        if (c == ' ' && !any) continue;
        if (c == ' ' || c == '\0') break;
        if (c < '0' || c > '7') return std::nullopt;
        value = value << 3 | static_cast<std::uint64_t>(c - '0');
        any = true;
    }
    return value;
}

bool checksum_is_right(const Block& header) {
    const auto said = number(ByteView(header).subspan(148, 8));
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < k_block; ++i)
        sum += i >= 148 && i < 156 ? 32 : std::to_integer<std::uint64_t>(header[i]);
    return said == sum;
}

}    // namespace

Result<TarFacts> check_tar(const ByteSource& source) {
    TarFacts facts;
    std::uint64_t offset = 0;
    std::array<std::byte, 64 << 10> buffer;
    const auto corrupt = [&](std::string_view what) {
        return fail(ErrorCode::corrupt, fmt::format("the archive is damaged at byte {}: {}", offset, what));
    };
    // How many of the wanted bytes came; fewer only at the end.
    const auto fill = [&](ByteSpan to) -> Result<std::size_t> {
        std::size_t have = 0;
        while (have < to.size()) {
            HF_TRY(const std::size_t n, source(to.subspan(have)));
            if (n == 0) break;
            have += n;
        }
        return have;
    };
    for (;;) {
        Block header;
        HF_TRY(const std::size_t got, fill(header));
        if (got < k_block) return corrupt("it ends before its end mark");
        if (std::ranges::all_of(header, [](std::byte b) { return b == std::byte{0}; })) break;
        if (!checksum_is_right(header)) return corrupt("a header's checksum is wrong");
        const auto size = number(ByteView(header).subspan(124, 12));
        if (!size) return corrupt("a header without a size");
        const char type = static_cast<char>(header[156]);
        // 1 to 6: links, devices, folders, pipes. Their size says nothing.
        const std::uint64_t content = type >= '1' && type <= '6' ? 0 : *size;
        if (type != 'x' && type != 'g' && type != 'L' && type != 'K') ++facts.entries;
        if (type == '0' || type == '\0' || type == '7') ++facts.files, facts.bytes += content;
        offset += k_block;
        if (content > (std::uint64_t(1) << 62)) return corrupt("a size that cannot be");
        std::uint64_t left = (content + k_block - 1) / k_block * k_block;
        while (left > 0) {
            const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
            HF_TRY(const std::size_t n, fill(ByteSpan(buffer).first(want)));
            offset += n;
            left -= n;
            if (n < want) return corrupt("it ends inside a file");
        }
    }
    // Padding. What follows the end mark is not looked at by tar, but it must come: its gzip checksum stands behind it.
    for (;;) {
        HF_TRY(const std::size_t n, source(buffer));
        if (n == 0) return facts;
    }
}

}    // namespace holdfast::plain
