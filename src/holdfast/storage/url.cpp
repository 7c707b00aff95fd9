#include "holdfast/storage/url.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::storage {
namespace {

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Result<std::uint16_t> parse_port(std::string_view digits) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
        return fail(ErrorCode::usage, fmt::format("\"{}\" is not a port", digits));
    return port;
}

}    // namespace

std::string percent_encoded(std::string_view text, std::string_view keep) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is_unreserved(c) || keep.find(c) != std::string_view::npos)
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

Result<std::string> percent_decoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0)
            return fail(ErrorCode::usage, "a % in a URL is not followed by two hex digits", "write a % as %25");
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::string Url::authority() const { return port ? fmt::format("{}:{}", host, port) : host; }

std::string Url::origin() const { return scheme + "://" + authority(); }

Result<Url> parse_url(std::string_view text) {
    Url url;
    const std::size_t scheme_end = text.find("://");
    if (scheme_end == std::string_view::npos) return fail(ErrorCode::usage, "a URL begins with http:// or https://");
    url.scheme = text.substr(0, scheme_end);
    if (url.scheme != "http" && url.scheme != "https")
        return fail(ErrorCode::usage, "a URL begins with http:// or https://");
    std::string_view rest = text.substr(scheme_end + 3);
    if (rest.find_first_of("?#") != std::string_view::npos)
        return fail(ErrorCode::usage, "the URL of a repository has no parameters", "leave out what follows the ? or #");
    if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
        url.path = rest.substr(slash);
        rest = rest.substr(0, slash);
    }
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        const std::string_view login = rest.substr(0, at);
        rest = rest.substr(at + 1);
        const std::size_t colon = login.find(':');
        HF_TRY(url.user, percent_decoded(login.substr(0, colon)));
        if (colon != std::string_view::npos) {
            HF_TRY(std::string password, percent_decoded(login.substr(colon + 1)));
            url.password = Secret(std::move(password));
        }
    }
    const std::size_t bracket = rest.rfind(']');
    const std::size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
    url.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) {
        HF_TRY(url.port, parse_port(rest.substr(colon + 1)));
    }
    if (url.host.empty()) return fail(ErrorCode::usage, "the URL names no host");
    for (const char c : url.host)
        if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f')
            return fail(ErrorCode::usage, "the host of the URL has a space or a control character in it");
    return url;
}

}    // namespace holdfast::storage
