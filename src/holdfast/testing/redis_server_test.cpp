#include "holdfast/testing/redis_server.hpp"

#include <gmock/gmock.h>

namespace holdfast::testing {
namespace {

using ::testing::HasSubstr;

TEST(RedisServerTalk, KnowsAnErrorFromAValueThatLooksLikeOne) {
    auto server = RedisServer::start();
    ASSERT_TRUE(server) << server.error().message;
    const std::string looks_like_one = "-ERR no\r\n-ERR no\r\n";
    const auto said = server->talk({{"SET", "a", looks_like_one},
                                    {"GET", "a"},
                                    {"GET", "none"},
                                    {"RPUSH", "l", "-x", ""},
                                    {"LRANGE", "l", "0", "9"}});
    ASSERT_TRUE(said) << said.error().message;
    EXPECT_THAT(*said, HasSubstr(looks_like_one));
    const auto wrong = server->talk({{"GET", "a"}, {"INCR", "a"}, {"GET", "a"}});
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, HasSubstr("not an integer"));
}

}    // namespace
}    // namespace holdfast::testing
