#include "holdfast/storage/url.hpp"

#include <gtest/gtest.h>

namespace holdfast::storage {
namespace {

TEST(Url, IsTakenApart) {
    const auto url = parse_url("https://us%2Fer:p%2Fw%25@host.example:8000/deep/repo/");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->scheme, "https");
    EXPECT_EQ(url->user, "us/er");
    EXPECT_EQ(url->password.reveal(), "p/w%");
    EXPECT_EQ(url->host, "host.example");
    EXPECT_EQ(url->port, 8000);
    EXPECT_EQ(url->path, "/deep/repo/");
    EXPECT_EQ(url->origin(), "https://host.example:8000");
    const auto plain = parse_url("http://host");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->origin(), "http://host");
    EXPECT_EQ(plain->path, "");
    const auto six = parse_url("http://[::1]:9000/x");
    ASSERT_TRUE(six);
    EXPECT_EQ(six->host, "[::1]");
    EXPECT_EQ(six->port, 9000);
    EXPECT_EQ(parse_url("http://[::1]/x")->host, "[::1]");
}

TEST(Url, RefusesWhatItCannotUseAndTellsNoPassword) {
    for (const char* bad :
         {"", "host", "ftp://host/", "http://", "http:///x", "http://h:0/", "http://h:99999/", "http://h:x/",
          "http://h/?a=b", "http://u:secret%zz@h/", "http://u:secret@h:no/", "http://h h/", "http://h\n/"}) {
        const auto url = parse_url(bad);
        ASSERT_FALSE(url) << bad;
        EXPECT_EQ(url.error().code, ErrorCode::usage) << bad;
        EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << url.error().message;
    }
}

TEST(PercentEncoding, KeepsWhatRfc3986CallsUnreserved) {
    EXPECT_EQ(percent_encoded("aZ09-._~/ +=%&\xc3\xa4"), "aZ09-._~%2F%20%2B%3D%25%26%C3%A4");
    EXPECT_EQ(percent_encoded("a/b c", "/"), "a/b%20c");
    EXPECT_EQ(percent_decoded("a%2fb%2F%25").value(), "a/b/%");
    EXPECT_FALSE(percent_decoded("a%2"));
    EXPECT_FALSE(percent_decoded("a%"));
}

}    // namespace
}    // namespace holdfast::storage
