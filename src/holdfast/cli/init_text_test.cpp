#include "holdfast/cli/init_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using testing::HasSubstr;

TEST(InitText, ReadsBackAsWhatWasFound) {
    InitText what;
    what.stack = "desk \"7\"";
    what.location = "/srv/va\\ult";
    what.password_file = "/etc/holdfast/password";
    what.found.postgres.resize(1);
    what.found.postgres[0].host = "/run/postgresql";
    what.found.redis.resize(2);
    what.found.redis[0].port = 7001;
    what.found.redis[0].data_folder = "/var/lib/redis";
    what.found.redis[0].append_only = true;
    what.found.redis[0].append_file_name = "trades.aof";
    what.found.redis[1].name = "redis-2";
    what.found.redis[1].socket = "/run/redis/other.sock";
    what.found.clickhouse.resize(1);
    what.found.duckdb.resize(1);
    what.found.duckdb[0].name = "trades";
    what.found.duckdb[0].path = "/srv/line\nbreak.duckdb";

    const policy::Config config = policy::parse_config(init_text(what), "new").value();
    EXPECT_EQ(config.stack, what.stack);
    EXPECT_EQ(config.repository.location, what.location);
    EXPECT_EQ(config.repository.password.file, what.password_file);
    EXPECT_EQ(config.postgres.at(0).host, "/run/postgresql");
    EXPECT_EQ(config.redis.at(0).port, 7001);
    EXPECT_TRUE(config.redis.at(0).append_only);
    EXPECT_EQ(config.redis.at(0).append_file_name, "trades.aof");
    EXPECT_EQ(config.redis.at(0).data_folder, "/var/lib/redis");
    EXPECT_EQ(config.redis.at(1).socket, "/run/redis/other.sock");
    EXPECT_EQ(config.clickhouse.size(), 1u);
    EXPECT_EQ(config.duckdb.at(0).path, what.found.duckdb[0].path);
}

TEST(InitText, WhatWasNotFoundStandsThereSwitchedOff) {
    InitText what;
    what.stack = "a";
    what.location = "/v";
    const std::string text = init_text(what);
    EXPECT_THAT(text, HasSubstr("# [[redis]]"));
    const policy::Config config = policy::parse_config(text, "new").value();
    EXPECT_TRUE(config.postgres.empty() && config.redis.empty() && config.clickhouse.empty() && config.duckdb.empty());
}

TEST(InitText, EveryExampleInItIsAKnownKey) {
    InitText what;
    what.stack = "a";
    what.location = "/v";
    // With the comment signs of the examples taken away it must still be a configuration.
    std::string text, line;
    for (const char c : init_text(what) + "\n") {
        if (c != '\n') {
            line += c;
            continue;
        }
        const bool example =
            line.starts_with("# ") && (line.find(" = ") != std::string::npos || line.starts_with("# [["));
        const bool second = line.find("password_command") != std::string::npos;
        if (example && !second) line.erase(0, 2);
        text += line + "\n";
        line.clear();
    }
    const auto config = policy::parse_config(text, "new");
    ASSERT_TRUE(config.has_value()) << config.error().message << "\n" << text;
    EXPECT_EQ(config->redis.size(), 1u);
    EXPECT_EQ(config->files.size(), 1u);
    EXPECT_EQ(config->logs.size(), 1u);
}

}    // namespace
}    // namespace holdfast::cli
