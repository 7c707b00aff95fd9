#include "holdfast/base/json.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>

namespace holdfast::json {
namespace {

const Value k_null;
constexpr int k_depth_max = 200;

// Length of the valid UTF-8 sequence at `at`, 0 if there is none.
std::size_t utf8_length(std::string_view s, std::size_t at) {
    const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u; };
    const unsigned a = byte(at), b = byte(at + 1);
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    if (a < 0x80) return 1;
    if (a >= 0xc2 && a <= 0xdf) return tail(at + 1) ? 2 : 0;
    if (a >= 0xe0 && a <= 0xef) {
        if (a == 0xe0 && b < 0xa0) return 0;
        if (a == 0xed && b > 0x9f) return 0;
        return tail(at + 1) && tail(at + 2) ? 3 : 0;
    }
    if (a >= 0xf0 && a <= 0xf4) {
        if (a == 0xf0 && b < 0x90) return 0;
        if (a == 0xf4 && b > 0x8f) return 0;
        return tail(at + 1) && tail(at + 2) && tail(at + 3) ? 4 : 0;
    }
    return 0;
}

Result<Value> convert(simdjson::dom::element element, int depth, std::string_view what) {
    if (depth > k_depth_max) return fail(ErrorCode::corrupt, fmt::format("{}: JSON nested too deeply", what));
    using simdjson::dom::element_type;
    switch (element.type()) {
        case element_type::ARRAY: {
            Array array;
            for (const auto item : simdjson::dom::array(element)) {
                HF_TRY(Value value, convert(item, depth + 1, what));
                array.push_back(std::move(value));
            }
            return Value(std::move(array));
        }
        case element_type::OBJECT: {
            Object object;
            for (const auto member : simdjson::dom::object(element)) {
                HF_TRY(Value value, convert(member.value, depth + 1, what));
                object.emplace_back(std::string(member.key), std::move(value));
            }
            return Value(std::move(object));
        }
        case element_type::INT64:
            return Value(std::int64_t(element));
        case element_type::UINT64:
            return Value(std::uint64_t(element));
        case element_type::DOUBLE:
            return Value(double(element));
        case element_type::STRING:
            return Value(std::string_view(element));
        case element_type::BOOL:
            return Value(bool(element));
        case element_type::NULL_VALUE:
            return Value();
    }
    return Value();
}

void newline(std::string& out, int indent, int depth) {
    if (indent == 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(depth), ' ');
}

}    // namespace

std::string Value::text(std::string_view fallback) const {
    const auto* s = std::get_if<std::string>(&data_);
    return s ? *s : std::string(fallback);
}

std::int64_t Value::integer(std::int64_t fallback) const {
    if (const auto* n = std::get_if<std::int64_t>(&data_)) return *n;
    if (const auto* n = std::get_if<std::uint64_t>(&data_)) return *n <= INT64_MAX ? std::int64_t(*n) : fallback;
    return fallback;
}

std::uint64_t Value::natural(std::uint64_t fallback) const {
    if (const auto* n = std::get_if<std::uint64_t>(&data_)) return *n;
    if (const auto* n = std::get_if<std::int64_t>(&data_)) return *n >= 0 ? std::uint64_t(*n) : fallback;
    return fallback;
}

double Value::number(double fallback) const {
    if (const auto* d = std::get_if<double>(&data_)) return *d;
    if (const auto* n = std::get_if<std::int64_t>(&data_)) return static_cast<double>(*n);
    if (const auto* n = std::get_if<std::uint64_t>(&data_)) return static_cast<double>(*n);
    return fallback;
}

bool Value::boolean(bool fallback) const {
    const auto* b = std::get_if<bool>(&data_);
    return b ? *b : fallback;
}

const Value& Value::operator[](std::string_view key) const {
    for (const auto& [name, value] : members())
        if (name == key) return value;
    return k_null;
}

