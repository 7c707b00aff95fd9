#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "holdfast/db/rdb.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/testing/redis_data.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::source {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::RedisServer;

struct Captured {
    Result<json::Value> facts;
    std::string dump, settings, users;    // as they stand in the snapshot
};

// Each test has a repository of its own.
class CaptureRedis : public ::testing::Test {
protected:
    void SetUp() override {
        auto made = os::TempFolder::create("hf-redis-vault");
        ASSERT_TRUE(made);
        folder_.emplace(*std::move(made));
        auto backend = storage::open_backend(folder_->path() + "/vault");
        ASSERT_TRUE(backend);
        vault::InitOptions options;
        options.cost = {1024, 8, 1};
        auto repository = vault::Repository::init(*std::move(backend), Secret("p"), clock_, options);
        ASSERT_TRUE(repository) << repository.error().message;
        repository_ = *std::move(repository);
    }

    static RedisServer start(std::vector<std::string> config = {}, std::vector<std::string> auth = {}) {
        auto server = RedisServer::start(std::move(config), std::move(auth));
        if (!server) throw std::runtime_error(server.error().message + server.error().hint);
        return *std::move(server);
    }

    policy::RedisConfig config_of(const RedisServer& server, std::string user = {}, std::string_view password = {}) {
        policy::RedisConfig config;
        config.port = server.port();
        config.user = std::move(user);
        if (!password.empty()) {
            config.password.file = folder_->path() + "/password";
            EXPECT_TRUE(os::write_file(config.password.file, as_bytes(password)));
        }
        return config;
    }

    Captured capture(const policy::RedisConfig& config) {
        vault::BackupOptions options;
        options.paths = {"/test"};
        auto backup = vault::Backup::start(*repository_, std::move(options));
        if (!backup) throw std::runtime_error(backup.error().message);
        CaptureContext context{**backup, clock_, config.name, folder_->path()};
        Captured captured{capture_redis(config, context), {}, {}, {}};
        // Something else succeeds, and the snapshot shows what is in it.
        EXPECT_TRUE((*backup)->add_file("other", as_bytes("x")));
        const auto outcome = (*backup)->commit();
        if (!outcome) throw std::runtime_error(outcome.error().message);
        EXPECT_TRUE(repository_->load_index(true));
        const auto entry = repository_->find_snapshot(outcome->snapshot.hex());
        const auto content = [&](std::string_view name) -> std::string {
            const auto node = repository_->find_node(entry->snapshot.tree, "/" + config.name + "/" + std::string(name));
            if (!node) return {};
            const auto bytes = vault::read_small(*repository_, *node);
            return bytes ? std::string(as_text(*bytes)) : bytes.error().message;
        };
        captured.dump = content("dump.rdb");
        captured.settings = content("config.json");
        captured.users = content("acl.txt");
        return captured;
    }

    os::SystemClock clock_;
    std::optional<os::TempFolder> folder_;
    std::unique_ptr<vault::Repository> repository_;
};

TEST_F(CaptureRedis, StoresAWholeRdbWithItsFactsInBothFramings) {
    // EA-09, NS-01
    for (const char* diskless : {"yes", "no"}) {
        auto server = start({std::string("repl-diskless-sync ") + diskless});
        ASSERT_TRUE(server.talk(testing::every_redis_type()));
        const Captured captured = capture(config_of(server));
        ASSERT_TRUE(captured.facts) << captured.facts.error().message;
        const json::Value& facts = *captured.facts;
        EXPECT_EQ(facts["framing"].text(), std::string_view(diskless) == "yes" ? "mark" : "length");
        EXPECT_EQ(facts["version"].text().substr(0, 2), "7.");
        EXPECT_EQ(facts["run_id"].text().size(), 40u);
        EXPECT_EQ(facts["replication_id"].text().size(), 40u);
        EXPECT_EQ(facts["databases"].items().size(), 3u);
        EXPECT_EQ(facts["databases"].items()[1]["db"].natural(), 3u);
        EXPECT_EQ(facts["databases"].items()[1]["expires"].natural(), 500u);
        EXPECT_EQ(facts["functions"].natural(), 1u);
        EXPECT_GT(facts["types"]["stream"].natural(), 0u);
        EXPECT_EQ(facts["bytes"].natural(), captured.dump.size());

        ASSERT_TRUE(os::write_file(folder_->path() + "/x.rdb", as_bytes(captured.dump)));
        const auto stored = db::read_rdb_file(folder_->path() + "/x.rdb");
        ASSERT_TRUE(stored) << stored.error().message;
        EXPECT_EQ(stored->digest(), facts["digest"].text());
        EXPECT_EQ(stored->keys, facts["keys"].natural());
    }
}

TEST_F(CaptureRedis, TakesSettingsAndUsersButNoSecretOfTheSettings) {
    auto server =
        start({"requirepass top-secret", "masterauth other-secret", "user some on >word +get ~a*"}, {"top-secret"});
    const Captured captured = capture(config_of(server, "", "top-secret\n"));
    ASSERT_TRUE(captured.facts) << captured.facts.error().message;
    EXPECT_THAT(captured.settings, HasSubstr("\"maxmemory-policy\""));
    EXPECT_THAT(captured.settings, Not(HasSubstr("secret")));
    EXPECT_THAT(captured.users, HasSubstr("user some on #"));
    EXPECT_THAT(json::dump(*captured.facts), Not(HasSubstr("secret")));
}

