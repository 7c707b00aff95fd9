#pragma once
// "sftp:user@host:/path" and "sftp://user@host:port//path" taken apart. Pure.
//
//   shape    as restic: after the host of the second form one slash ends the host, so "//srv/vault" is absolute and
//            "/vault" lies in the home folder; IPv6 addresses stand in brackets
//   errors   usage, with what is wrong

#include <cstdint>
#include <string>
#include <string_view>

#include "holdfast/base/result.hpp"

namespace holdfast::storage {

struct SftpLocation {
    std::string user;    // empty: ours
    std::string host;    // without brackets
    std::uint16_t port = 22;
    std::string path;    // absolute, or below the home folder; never empty
    bool operator==(const SftpLocation&) const = default;
};

/// `location` with its "sftp:".
Result<SftpLocation> parse_sftp_location(std::string_view location);

}    // namespace holdfast::storage
