#include "holdfast/format/go_json.hpp"

#include <fmt/format.h>

#include "holdfast/format/documents.hpp"

namespace holdfast::format {

Character character_at(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) -> std::uint32_t {
        return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const std::uint32_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    if (lead >= 0xc2 && lead <= 0xdf && tail(1)) return {(lead & 0x1f) << 6 | (byte(1) & 0x3f), 2};
    if (lead >= 0xe0 && lead <= 0xef && tail(1) && tail(2)) {
        const std::uint32_t code = (lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
        if (code >= 0x800 && (code < 0xd800 || code > 0xdfff)) return {code, 3};
    }
    if (lead >= 0xf0 && lead <= 0xf4 && tail(1) && tail(2) && tail(3)) {
        const std::uint32_t code =
            (lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
        if (code >= 0x10000 && code <= 0x10ffff) return {code, 4};
    }
    return {};
}

void append_go_string(std::string& to, std::string_view text) {
    to += '"';
    std::size_t plain = 0;    // start of what is copied as it is
    const auto replace = [&](std::size_t at, std::size_t length, std::string_view by) {
        to.append(text, plain, at - plain).append(by);
        plain = at + length;
    };
    for (std::size_t at = 0; at < text.size();) {
        const unsigned char c = static_cast<unsigned char>(text[at]);
        if (c >= 0x80) {
            const Character character = character_at(text, at);
            if (character.length == 0)
                replace(at, 1, "\\ufffd");
            else if (character.code_point == 0x2028)
                replace(at, 3, "\\u2028");
            else if (character.code_point == 0x2029)
                replace(at, 3, "\\u2029");
            at += std::max(1u, character.length);
            continue;
        }
        switch (c) {
            case '"':
                replace(at, 1, "\\\"");
                break;
            case '\\':
                replace(at, 1, "\\\\");
                break;
            case '\n':
                replace(at, 1, "\\n");
                break;
            case '\r':
                replace(at, 1, "\\r");
                break;
            case '\t':
                replace(at, 1, "\\t");
                break;
            case '\b':
                replace(at, 1, "\\b");
                break;
            case '\f':
                replace(at, 1, "\\f");
                break;
            default:
                if (c < 0x20 || c == '<' || c == '>' || c == '&') replace(at, 1, fmt::format("\\u{:04x}", c));
        }
        ++at;
    }
    to.append(text, plain).append(1, '"');
}

void append_key(std::string& to, std::string_view key) {
    if (to.back() != '{') to += ',';
    to.append(1, '"').append(key).append("\":");
}

void append_number(std::string& to, std::uint64_t number) {
    const fmt::format_int text(number);
    to.append(text.data(), text.size());
}

void append_id(std::string& to, const Id& id) { to.append(1, '"').append(id.hex()).append(1, '"'); }

void append_time(std::string& to, Timestamp time) { to.append(1, '"').append(to_rfc3339(time)).append(1, '"'); }

void append_base64(std::string& to, ByteView bytes) { to.append(1, '"').append(to_base64(bytes)).append(1, '"'); }

void append_strings(std::string& to, const std::vector<std::string>& strings) {
    to += '[';
    for (const std::string& text : strings) {
        if (&text != &strings.front()) to += ',';
        append_go_string(to, text);
    }
    to += ']';
}

std::unexpected<Error> wrong_field(const Place& place, std::string_view why) {
    return fail(ErrorCode::corrupt, fmt::format("{}: the field '{}' {}", place.document, place.key, why));
}

Result<simdjson::dom::object> parse_object(std::string_view json, std::string_view what) {
    // Trees are small and many: their parser is kept. After a large document it is let go, with its memory.
    constexpr std::size_t kept_size_max = 1 << 20;    // it holds about ten times as much
    thread_local simdjson::dom::parser parser;
    if (parser.capacity() > kept_size_max) parser = simdjson::dom::parser();
    simdjson::dom::object root;
    if (const auto error = parser.parse(json.data(), json.size()).get(root))
        return fail(ErrorCode::corrupt, fmt::format("{}: not a JSON object: {}", what, simdjson::error_message(error)));
    return root;
}

Status read(simdjson::dom::element from, const Place& place, std::string& to) {
    if (from.is_null()) return {};
    std::string_view text;
    if (from.get(text)) return wrong_field(place, "is not a string");
    to = text;
    return {};
}

Status read(simdjson::dom::element from, const Place& place, std::uint64_t& to) {
    if (from.is_null()) return {};
    if (from.get(to)) return wrong_field(place, "is not a whole number of 64 bits");
    return {};
}

Status read(simdjson::dom::element from, const Place& place, std::uint32_t& to) {
    if (from.is_null()) return {};
    std::uint64_t wide = 0;
    if (from.get(wide) || wide > UINT32_MAX) return wrong_field(place, "is not a whole number of 32 bits");
    to = static_cast<std::uint32_t>(wide);
    return {};
}

Status read(simdjson::dom::element from, const Place& place, std::int64_t& to) {
    if (from.is_null()) return {};
    if (from.get(to)) return wrong_field(place, "is not a whole number of 64 bits");
    return {};
}

Status read(simdjson::dom::element from, const Place& place, bool& to) {
    if (from.is_null()) return {};
    if (from.get(to)) return wrong_field(place, "is neither true nor false");
    return {};
}

Status read(simdjson::dom::element from, const Place& place, Timestamp& to) {
    if (from.is_null()) return {};
    std::string_view text;
    if (from.get(text)) return wrong_field(place, "is not a time");
    const auto time = parse_rfc3339(text);
    if (!time) return wrong_field(place, "is not a time");
    to = *time;
    return {};
}

Status read(simdjson::dom::element from, const Place& place, Id& to) {
    if (from.is_null()) return {};
    std::string_view text;
    if (from.get(text) || !from_hex(text, to.bytes)) return wrong_field(place, "is not an ID of 64 hex digits");
    return {};
}

Status read(simdjson::dom::element from, const Place& place, std::optional<Id>& to) {
    if (from.is_null()) return {};
    Id id;
    HF_DO(read(from, place, id));
    to = id;
    return {};
}

Status read(simdjson::dom::element from, const Place& place, Bytes& to) {
    if (from.is_null()) return {};
    std::string_view text;
    if (from.get(text) || !from_base64(text, to)) return wrong_field(place, "is not base64");
    return {};
}

Status read(simdjson::dom::element from, const Place& place, std::vector<std::string>& to) {
    if (from.is_null()) return {};
    simdjson::dom::array array;
    if (from.get(array)) return wrong_field(place, "is not a list");
    to.clear();
    for (const simdjson::dom::element item : array) HF_DO(read(item, place, to.emplace_back()));
    return {};
}

Status read(simdjson::dom::element from, const Place& place, std::vector<Id>& to) {
    if (from.is_null()) return {};
    simdjson::dom::array array;
    if (from.get(array)) return wrong_field(place, "is not a list");
    to.clear();
    for (const simdjson::dom::element item : array) {
        std::string_view text;
        if (item.get(text) || !from_hex(text, to.emplace_back().bytes))
            return wrong_field(place, "holds something else than IDs of 64 hex digits");
    }
    return {};
}

}    // namespace holdfast::format
