#include "holdfast/storage/sftp_location.hpp"

#include <gtest/gtest.h>

namespace holdfast::storage {
namespace {

TEST(SftpLocation, ReadsBothFormsAsResticDoes) {
    EXPECT_EQ(parse_sftp_location("sftp:bob@host:/srv/vault").value(), (SftpLocation{"bob", "host", 22, "/srv/vault"}));
    EXPECT_EQ(parse_sftp_location("sftp:host:vault/").value(), (SftpLocation{"", "host", 22, "vault"}));
    EXPECT_EQ(parse_sftp_location("sftp://bob@host:2222//srv/vault").value(),
              (SftpLocation{"bob", "host", 2222, "/srv/vault"}));
    EXPECT_EQ(parse_sftp_location("sftp://host/vault").value(), (SftpLocation{"", "host", 22, "vault"}));
    EXPECT_EQ(parse_sftp_location("sftp://a@b@[fe80::1]:22//v").value(), (SftpLocation{"a@b", "fe80::1", 22, "/v"}));
    EXPECT_EQ(parse_sftp_location("sftp:[::1]:/a:b").value(), (SftpLocation{"", "::1", 22, "/a:b"}));
}

TEST(SftpLocation, RefusesWhatNamesNoPlace) {
    for (const char* text : {"", "sftp:", "sftp:host", "sftp:host:", "sftp://host", "sftp://host/", "sftp://:22//x",
                             "sftp://host:0//x", "sftp://host:65536//x", "sftp://host:22x//x", "sftp:@host:",
                             "sftp:-oProxyCommand=x:/y", "sftp://-x@host//y", "sftp:ho st:/x", "sftp:[::1/x"})
        EXPECT_EQ(parse_sftp_location(text).error().code, ErrorCode::usage) << text;
}

TEST(SftpLocation, RefusesPasswordsWithoutRepeatingThem) {
    const Error error = parse_sftp_location("sftp://bob:secret@host//x").error();
    EXPECT_EQ(error.code, ErrorCode::usage);
    EXPECT_EQ((error.message + error.hint).find("secret"), std::string::npos);
}

}    // namespace
}    // namespace holdfast::storage
