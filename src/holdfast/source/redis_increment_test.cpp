// When a Redis is copied whole, and when only what it was told since.

#include "holdfast/source/redis_increment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace holdfast::source {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

const std::string k_id(40, 'a'), k_digest(64, '0');

std::string info(
    std::string_view keyspace = "db0:keys=12,expires=3,avg_ttl=77\r\ndb15:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n") {
    return "# Server\r\nredis_version:7.0.15\r\n# Replication\r\nrole:master\r\nmaster_replid:" + k_id +
           "\r\nmaster_repl_offset:1000\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1048576\r\n# Keyspace\r\n" +
           std::string(keyspace);
}

json::Value whole_facts() {
    return json::Value::object({{"version", "7.0.15"},
                                {"replication_id", k_id},
                                {"offset", 900},
                                {"bytes", 100'000'000},
                                {"keys", 12},
                                {"digest", k_digest},
                                {"taken", "2026-11-27T10:00:00Z"}});
}
json::Value increment_facts(std::uint64_t bytes = 10) {
    json::Value facts = whole_facts();
    facts.set("base", whole_facts().set("file", "appendonlydir/appendonly.aof.1.base.rdb"));
    facts.set("selected_database", 4);
    facts.set("increments",
              json::Value::array().push(json::Value::object({{"file", "appendonlydir/appendonly.aof.1.incr.aof"},
                                                             {"commands", 2},
                                                             {"bytes", bytes},
                                                             {"digest", k_digest}})));
    return facts;
}

TEST(RedisMoment, IsReadFromInfo) {
    const auto moment = parse_redis_moment(info());
    ASSERT_TRUE(moment);
    EXPECT_EQ(moment->position.replication_id, k_id);
    EXPECT_EQ(moment->position.offset, 1000u);
    EXPECT_TRUE(moment->has_backlog);
    EXPECT_EQ(moment->databases.size(), 2u);
    EXPECT_EQ(moment->databases.at(0).keys, 12u);
    EXPECT_EQ(moment->databases.at(0).expires, 3u);
    EXPECT_EQ(moment->databases.at(15).keys, 1u);
    EXPECT_TRUE(parse_redis_moment(info("")));
    // What cannot be read must not become a proof.
    EXPECT_FALSE(parse_redis_moment(info("db0:keys=many,expires=3\r\n")));
    EXPECT_FALSE(parse_redis_moment("# Server\r\nredis_version:7.0.15\r\n"));
    EXPECT_FALSE(parse_redis_moment(""));
}

TEST(RedisChain, BeginsWithAWholeCopyAndGrows) {
    const auto whole = parse_redis_chain(whole_facts());
    ASSERT_TRUE(whole) << whole.error().message;
    EXPECT_EQ(whole->base_file, "dump.rdb");
    EXPECT_EQ(whole->position.offset, 900u);
    EXPECT_FALSE(whole->database);
    const auto grown = parse_redis_chain(increment_facts());
    ASSERT_TRUE(grown) << grown.error().message;
    EXPECT_EQ(grown->increments.size(), 1u);
    EXPECT_EQ(grown->database, 4u);
    EXPECT_EQ(grown->increment_bytes(), 10u);
}

TEST(RedisChain, IsNotMadeOfFactsThatLackSomething) {
    for (const char* member : {"replication_id", "offset", "bytes", "digest", "taken"}) {
        json::Value facts = whole_facts();
        facts.set(member, nullptr);
        EXPECT_FALSE(parse_redis_chain(facts)) << member;
    }
    for (const char* file : {"", "../dump.rdb", "appendonlydir/appendonly.aof/../../x", "/etc/passwd"}) {
        json::Value facts = increment_facts(), base = facts["base"];
        facts.set("base", base.set("file", file));
        EXPECT_FALSE(parse_redis_chain(facts)) << file;
    }
}

// A whole copy is due by age, by size, and whenever the server's history is another one.
TEST(RedisChain, IsGoneOnWithUntilAWholeCopyIsDue) {
    const RedisChain chain = *parse_redis_chain(increment_facts());
    const RedisMoment moment = *parse_redis_moment(info());
    const Timestamp now = *parse_rfc3339("2026-11-27T12:00:00Z");
    const policy::RedisConfig config;
    EXPECT_EQ(why_whole(config, chain, moment, now), "");
    EXPECT_THAT(why_whole(config, chain, moment, now + 22h), HasSubstr("2026-11-27T10:00:00Z"));
    EXPECT_NE(why_whole(config, chain, moment, now - 3h), "");    // the clock was set back

    policy::RedisConfig never;
    never.full_every_hours = 0;
    EXPECT_THAT(why_whole(never, chain, moment, now), HasSubstr("full_every_hours"));
    EXPECT_EQ(why_whole(config, *parse_redis_chain(increment_facts(50'000'000)), moment, now), "");
    EXPECT_THAT(why_whole(config, *parse_redis_chain(increment_facts(50'000'001)), moment, now), HasSubstr("grown"));

    RedisMoment old = moment;
    old.version = "6.2.14";
    EXPECT_THAT(why_whole(config, chain, old, now), HasSubstr("7.0"));
    old.version.clear();
    EXPECT_NE(why_whole(config, chain, old, now), "");
    json::Value facts = whole_facts();
    facts.set("types", json::Value::object({{"string", 5}, {"module", 1}}));
    EXPECT_THAT(why_whole(config, *parse_redis_chain(facts), moment, now), HasSubstr("modules"));
    RedisMoment other = moment;
    other.position.replication_id = std::string(40, 'b');
    EXPECT_THAT(why_whole(config, chain, other, now), HasSubstr("new history"));
    other = moment;
    other.position.offset = 899;
    EXPECT_THAT(why_whole(config, chain, other, now), HasSubstr("behind"));
    other = moment;
    other.has_backlog = false;
    EXPECT_THAT(why_whole(config, chain, other, now), HasSubstr("backlog"));
}

// Few keys: their changes soon take more than half of the RDB, and are still next to nothing.
TEST(RedisChain, OfASmallServerIsNotCutShort) {
    json::Value facts = increment_facts(1 << 20), base = facts["base"];
    facts.set("base", base.set("bytes", 90));
    EXPECT_EQ(
        why_whole({}, *parse_redis_chain(facts), *parse_redis_moment(info()), *parse_rfc3339("2026-11-27T12:00:00Z")),
        "");
}

}    // namespace
}    // namespace holdfast::source
