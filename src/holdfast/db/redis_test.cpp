#include "holdfast/db/redis.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "holdfast/db/rdb.hpp"
#include "holdfast/db/redis_replica.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/testing/redis_data.hpp"
#include "holdfast/testing/redis_server.hpp"

namespace holdfast::db {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RedisServer;

RedisLogin login(const RedisServer& server, std::string user = {}, std::string password = {}) {
    RedisLogin login;
    login.port = server.port();
    login.user = std::move(user);
    login.password = Secret(std::move(password));
    return login;
}

RedisServer start(std::vector<std::string> config = {}, std::vector<std::string> auth = {}) {
    auto server = RedisServer::start(std::move(config), std::move(auth));
    if (!server) throw std::runtime_error(server.error().message + server.error().hint);
    return *std::move(server);
}

struct Synced {
    RdbSummary summary;
    bool diskless;
};
Result<Synced> sync(const RedisLogin& login) {
    HF_TRY(RedisClient client, RedisClient::connect(login));
    HF_TRY(RedisReplica replica, RedisReplica::attach(std::move(client), login.user));
    HF_TRY(RdbSummary summary, read_rdb([&](ByteSpan to) { return replica.read(to); }));
    HF_DO(replica.leave());
    EXPECT_EQ(replica.replication_id().size(), 40u);
    EXPECT_EQ(summary.bytes, replica.bytes());
    return Synced{std::move(summary), replica.diskless()};
}

TEST(Redis, SendsAndReceivesBinaryArguments) {
    auto server = start();
    auto client = RedisClient::connect(login(server));
    ASSERT_TRUE(client) << client.error().message;
    const std::string binary("\0\r\n$9\xff", 6), large(3 << 20, 'x');
    ASSERT_TRUE(client->command({"SET", binary, large}));
    EXPECT_EQ(client->command({"GET", binary})->text(), large);
    EXPECT_TRUE(client->command({"GET", "absent"})->is_null());
    EXPECT_EQ(info_field(client->command({"INFO", "server"})->text(), "redis_version").substr(0, 2), "7.");
    const auto wrong = client->command({"LPUSH", binary, "x"});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code, ErrorCode::store);
    EXPECT_THAT(wrong.error().message, HasSubstr("WRONGTYPE"));
}

TEST(Redis, TellsAWrongPasswordFromMissingRights) {
    auto server = start({"requirepass right", "user some on >word -@all +ping"}, {"right"});
    EXPECT_TRUE(RedisClient::connect(login(server, "", "right")));
    EXPECT_TRUE(RedisClient::connect(login(server, "some", "word")));
    for (const auto& wrong : {login(server, "", "wrong-secret"), login(server, "some", "wrong-secret")}) {
        const auto client = RedisClient::connect(wrong);
        ASSERT_FALSE(client);
        EXPECT_EQ(client.error().code, ErrorCode::denied);
        EXPECT_THAT(client.error().message + client.error().hint, Not(HasSubstr("secret")));
    }
    EXPECT_EQ(RedisClient::connect(login(server))->command({"PING"}).error().code, ErrorCode::denied);
    EXPECT_EQ(RedisClient::connect(login(server, "some", "word"))->command({"GET", "a"}).error().code,
              ErrorCode::denied);
}

TEST(Redis, SaysThatAServerIsNotThere) {
    auto server = start();
    const RedisLogin there = login(server);
    server.kill();
    const auto client = RedisClient::connect(there);
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().code, ErrorCode::unreachable);
    EXPECT_THAT(client.error().message, HasSubstr(std::to_string(server.port())));
    RedisLogin by_socket;
    by_socket.socket = server.data_folder() + "/no.sock";
    EXPECT_EQ(RedisClient::connect(by_socket).error().code, ErrorCode::unreachable);
}

TEST(RedisReplica, TakesTheSameDataInBothFramings) {
    auto server = start();
    ASSERT_TRUE(server.talk(testing::every_redis_type()));
    ASSERT_TRUE(server.talk({{"SAVE"}}));    // first: it is refused while a replica is served
    const auto diskless = sync(login(server));
    ASSERT_TRUE(diskless) << diskless.error().message;
    EXPECT_TRUE(diskless->diskless);
    ASSERT_TRUE(server.talk({{"CONFIG", "SET", "repl-diskless-sync", "no"}}));
    const auto with_length = sync(login(server));
    ASSERT_TRUE(with_length) << with_length.error().message;
    EXPECT_FALSE(with_length->diskless);
    EXPECT_EQ(with_length->summary.digest(), diskless->summary.digest());
    EXPECT_EQ(diskless->summary.functions, 1u);
    EXPECT_EQ(diskless->summary.databases.size(), 3u);
    EXPECT_EQ(diskless->summary.types.size(), 6u);

    // What the server itself writes is the same; and its own count agrees.
    const auto saved = read_rdb_file(server.data_folder() + "/dump.rdb");
    ASSERT_TRUE(saved) << saved.error().message;
    EXPECT_EQ(saved->digest(), diskless->summary.digest());
    EXPECT_EQ(server.talk({{"DBSIZE"}}).value(), ":" + std::to_string(saved->databases.at(0).keys) + "\r\n");
}

