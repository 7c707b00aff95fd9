// What `init` looks for, against real servers on ports of our own.

#include "holdfast/source/detect.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::source {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Looks nowhere by itself.
DetectOptions nowhere() {
    DetectOptions options;
    options.redis_ports = {};
    options.redis_socket_folders = {};
    options.redis_config_folder = "/nonexistent";
    options.postgres_socket_folders = {};
    options.postgres_ports = {};
    options.clickhouse_ports = {};
    return options;
}

TEST(Detect, FindsARedisAndWhereItsFilesLie) {
    auto server = testing::RedisServer::start({"appendonly yes"});
    ASSERT_TRUE(server) << server.error().message;
    DetectOptions options = nowhere();
    options.redis_ports = {server->port()};
    const Detected found = detect(options);
    ASSERT_THAT(found.redis, SizeIs(1));
    EXPECT_EQ(found.redis[0].name, "redis");
    EXPECT_EQ(found.redis[0].port, server->port());
    EXPECT_EQ(found.redis[0].data_folder, server->data_folder());
    EXPECT_TRUE(found.redis[0].append_only);
}

TEST(Detect, OneRedisOnPortAndSocketIsOne) {
    const os::TempFolder folder = os::TempFolder::create("holdfast-detect").value();
    auto server = testing::RedisServer::start({"unixsocket " + folder.path() + "/redis.sock"});
    ASSERT_TRUE(server) << server.error().message;
    DetectOptions options = nowhere();
    options.redis_ports = {server->port()};
    options.redis_socket_folders = {folder.path()};
    EXPECT_THAT(detect(options).redis, SizeIs(1));
    options.redis_ports = {};
    const Detected found = detect(options);
    ASSERT_THAT(found.redis, SizeIs(1));
    EXPECT_EQ(found.redis[0].socket, folder.path() + "/redis.sock");
}

TEST(Detect, ARedisWithAPasswordIsFoundAndToldAbout) {
    auto server = testing::RedisServer::start({"requirepass hunter2"}, {"hunter2"});
    ASSERT_TRUE(server) << server.error().message;
    const os::TempFolder folder = os::TempFolder::create("holdfast-detect").value();
    // Its port stands in a configuration file.
    ASSERT_TRUE(os::write_file(folder.path() + "/redis.conf",
                               as_bytes("# port 1\n  port \t" + std::to_string(server->port()) + "\n")));
    DetectOptions options = nowhere();
    options.redis_config_folder = folder.path();
    const Detected found = detect(options);
    EXPECT_THAT(found.redis, SizeIs(1));
    EXPECT_THAT(found.notes, ElementsAre(HasSubstr("password_file")));
}

TEST(Detect, FindsAPostgresOnItsSocketAndPort) {
    auto server = testing::PostgresServer::start();
    ASSERT_TRUE(server) << server.error().message;
    DetectOptions options = nowhere();
    options.postgres_ports = {server->port()};
    Detected found = detect(options);
    ASSERT_THAT(found.postgres, SizeIs(1));
    EXPECT_EQ(found.postgres[0].host, "127.0.0.1");
    EXPECT_EQ(found.postgres[0].port, server->port());
    options.postgres_socket_folders = {server->socket_folder()};
    found = detect(options);
    ASSERT_THAT(found.postgres, SizeIs(1));    // not twice
    EXPECT_EQ(found.postgres[0].host, server->socket_folder());
}

TEST(Detect, FindsAClickHouse) {
    auto server = testing::ClickHouseServer::start();
    ASSERT_TRUE(server) << server.error().message;
    const std::string url = server->url();
    const std::size_t colon = url.rfind(':');
    DetectOptions options = nowhere();
    options.clickhouse_ports = {static_cast<std::uint16_t>(std::stoul(url.substr(colon + 1)))};
    const Detected found = detect(options);
    ASSERT_THAT(found.clickhouse, SizeIs(1));
    EXPECT_EQ(found.clickhouse[0].url, "http://127.0.0.1:" + std::to_string(options.clickhouse_ports[0]));
}

TEST(Detect, ATangleOfProtocolsIsNotMistaken) {
    auto server = testing::RedisServer::start();
    ASSERT_TRUE(server) << server.error().message;
    const std::uint16_t closed = os::free_port().value();
    DetectOptions options = nowhere();
    options.redis_ports = {closed};
    options.postgres_ports = {server->port(), closed};
    options.clickhouse_ports = {server->port(), closed};
    const Detected found = detect(options);
    EXPECT_TRUE(found.redis.empty() && found.postgres.empty() && found.clickhouse.empty());
}

class DetectDuckDb : public ::testing::Test {
protected:
    void put(const std::string& name, std::string_view content) const {
        ASSERT_TRUE(os::make_folders(os::parent_folder(folder_.path() + "/" + name)));
        ASSERT_TRUE(os::write_file(folder_.path() + "/" + name, as_bytes(content)));
    }
    Detected look() const {
        DetectOptions options = nowhere();
        options.search = {folder_.path(), folder_.path() + "/a/.."};    // the same twice
        return detect(options);
    }
    os::TempFolder folder_ = os::TempFolder::create("holdfast-detect").value();
    const std::string head_ = std::string(8, '\1') + "DUCK" + std::string(100, '\0');
};

TEST_F(DetectDuckDb, ByTheMagicAndGivesEachANameOfItsOwn) {
    put("a/trades.duckdb", head_);
    put("b/trades.db", head_);
    put("b/Redis.ddb", head_);
    put("b/wrong.duckdb", "SQLite format 3");
    put("b/short.duckdb", "DUCK");
    put("b/trades.txt", head_);
    const Detected found = look();
    std::vector<std::string> names;
    for (const auto& config : found.duckdb) names.push_back(config.name);
    std::ranges::sort(names);
    EXPECT_THAT(names, ElementsAre("redis-2", "trades", "trades-2"));
}

TEST_F(DetectDuckDb, TheSearchIsBoundedAndSaysSo) {
    for (int i = 0; i < 50; ++i) put("d/f" + std::to_string(i), "");
    DetectOptions options = nowhere();
    options.search = {folder_.path()};
    options.entries_max = 10;
    EXPECT_THAT(detect(options).notes, ElementsAre(HasSubstr("ended after 10")));
}

}    // namespace
}    // namespace holdfast::source
