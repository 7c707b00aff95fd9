#include "holdfast/storage/sftp_location.hpp"

#include <fmt/core.h>

#include <charconv>

namespace holdfast::storage {
namespace {

constexpr const char* k_forms = "write sftp:user@host:/path or sftp://user@host:port//path";

std::unexpected<Error> wrong(std::string_view what) { return fail(ErrorCode::usage, std::string(what), k_forms); }

// Host names, addresses and user names only: both end up in messages, and a leading dash in a program's arguments.
bool is_plain(std::string_view text) {
    if (text.empty() || text.front() == '-') return false;
    for (const char c : text)
        if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f' || c == '/' || c == '[' || c == ']') return false;
    return true;
}

}    // namespace

Result<SftpLocation> parse_sftp_location(std::string_view location) {
    SftpLocation parsed;
    std::string_view rest = location;
    if (!rest.starts_with("sftp:")) return wrong("the location does not begin with sftp:");
    rest.remove_prefix(5);
    const bool is_url = rest.starts_with("//");
    std::string_view login;
    if (is_url) {
        rest.remove_prefix(2);
        const std::size_t slash = rest.find('/');
        if (slash == std::string_view::npos) return wrong("the sftp location names no path");
        login = rest.substr(0, slash);
        rest.remove_prefix(slash + 1);
    } else {
        const std::size_t bracket = rest.find(']');
        const std::size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
        if (colon == std::string_view::npos) return wrong("the sftp location has no colon between host and path");
        login = rest.substr(0, colon);
        rest.remove_prefix(colon + 1);
    }
    // The last @: user names of some services hold one.
    if (const std::size_t at = login.rfind('@'); at != std::string_view::npos) {
        parsed.user = login.substr(0, at);
        login.remove_prefix(at + 1);
        if (parsed.user.find(':') != std::string::npos)
            return fail(ErrorCode::usage, "the sftp location holds a password, which is not supported",
                        "use a key: see docs/operations/off-site-ssh.md");
        if (!is_plain(parsed.user)) return wrong("the user of the sftp location is not a user name");
    }
    std::string_view port;
    if (login.starts_with('[')) {
        const std::size_t end = login.find(']');
        if (end == std::string_view::npos) return wrong("the sftp location has a [ without a ]");
        port = login.substr(end + 1);
        login = login.substr(1, end - 1);
    } else if (is_url && login.find(':') != std::string_view::npos) {
        port = login.substr(login.find(':'));
        login = login.substr(0, login.find(':'));
    }
    if (!is_plain(login)) return wrong("the sftp location names no host");
    parsed.host = login;
    if (!port.empty()) {
        const char* end = port.data() + port.size();
        if (!is_url || port[0] != ':' || port.size() < 2) return wrong("the sftp location's host is not understood");
        const auto [at, error] = std::from_chars(port.data() + 1, end, parsed.port);
        if (error != std::errc() || at != end || parsed.port == 0)
            return wrong(fmt::format("\"{}\" is not a port", port.substr(1)));
    }
    if (rest.empty()) return wrong("the sftp location names no path");
    if (rest.find('\0') != std::string_view::npos) return wrong("the path of the sftp location holds a zero byte");
    while (rest.size() > 1 && rest.ends_with('/')) rest.remove_suffix(1);
    parsed.path = rest;
    return parsed;
}

}    // namespace holdfast::storage
