#pragma once
// A small JSON value for manifests, reports and configuration answers. Hot paths (index, trees) have readers and
// writers of their own in format/. Numbers keep 64 bits: integers never pass through double.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::json {

class Value;
using Array = std::vector<Value>;
/// Keeps the order in which members were set.
using Object = std::vector<std::pair<std::string, Value>>;

class Value {
public:
    Value() = default;    // null
    Value(std::nullptr_t) {}
    Value(bool b) : data_(b) {}
    Value(std::int64_t n) : data_(n) {}
    Value(std::uint64_t n) : data_(n) {}
    Value(int n) : data_(static_cast<std::int64_t>(n)) {}
    Value(unsigned n) : data_(static_cast<std::uint64_t>(n)) {}
    Value(double d) : data_(d) {}
    Value(std::string s) : data_(std::move(s)) {}
    Value(std::string_view s) : data_(std::string(s)) {}
    Value(const char* s) : data_(std::string(s)) {}
    Value(Array a) : data_(std::move(a)) {}
    Value(Object o) : data_(std::move(o)) {}
    /// Value::object({{"rows", 5}, {"name", "trades"}})
    static Value object(std::initializer_list<std::pair<std::string, Value>> members = {}) { return Object(members); }
    static Value array() { return Array(); }

    bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
    bool is_object() const { return std::holds_alternative<Object>(data_); }
    bool is_array() const { return std::holds_alternative<Array>(data_); }
    bool is_string() const { return std::holds_alternative<std::string>(data_); }

    /// The value, or the fallback when it is absent or of another kind.
    std::string text(std::string_view fallback = {}) const;
    std::int64_t integer(std::int64_t fallback = 0) const;
    std::uint64_t natural(std::uint64_t fallback = 0) const;
    double number(double fallback = 0) const;
    bool boolean(bool fallback = false) const;

    /// Member lookup; a shared null when absent or when this is no object.
    const Value& operator[](std::string_view key) const;
    /// Sets or replaces a member; a null value becomes an object first.
    Value& set(std::string_view key, Value value);
    /// Appends; a null value becomes an array first.
    Value& push(Value value);
    /// Empty unless this is an array (object).
    const Array& items() const;
    const Object& members() const;

    friend std::string dump(const Value& value, int indent);

private:
    std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array, Object> data_;
};

/// `what` names the document in errors. Duplicate keys: the first one counts.
Result<Value> parse(std::string_view text, std::string_view what);
/// indent 0: one line. Bytes that are not UTF-8 become U+FFFD.
std::string dump(const Value& value, int indent = 0);
/// The text with each byte that is not UTF-8 replaced by U+FFFD.
std::string as_utf8(std::string_view text);
/// Appends a quoted JSON string, escaped as dump() does.
void append_quoted(std::string& to, std::string_view text);

}    // namespace holdfast::json
