#pragma once
// The head of an HTTP/1.x request: request line and headers, taken apart strictly. Pure; the bytes come from anybody.
//
//   promise   what two programs could read differently is refused: folded lines, spaces before a colon, two lengths, a
//             length together with a transfer coding, control characters
//   errors    usage: for a 400
//   source    RFC 9112

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/base/result.hpp"

namespace holdfast::http {

struct RequestHead {
    std::string method;    // "GET"
    std::string path;    // still encoded, without the query
    std::string query;    // without the question mark
    bool is_http_1_0 = false;
    std::vector<std::pair<std::string, std::string>> headers;    // names in lower case
    std::optional<std::uint64_t> content_length;
    bool has_transfer_coding = false;

    /// `name` in lower case; the first one; nullopt when absent.
    std::optional<std::string_view> header(std::string_view name) const;
    bool wants_close() const;
};

/// `text` ends with the empty line.
Result<RequestHead> parse_request_head(std::string_view text);

/// User and password of an Authorization header; nullopt for anything but Basic.
std::optional<std::pair<std::string, std::string>> parse_basic_authorization(std::string_view value);

}    // namespace holdfast::http