// A server encodes what it loads by its own limits: the digest must not see them.
TEST(RedisReplica, GivesOneDigestForServersThatEncodeDifferently) {
    auto first = start();
    ASSERT_TRUE(first.talk(testing::every_redis_type()));
    ASSERT_TRUE(first.talk({{"SAVE"}}));
    const auto original = sync(login(first));
    ASSERT_TRUE(original) << original.error().message;
    const auto dump = os::read_file(first.data_folder() + "/dump.rdb");
    ASSERT_TRUE(dump);
    const std::vector<std::vector<std::string>> configs = {
        {"hash-max-listpack-entries 100000", "hash-max-listpack-value 100000", "zset-max-listpack-entries 100000",
         "zset-max-listpack-value 100000", "set-max-intset-entries 100000", "stream-node-max-entries 1000",
         "list-max-listpack-size 10000", "rdbcompression no"},
        {"hash-max-listpack-entries 0", "zset-max-listpack-entries 0", "set-max-intset-entries 0",
         "list-max-listpack-size 1", "stream-node-max-entries 7", "list-compress-depth 1"},
    };
    for (const auto& config : configs) {
        auto other = start(config);
        other.kill();
        ASSERT_TRUE(os::write_file(other.data_folder() + "/dump.rdb", *dump));
        ASSERT_TRUE(other.restart());
        const auto loaded = sync(login(other));
        ASSERT_TRUE(loaded) << loaded.error().message;
        EXPECT_EQ(loaded->summary.digest(), original->summary.digest()) << config[0];
        EXPECT_EQ(loaded->summary.databases, original->summary.databases);
        EXPECT_NE(loaded->summary.bytes, original->summary.bytes) << "nothing was encoded differently";

        ASSERT_TRUE(other.talk({{"HSET", "hash:large", "5", "changed"}}));
        EXPECT_NE(sync(login(other))->summary.digest(), original->summary.digest());
    }
}

TEST(RedisReplica, NeedsOnlyThreeCommands) {
    auto server = start({"user cap on >pw resetkeys resetchannels -@all +psync +replconf +ping",
                         "user few on >pw -@all +ping +replconf"});
    ASSERT_TRUE(server.talk({{"SET", "a", "b"}}));
    const auto synced = sync(login(server, "cap", "pw"));
    ASSERT_TRUE(synced) << synced.error().message;
    EXPECT_EQ(synced->summary.keys, 1u);
    const auto refused = sync(login(server, "few", "pw"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied);
    EXPECT_THAT(refused.error().hint, HasSubstr("ACL SETUSER few +psync +replconf +ping"));
}

TEST(RedisReplica, SaysWhenTheServerHasNoDataOfItsOwnYet) {
    auto server = start({"replicaof 127.0.0.1 1", "replica-serve-stale-data yes"});
    const auto synced = sync(login(server));
    ASSERT_FALSE(synced);
    EXPECT_EQ(synced.error().code, ErrorCode::unreachable) << synced.error().message;
    EXPECT_THAT(synced.error().hint, HasSubstr("master"));
}

TEST(RedisReplica, SaysWhenPsyncIsRenamed) {
    auto server = start({"rename-command PSYNC \"\""});
    const auto synced = sync(login(server));
    ASSERT_FALSE(synced);
    EXPECT_EQ(synced.error().code, ErrorCode::unsupported);
    EXPECT_THAT(synced.error().hint, HasSubstr("rename-command"));
}

TEST(RedisReplica, FailsWhenTheServerDiesInTheMiddle) {
    auto server = start();
    ASSERT_TRUE(server.talk(testing::redis_strings(3000, 1000)));
    ASSERT_TRUE(server.talk({{"CONFIG", "SET", "rdb-key-save-delay", "1000"}}));
    auto client = RedisClient::connect(login(server));
    ASSERT_TRUE(client);
    auto replica = RedisReplica::attach(*std::move(client), "");
    ASSERT_TRUE(replica) << replica.error().message;
    bool killed = false;
    const auto summary = read_rdb([&](ByteSpan to) {
        if (!std::exchange(killed, true)) server.kill();
        return replica->read(to);
    });
    ASSERT_FALSE(summary);
    EXPECT_EQ(summary.error().code, ErrorCode::unreachable);
    EXPECT_THAT(summary.error().message, HasSubstr("went away"));
}

}    // namespace
}    // namespace holdfast::db