TEST_F(CaptureRedis, NeedsOnlyThreeCommandsAndNotesWhatItMayNot) {
    auto server = start({"user cap on >pw resetkeys resetchannels -@all +psync +replconf +ping",
                         "user few on >pw -@all +ping +replconf +info"});
    ASSERT_TRUE(server.talk({{"SET", "a", "b"}}));
    const Captured captured = capture(config_of(server, "cap", "pw"));
    ASSERT_TRUE(captured.facts) << captured.facts.error().message;
    EXPECT_EQ((*captured.facts)["keys"].natural(), 1u);
    EXPECT_EQ((*captured.facts)["notes"].items().size(), 3u);
    EXPECT_FALSE((*captured.facts)["settings"].boolean());
    EXPECT_FALSE(captured.dump.empty());
    EXPECT_TRUE(captured.users.empty());

    const Captured refused = capture(config_of(server, "few", "pw"));
    ASSERT_FALSE(refused.facts);
    EXPECT_EQ(refused.facts.error().code, ErrorCode::denied);
    EXPECT_THAT(refused.facts.error().hint, HasSubstr("ACL SETUSER few +psync +replconf +ping"));
    EXPECT_TRUE(refused.dump.empty());
}

TEST_F(CaptureRedis, RefusesAWrongPasswordAndAServerThatIsNotThere) {
    auto server = start({"requirepass right"}, {"right"});
    EXPECT_EQ(capture(config_of(server, "", "wrong")).facts.error().code, ErrorCode::denied);
    const Captured without = capture(config_of(server));
    EXPECT_EQ(without.facts.error().code, ErrorCode::denied);
    EXPECT_THAT(without.facts.error().hint, HasSubstr("password_file"));
    server.kill();
    const Captured gone = capture(config_of(server, "", "right"));
    EXPECT_EQ(gone.facts.error().code, ErrorCode::unreachable);
    EXPECT_THAT(gone.facts.error().hint, HasSubstr("start the server"));
    policy::RedisConfig no_file = config_of(server);
    no_file.password.file = "/nonexistent/password";
    EXPECT_EQ(capture(no_file).facts.error().code, ErrorCode::not_found);
}

TEST_F(CaptureRedis, StoresNothingOfAServerThatIsKilledInTheMiddle) {
    auto server = start();
    ASSERT_TRUE(server.talk(testing::redis_strings(20000, 500)));
    // 20,000 keys at 100 us each: the RDB takes two seconds.
    ASSERT_TRUE(server.talk({{"CONFIG", "SET", "rdb-key-save-delay", "100"}}));
    std::atomic<bool> over = false;
    std::thread killer([&] {
        while (!over) {
            const auto info = server.talk({{"INFO", "persistence"}});
            if (info && info->find("rdb_bgsave_in_progress:1") == std::string::npos) continue;
            ::kill(server.pid(), SIGKILL);    // the RDB is on its way
            return;
        }
    });
    const Captured captured = capture(config_of(server));
    over = true;
    killer.join();
    ASSERT_FALSE(captured.facts);
    EXPECT_EQ(captured.facts.error().code, ErrorCode::unreachable) << captured.facts.error().message;
    EXPECT_TRUE(captured.dump.empty());
}

// The machine is out of memory: the kernel kills the child that the server forked for the copy. The server lives.
TEST_F(CaptureRedis, StoresNothingWhenTheForkedChildIsKilledForMemory) {
    auto server = start();
    ASSERT_TRUE(server.talk(testing::redis_strings(20000, 500)));
    ASSERT_TRUE(server.talk({{"CONFIG", "SET", "rdb-key-save-delay", "100"}}));
    std::atomic<bool> over = false;
    std::atomic<int> kills = 0;
    std::thread killer([&] {
        const std::string children = fmt::format("/proc/{0}/task/{0}/children", server.pid());
        while (!over) {
            const auto text = os::read_text(children);
            if (!text || text->empty()) continue;
            if (::kill(std::stoi(*text), SIGKILL) == 0) ++kills;
        }
    });
    const Captured captured = capture(config_of(server));
    over = true;
    killer.join();
    EXPECT_GE(kills, 1);
    ASSERT_FALSE(captured.facts);
    EXPECT_TRUE(captured.dump.empty());
    EXPECT_TRUE(server.talk({{"PING"}}));
    ASSERT_TRUE(server.talk({{"CONFIG", "SET", "rdb-key-save-delay", "0"}}));
    EXPECT_TRUE(capture(config_of(server)).facts);
}

TEST_F(CaptureRedis, SaysWhenAReplicaHasNoDataOfItsOwnYet) {
    auto server = start({"replicaof 127.0.0.1 1"});
    const Captured captured = capture(config_of(server));
    ASSERT_FALSE(captured.facts);
    EXPECT_EQ(captured.facts.error().code, ErrorCode::unreachable);
    EXPECT_THAT(captured.facts.error().hint, HasSubstr("master"));
}

TEST_F(CaptureRedis, NotesThatANodeOfAClusterIsOnlyAPart) {
    // Its second port is the first plus 10,000, unless said.
    auto server = start({"cluster-enabled yes", "cluster-port " + std::to_string(os::free_port().value())});
    const Captured captured = capture(config_of(server));
    ASSERT_TRUE(captured.facts) << captured.facts.error().message;
    ASSERT_EQ((*captured.facts)["notes"].items().size(), 1u);
    EXPECT_THAT((*captured.facts)["notes"].items()[0].text(), HasSubstr("cluster"));
}

TEST_F(CaptureRedis, TakesAnEmptyServer) {
    auto server = start();
    const Captured captured = capture(config_of(server));
    ASSERT_TRUE(captured.facts) << captured.facts.error().message;
    EXPECT_EQ((*captured.facts)["keys"].natural(99), 0u);
}

}    // namespace
}    // namespace holdfast::source
