#include "holdfast/http/head.hpp"

#include <gtest/gtest.h>

namespace holdfast::http {
namespace {

TEST(RequestHead, ReadsWhatClientsSend) {
    const auto head =
        parse_request_head("POST /r/?create=true HTTP/1.1\r\nHost: x\r\nContent-LENGTH:  12 \r\n\r\n").value();
    EXPECT_EQ(head.method, "POST");
    EXPECT_EQ(head.path, "/r/");
    EXPECT_EQ(head.query, "create=true");
    EXPECT_EQ(head.content_length, 12u);
    EXPECT_FALSE(head.wants_close());
    EXPECT_TRUE(parse_request_head("GET / HTTP/1.0\r\n\r\n")->wants_close());
    EXPECT_TRUE(parse_request_head("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n")->wants_close());
}

TEST(RequestHead, RefusesWhatTwoProgramsCouldReadDifferently) {
    for (const char* text :
         {"", "\r\n", "GET /\r\n\r\n", "GET / HTTP/2\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "GET x HTTP/1.1\r\n\r\n",
          "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA: b\r\n", "GET / HTTP/1.1\r\n folded\r\n\r\n",
          "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
          "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "GET / HTTP/1.1\r\n\r\nmore\r\n"})
        EXPECT_EQ(parse_request_head(text).error().code, ErrorCode::usage) << text;
    std::string many = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 101; ++i) many += "A: b\r\n";
    EXPECT_FALSE(parse_request_head(many + "\r\n"));
}

}    // namespace
}    // namespace holdfast::http
