#pragma once
// URLs as the network storages use them: scheme://user:password@host:port/path. Pure.
//
//   errors   usage, with the part that is wrong; a password is in no message

#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"
#include "holdfast/base/secret.hpp"

namespace holdfast::storage {

struct Url {
    std::string scheme;    // "http" or "https"
    std::string user;    // decoded; empty: none
    Secret password;    // decoded
    std::string host;    // as written; IPv6 with its brackets
    std::uint16_t port = 0;    // 0: the scheme's own
    std::string path;    // "" or "/…", still encoded; never a query

    /// "host" or "host:port": the Host header.
    std::string authority() const;
    /// "https://host:port", without user and password.
    std::string origin() const;
};
Result<Url> parse_url(std::string_view text);

/// RFC 3986: everything but letters, digits and -._~ becomes %XX (upper case). `keep` is left as it is, too ("/").
std::string percent_encoded(std::string_view text, std::string_view keep = {});
/// usage for a % without two hex digits.
Result<std::string> percent_decoded(std::string_view text);

}    // namespace holdfast::storage
