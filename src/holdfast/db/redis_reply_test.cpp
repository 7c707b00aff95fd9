#include "holdfast/db/redis_reply.hpp"

#include <gtest/gtest.h>

namespace holdfast::db {
namespace {

Result<RedisReply> parse(std::string_view text, std::size_t step = 1 << 20, std::size_t size_max = 1 << 20) {
    RedisReplyReader reader(size_max);
    while (!text.empty()) {
        HF_TRY(const std::size_t taken, reader.feed(as_bytes(text.substr(0, step))));
        text.remove_prefix(taken);
        if (reader.complete()) return reader.take();
    }
    return fail(ErrorCode::not_found, "incomplete");
}

TEST(RedisReply, ReadsEveryTypeInPiecesOfAnySize) {
    const std::string text =
        "%3\r\n+a\r\n:-5\r\n$1\r\nb\r\n*3\r\n$-1\r\n_\r\n*-1\r\n+c\r\n~6\r\n,1.5\r\n#t\r\n(123456789012345678901\r\n"
        "=7\r\ntxt:a\r\n\r\n!5\r\nERR x\r\n-NOAUTH no\r\n";
    for (const std::size_t step : {1, 2, 3, 5, 7, 1000}) {
        const auto reply = parse(text, step);
        ASSERT_TRUE(reply) << reply.error().message;
        ASSERT_EQ(reply->items().size(), 6u);
        EXPECT_EQ(reply->items()[1].integer(), -5);
        EXPECT_EQ(reply->items()[3].items().size(), 3u);
        EXPECT_TRUE(reply->items()[3].items()[0].is_null());
        const auto& set = reply->items()[5].items();
        ASSERT_EQ(set.size(), 6u);
        EXPECT_EQ(std::get<double>(set[0].data()), 1.5);
        EXPECT_EQ(set[2].text(), "123456789012345678901");
        EXPECT_EQ(set[3].text(), "a\r\n");
        EXPECT_EQ(set[4].refusal()->text, "ERR x");
        EXPECT_EQ(set[5].refusal()->code(), "NOAUTH");
    }
}

TEST(RedisReply, DropsAttributes) {
    const auto reply = parse("*2\r\n|1\r\n+ttl\r\n:5\r\n:1\r\n|0\r\n:2\r\n");
    ASSERT_TRUE(reply) << reply.error().message;
    ASSERT_EQ(reply->items().size(), 2u);
    EXPECT_EQ(reply->items()[1].integer(), 2);
}

TEST(RedisReply, StopsAtTheEndOfOneReply) {
    RedisReplyReader reader;
    EXPECT_EQ(reader.feed(as_bytes("+OK\r\n:7\r\n")).value(), 5u);
    EXPECT_TRUE(reader.complete());
    EXPECT_EQ(reader.take().text(), "OK");
}

TEST(RedisReply, RefusesWhatIsNotResp) {
    for (const std::string_view text :
         {"HTTP/1.1 400 Bad Request\r\n", "+OK\n", "\r\n", ":12x\r\n", ":\r\n", "$-2\r\n", "*-5\r\n", "#x\r\n",
          "$3\r\nabcde", "$99999999999999999999\r\n", "*99999999999\r\n", "%4611686018427387904\r\n", ",abc\r\n"}) {
        const auto reply = parse(text);
        ASSERT_FALSE(reply) << text;
        EXPECT_EQ(reply.error().code, ErrorCode::corrupt) << text;
    }
}

TEST(RedisReply, RefusesAbsurdNestingAndSize) {
    std::string deep;
    for (std::size_t i = 0; i <= k_reply_depth_max; ++i) deep += "*1\r\n";
    EXPECT_EQ(parse(deep).error().code, ErrorCode::corrupt);
    EXPECT_EQ(parse("$1048577\r\n").error().code, ErrorCode::corrupt);
    EXPECT_EQ(parse("+" + std::string(70000, 'x')).error().code, ErrorCode::corrupt);
    // Many small replies in one: counted together.
    std::string wide = "*10000\r\n";
    for (int i = 0; i < 10000; ++i) wide += "$200\r\n" + std::string(200, 'x') + "\r\n";
    EXPECT_EQ(parse(wide).error().code, ErrorCode::corrupt);
}

}    // namespace
}    // namespace holdfast::db
