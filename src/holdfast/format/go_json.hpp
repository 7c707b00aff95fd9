#pragma once
// The JSON of a repository as Go writes and reads it: the tokens that documents.cpp and tree.cpp share. Private to format/.
//
//   errors   corrupt, naming the document and the field
//   source   docs/formats/vault.md sections 9 and 11

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "holdfast/base/bytes.hpp"
#include "holdfast/base/clock.hpp"
#include "holdfast/base/id.hpp"
#include "holdfast/base/result.hpp"

namespace holdfast::format {

/// Length of the character (Unicode scalar value in UTF-8) at `at`; 0 if the bytes there are none.
struct Character {
    std::uint32_t code_point = 0;
    unsigned length = 0;
};
Character character_at(std::string_view text, std::size_t at);

/// `,"key":` with the comma left out after an opening bracket.
void append_key(std::string& to, std::string_view key);
void append_number(std::string& to, std::uint64_t number);
void append_id(std::string& to, const Id& id);    // "…64 digits…"
void append_time(std::string& to, Timestamp time);    // "2026-…Z"
void append_base64(std::string& to, ByteView bytes);    // "…"
void append_strings(std::string& to, const std::vector<std::string>& strings);    // ["…","…"]

/// Which field of which document a value was read from.
struct Place {
    std::string_view document, key;
};
std::unexpected<Error> wrong_field(const Place& place, std::string_view why);

/// The root object of `json`. It lives until the next call on the same thread.
Result<simdjson::dom::object> parse_object(std::string_view json, std::string_view what);

/// Each reads one value; null leaves `to` as it is.
Status read(simdjson::dom::element from, const Place& place, std::string& to);
Status read(simdjson::dom::element from, const Place& place, std::uint64_t& to);
Status read(simdjson::dom::element from, const Place& place, std::uint32_t& to);
Status read(simdjson::dom::element from, const Place& place, std::int64_t& to);
Status read(simdjson::dom::element from, const Place& place, bool& to);
Status read(simdjson::dom::element from, const Place& place, Timestamp& to);
Status read(simdjson::dom::element from, const Place& place, Id& to);
Status read(simdjson::dom::element from, const Place& place, std::optional<Id>& to);
Status read(simdjson::dom::element from, const Place& place, Bytes& to);    // base64
Status read(simdjson::dom::element from, const Place& place, std::vector<std::string>& to);
Status read(simdjson::dom::element from, const Place& place, std::vector<Id>& to);

}    // namespace holdfast::format
