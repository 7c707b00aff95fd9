#include <fmt/format.h>

#include "holdfast/format/go_json.hpp"
#include "holdfast/format/printable.hpp"
#include "holdfast/format/tree.hpp"

// The first of the two layers around a node's name; append_go_string is the second.

namespace holdfast::format {
namespace {

// The escapes of one letter, both ways. Readers also meet \' and \` from rustic.
constexpr std::string_view k_letters = "abfnrtv\"\\'`";
constexpr std::string_view k_meanings = "\a\b\f\n\r\t\v\"\\'`";
constexpr std::size_t k_letters_written = 9;

void append_utf8(std::string& to, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xc0 | code >> 6);
        put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    }
}

// `digits` digits in `base`; nullopt if there are fewer.
std::optional<std::uint32_t> number(std::string_view text, std::size_t digits, unsigned base) {
    if (text.size() < digits) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : text.substr(0, digits)) {
        unsigned digit = 16;
        if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
        if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a') + 10;
        if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A') + 10;
        if (digit >= base) return std::nullopt;
        value = value * base + digit;
    }
    return value;
}

}    // namespace

std::string quote_name(std::string_view raw) {
    std::string quoted;
    quoted.reserve(raw.size());
    for (std::size_t at = 0; at < raw.size();) {
        const char c = raw[at];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            quoted += c;
            ++at;
            continue;
        }
        const Character character = character_at(raw, at);
        const std::uint32_t code = character.code_point;
        const auto letter = k_meanings.substr(0, k_letters_written).find(c);
        if (character.length == 0)
            fmt::format_to(std::back_inserter(quoted), "\\x{:02x}", static_cast<unsigned char>(c));
        else if (letter != std::string_view::npos)
            quoted.append(1, '\\').append(1, k_letters[letter]);
        else if (is_printable(code))
            quoted.append(raw, at, character.length);
        else if (code < 0x80)
            fmt::format_to(std::back_inserter(quoted), "\\x{:02x}", code);
        else if (code <= 0xffff)
            fmt::format_to(std::back_inserter(quoted), "\\u{:04x}", code);
        else
            fmt::format_to(std::back_inserter(quoted), "\\U{:08x}", code);
        at += std::max(1u, character.length);
    }
    return quoted;
}

Result<std::string> unquote_name(std::string_view quoted) {
    const auto wrong = [&] {
        return fail(ErrorCode::corrupt,
                    fmt::format("the name '{}' is quoted in an unknown way", quote_name(quoted.substr(0, 80))));
    };
    std::string raw;
    raw.reserve(quoted.size());
    for (std::size_t at = 0; at < quoted.size();) {
        const std::size_t backslash = std::min(quoted.find('\\', at), quoted.size());
        raw.append(quoted, at, backslash - at);
        at = backslash;
        if (at == quoted.size()) break;
        if (++at == quoted.size()) return wrong();
        const char c = quoted[at];
        const std::string_view rest = quoted.substr(at + 1);
        if (const auto letter = k_letters.find(c); letter != std::string_view::npos) {
            raw += k_meanings[letter];
            at += 1;
        } else if (c == 'x') {
            const auto byte = number(rest, 2, 16);
            if (!byte) return wrong();
            raw += static_cast<char>(*byte);
            at += 3;
        } else if (c == 'u' || c == 'U') {
            const std::size_t digits = c == 'u' ? 4 : 8;
            const auto code = number(rest, digits, 16);
            if (!code || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff)) return wrong();
            append_utf8(raw, *code);
            at += 1 + digits;
        } else {
            const auto byte = number(quoted.substr(at), 3, 8);    // restic's reader takes octal, too
            if (!byte || *byte > 0xff) return wrong();
            raw += static_cast<char>(*byte);
            at += 3;
        }
    }
    return raw;
}

}    // namespace holdfast::format
