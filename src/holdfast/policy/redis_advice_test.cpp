#include "holdfast/policy/redis_advice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::policy {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// A server that runs as profile ea wants it.
RedisFacts good() {
    RedisFacts facts;
    facts.role = "master";
    facts.machine_memory = std::uint64_t(16) << 30;
    facts.used_memory = std::uint64_t(1) << 30;
    facts.settings = {
        {"maxmemory", "8589934592"}, {"maxmemory-policy", "volatile-lru"}, {"appendonly", "yes"},
        {"appendfsync", "always"},   {"save", "3600 1 60 1000"},           {"auto-aof-rewrite-min-size", "67108864"},
        {"dbfilename", "dump.rdb"},  {"appenddirname", "appendonlydir"},   {"appendfilename", "appendonly.aof"},
        {"dir", "/var/lib/redis"}};
    return facts;
}

RedisConfig configured() {
    RedisConfig config;
    config.append_only = true;
    config.data_folder = "/var/lib/redis";
    return config;
}

MATCHER_P2(Sets, setting, value, "") { return arg.setting == setting && arg.value == value; }

// Requirements: EA-09, MT-17.
TEST(RedisAdvice, IsSilentAboutAServerThatIsAsTheProfileWants) {
    EXPECT_THAT(advise_redis(configured(), good(), {"ea"}), IsEmpty());
}

// Requirement: MT-17. The policies that may run with signals, and those that may not.
TEST(RedisAdvice, NothingThatIsNotDurableElsewhereMayBeEvicted) {
    for (const char* safe : {"noeviction", "volatile-lru", "volatile-lfu", "volatile-ttl", "volatile-random"}) {
        RedisFacts facts = good();
        facts.settings["maxmemory-policy"] = safe;
        EXPECT_THAT(advise_redis(configured(), facts, {"ea"}), IsEmpty()) << safe;
    }
    for (const char* wrong : {"allkeys-lru", "allkeys-lfu", "allkeys-random"}) {
        RedisFacts facts = good();
        facts.settings["maxmemory-policy"] = wrong;
        facts.evicted = 12;
        EXPECT_THAT(
            advise_redis(configured(), facts, {"ea"}),
            ElementsAre(AllOf(Sets("maxmemory-policy", "volatile-lru"), Field(&Advice::severity, Severity::trouble),
                              Field(&Advice::text, HasSubstr("12 keys are gone already")))))
            << wrong;
        // A cache that nobody trades through may evict what it likes.
        EXPECT_THAT(advise_redis(configured(), facts, {}), IsEmpty()) << wrong;
    }
}

// Requirements: EA-09, MT-01.
TEST(RedisAdvice, PersistenceIsHeldAgainstTheProfile) {
    RedisFacts facts = good();
    facts.settings["appendfsync"] = "everysec";
    facts.settings["save"] = "3600 1";
    facts.settings["auto-aof-rewrite-min-size"] = "1048576";
    EXPECT_THAT(advise_redis(configured(), facts, {"ea"}),
                ElementsAre(Sets("appendfsync", "always"), Sets("save", "3600 1 60 1000"),
                            Sets("auto-aof-rewrite-min-size", "64mb")));
    EXPECT_THAT(advise_redis(configured(), facts, {"mt5"}), ElementsAre(Sets("save", "3600 1 300 1")));
    // More than is asked for is no fault.
    facts.settings["appendfsync"] = "always";
    facts.settings["save"] = "300 1";
    EXPECT_THAT(advise_redis(configured(), facts, {"mt5"}), IsEmpty());
    facts.settings["save"] = "1300 1";
    EXPECT_THAT(advise_redis(configured(), facts, {"mt5"}), ElementsAre(Sets("save", "1300 1 300 1")));

    facts.settings["appendonly"] = "no";
    facts.settings["save"] = "";
    RedisConfig without = configured();
    without.append_only = false;
    EXPECT_THAT(advise_redis(without, facts, {}),
                ElementsAre(AllOf(Sets("appendonly", "yes"), Field(&Advice::severity, Severity::trouble))));
}

// Requirement: NS-17 (Redis out of memory).
TEST(RedisAdvice, MemoryThatRunsOutIsSaidBeforeItDoes) {
    RedisFacts facts = good();
    facts.settings["maxmemory"] = "1100000000";
    EXPECT_THAT(advise_redis(configured(), facts, {"ea"}),
                ElementsAre(Field(&Advice::text, HasSubstr("97 % of its maxmemory"))));
    facts.settings["maxmemory"] = "0";
    EXPECT_THAT(advise_redis(configured(), facts, {"ea"}),
                ElementsAre(Field(&Advice::cure, "CONFIG SET maxmemory 8192mb")));
    facts = good();
    facts.snapshot_failed = facts.log_failed = facts.local = true;
    facts.overcommits = false;
    EXPECT_THAT(advise_redis(configured(), facts, {"ea"}),
                ElementsAre(Field(&Advice::cure, "sysctl -w vm.overcommit_memory=1"),
                            Field(&Advice::text, HasSubstr("background save failed")),
                            Field(&Advice::text, HasSubstr("append-only file failed"))));
}

// Requirement: NS-17 (Redis restored with 0 keys): the file that is restored must be the one that the server loads.
TEST(RedisAdvice, WhatWouldMakeARestoreVainIsSaidBefore) {
    RedisConfig config = configured();
    config.append_only = false;
    config.data_folder = "/srv/redis";
    config.db_file_name = "other.rdb";
    EXPECT_THAT(advise_redis(config, good(), {}),
                ElementsAre(Field(&Advice::cure, "append_only = true in [[redis]] of holdfast.toml"),
                            Field(&Advice::cure, "db_file_name = \"dump.rdb\" in [[redis]] of holdfast.toml"),
                            Field(&Advice::cure, "data_folder = \"/var/lib/redis\" in [[redis]] of holdfast.toml")));
}

TEST(RedisAdvice, AServerThatDoesNotTellItsSettingsIsNotJudgedByThem) {
    RedisFacts facts;
    facts.role = "slave";
    EXPECT_THAT(advise_redis(configured(), facts, {"ea"}),
                ElementsAre(Field(&Advice::text, HasSubstr("it is a replica")),
                            Field(&Advice::cure, HasSubstr("+config|get"))));
}

// One server, two accounts: it keeps what each wants.
TEST(RedisAdvice, ASharedServerIsJudgedByAllItsAccounts) {
    auto facts = good();
    facts.settings["save"] = "";
    facts.settings["appendfsync"] = "everysec";
    for (const auto& profiles : {std::vector<std::string_view>{"ea", "mt5"}, {"mt5", "ea"}})
        EXPECT_THAT(advise_redis(configured(), facts, profiles),
                    ElementsAre(Sets("appendfsync", "always"), Sets("save", "60 1000 300 1")));
    facts = good();
    facts.settings["repl-backlog-size"] = "1048576";
    facts.used_memory = std::uint64_t(100) << 20;
    EXPECT_THAT(advise_redis(configured(), facts, {}), ElementsAre(Sets("repl-backlog-size", "64mb")));
}

}    // namespace
}    // namespace holdfast::policy