Value& Value::set(std::string_view key, Value value) {
    if (is_null()) data_ = Object();
    auto* object = std::get_if<Object>(&data_);
    HF_ASSERT(object != nullptr);
    for (auto& [name, old] : *object)
        if (name == key) {
            old = std::move(value);
            return *this;
        }
    object->emplace_back(std::string(key), std::move(value));
    return *this;
}

Value& Value::push(Value value) {
    if (is_null()) data_ = Array();
    auto* array = std::get_if<Array>(&data_);
    HF_ASSERT(array != nullptr);
    array->push_back(std::move(value));
    return *this;
}

const Array& Value::items() const {
    static const Array empty;
    const auto* array = std::get_if<Array>(&data_);
    return array ? *array : empty;
}

const Object& Value::members() const {
    static const Object empty;
    const auto* object = std::get_if<Object>(&data_);
    return object ? *object : empty;
}

Result<Value> parse(std::string_view text, std::string_view what) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (const auto error = parser.parse(simdjson::padded_string(text)).get(root))
        return fail(ErrorCode::corrupt, fmt::format("{}: not valid JSON: {}", what, simdjson::error_message(error)));
    return convert(root, 0, what);
}

std::string as_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t length = utf8_length(text, i);
        out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(i, length);
        i += std::max<std::size_t>(length, 1);
    }
    return out;
}

void append_quoted(std::string& to, std::string_view text) {
    to += '"';
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        const std::size_t length = utf8_length(text, i);
        if (length == 0) {
            to += "\xef\xbf\xbd";
            ++i;
            continue;
        }
        if (c == '"' || c == '\\') {
            to += '\\';
            to += c;
        } else if (c == '\n') {
            to += "\\n";
        } else if (c == '\r') {
            to += "\\r";
        } else if (c == '\t') {
            to += "\\t";
        } else if (static_cast<unsigned char>(c) < 0x20) {
            fmt::format_to(std::back_inserter(to), "\\u{:04x}", static_cast<unsigned>(c));
        } else {
            to += text.substr(i, length);
        }
        i += length;
    }
    to += '"';
}

namespace {

struct Dumper {
    std::string& out;
    int indent;

    void write(const Value& value, int depth) {
        if (value.is_object()) {
            out += '{';
            bool first = true;
            for (const auto& [name, member] : value.members()) {
                if (!first) out += ',';
                first = false;
                newline(out, indent, depth + 1);
                append_quoted(out, name);
                out += indent ? ": " : ":";
                write(member, depth + 1);
            }
            if (!first) newline(out, indent, depth);
            out += '}';
        } else if (value.is_array()) {
            out += '[';
            bool first = true;
            for (const auto& item : value.items()) {
                if (!first) out += ',';
                first = false;
                newline(out, indent, depth + 1);
                write(item, depth + 1);
            }
            if (!first) newline(out, indent, depth);
            out += ']';
        } else {
            out += dump(value, 0);
        }
    }
};

}    // namespace

std::string dump(const Value& value, int indent) {
    struct Scalar {
        std::string operator()(std::monostate) const { return "null"; }
        std::string operator()(bool b) const { return b ? "true" : "false"; }
        std::string operator()(std::int64_t n) const { return std::to_string(n); }
        std::string operator()(std::uint64_t n) const { return std::to_string(n); }
        // JSON has no word for infinity or NaN.
        std::string operator()(double d) const { return std::isfinite(d) ? fmt::format("{}", d) : "null"; }
        std::string operator()(const std::string& s) const {
            std::string quoted;
            append_quoted(quoted, s);
            return quoted;
        }
        std::string operator()(const Array&) const { return {}; }
        std::string operator()(const Object&) const { return {}; }
    };
    if (!value.is_array() && !value.is_object()) return std::visit(Scalar{}, value.data_);
    std::string out;
    Dumper{out, indent}.write(value, 0);
    return out;
}

}    // namespace holdfast::json
