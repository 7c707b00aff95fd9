// A Redis over some days: increments, a whole copy, plain files, and some keys back into the running server.

#include <gmock/gmock.h>

#include <signal.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RedisStory : public Scenario {
protected:
    void SetUp() override {
        auto server = testing::RedisServer::start({"repl-backlog-size 16mb"});
        ASSERT_TRUE(server) << server.error().message;
        server_.emplace(*std::move(server));
        make_repository();
        write(at("holdfast.toml"), "stack = \"desk\"\n[[redis]]\nport = " + std::to_string(server_->port()) + "\n");
    }
    Answer configured(std::vector<std::string> arguments) const {
        return holdfast(std::move(arguments), {{"HOLDFAST_CONFIG", at("holdfast.toml")}});
    }
    std::string how(std::vector<std::string> more = {}) const {
        more.insert(more.begin(), {"backup", "--json"});
        return configured(more).json()["components"].items().at(0)["facts"]["how"].text();
    }
    void say(const std::vector<std::vector<std::string>>& commands) {
        const auto said = server_->talk(commands);
        ASSERT_TRUE(said) << said.error().message;
    }

    std::optional<testing::RedisServer> server_;
};

// EA-09, NS-01
TEST_F(RedisStory, IsSavedByWhatItWasTold) {
    say({{"SET", "session:1", "one"}, {"SET", "other", "x"}});
    EXPECT_EQ(how(), "whole: the first of this server");
    say({{"SET", "session:2", "two"}});
    EXPECT_EQ(how(), "increment, 2 commands");
    // A snapshot without the component in between does not end the chain.
    write(at("more.toml"), "stack = \"desk\"\n[[files]]\npaths = [\"" + at("holdfast.toml") + "\"]\n");
    ASSERT_EQ(holdfast({"backup", "--config", at("more.toml")}).exit, 0);
    say({{"SET", "session:2", "three"}});
    const Answer told = configured({"backup"});
    EXPECT_THAT(told.errors, HasSubstr("increment, 2 commands"));

    const Answer refused = configured({"restore", "latest", "--keys", "session:*"});
    EXPECT_EQ(refused.exit, 2);
    EXPECT_THAT(refused.errors, HasSubstr("--dry-run"));
    say({{"DEL", "session:2"}});
    const json::Value looked =
        configured({"restore", "latest", "--keys", "session:*", "--conflict", "keep", "--dry-run", "--json"}).json();
    EXPECT_EQ(looked["found"].natural(), 2u);
    EXPECT_EQ(looked["kept"].natural(), 1u);
    EXPECT_EQ(server_->talk({{"GET", "session:2"}}).value(), "$-1\r\n");
    const Answer back =
        configured({"restore", "latest", "--only", "redis", "--keys", "session:*", "--conflict", "keep", "--yes"});
    EXPECT_EQ(back.exit, 0) << back.errors;
    EXPECT_THAT(back.output, HasSubstr("2 keys fit session:*: 1 written"));
    EXPECT_EQ(server_->talk({{"GET", "session:2"}}).value(), "$5\r\nthree\r\n");
    EXPECT_EQ(configured({"restore", "latest", "--keys", "session:*", "--yes"}).exit, 1);
    EXPECT_EQ(configured({"restore", "latest", "--keys", "x", "--target", at("x")}).exit, 2);
    EXPECT_EQ(configured({"restore", "latest", "--conflict", "keep", "--yes"}).exit, 2);

    // Each of its files by itself, and all of them laid out; the server's own tool agrees.
    ASSERT_EQ(configured({"restore", "latest", "--target", at("back")}).exit, 0);
    const Answer checked = run({"redis-check-aof", at("back/redis/appendonlydir/appendonly.aof.manifest")});
    EXPECT_EQ(checked.exit, 0) << checked.output;
    const Answer dumped = configured({"dump", "latest", "/redis/appendonlydir/appendonly.aof.2.incr.aof"});
    EXPECT_EQ(dumped.output, os::read_text(at("back/redis/appendonlydir/appendonly.aof.2.incr.aof")).value());
    EXPECT_THAT(dumped.output, StartsWith("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n"));

    EXPECT_EQ(how({"--full"}), "whole: asked for");
    EXPECT_EQ(how(), "increment, 0 commands");
    ASSERT_EQ(configured({"check", "--read-data"}).exit, 0);
    // Increments name the base by themselves: the snapshot that took it may go.
    ASSERT_EQ(configured({"forget", "--keep-last", "1", "--prune"}).exit, 0);
    ASSERT_EQ(configured({"check", "--read-data"}).exit, 0);
    EXPECT_EQ(holdfast({"backup", at("holdfast.toml"), "--full"}).exit, 2);
}

// NS-08: what a key held is looked up without touching a store, also when its time has passed; and nothing of it stays.
TEST_F(RedisStory, IsLookedIntoAndStaysAsItWas) {
    say({{"SET", "stays", "1"}, {"SET", "short", "2", "PX", "1"}, {"SELECT", "3"}, {"SET", "order:1", "filled"}});
    say({{"SELECT", "3"}, {"SET", "soon", "3", "PX", "600000"}});
    ASSERT_EQ(how(), "whole: the first of this server");
    say({{"SELECT", "3"}, {"SET", "soon", "4", "PX", "600000"}, {"SET", "more", "5"}});
    ASSERT_THAT(how(), StartsWith("increment"));
    write(at("holdfast.toml"), "stack = \"desk\"\nscratch_folder = \"" + at("scratch") +
                                   "\"\n[[redis]]\nport = " + std::to_string(server_->port()) + "\n");
    const auto look = [&] {
        return os::Process::start(command({"restore", "latest", "--only", "redis", "--look", "--json"},
                                          {{"HOLDFAST_CONFIG", at("holdfast.toml")},
                                           {"HOLDFAST_REPOSITORY", repository()},
                                           {"HOLDFAST_PASSWORD_FILE", password_file()}}))
            .value();
    };
    const auto told = [](os::Process& process) {
        std::string text;
        std::array<std::byte, 4096> some;
        while (text.find("}\n") == std::string::npos) {
            const auto got = os::read_some(process.output(), some);
            if (!got || *got == 0) break;
            text += as_text(ByteView(some).first(*got));
        }
        return json::parse(text, "what --look tells").value_or(json::Value::object());
    };
    os::Process first = look();
    const json::Value door = told(first);
    ASSERT_FALSE(door["socket"].text().empty()) << first.errors();
    EXPECT_EQ(os::status_of(door["password_file"].text()).value().st_mode & 07777, 0600u);
    std::string password = os::read_text(door["password_file"].text()).value();
    password.pop_back();
    const auto ask = [&](std::vector<std::string> words, const std::string& key) {
        words.insert(words.begin(), {"redis-cli", "-s", door["socket"].text(), "-n", "3"});
        if (!key.empty()) words.insert(words.begin() + 5, {"--user", "look"});
        return run(words, {{"REDISCLI_AUTH", key}}).output;
    };
    EXPECT_EQ(ask({"GET", "order:1"}, password), "filled\n");
    EXPECT_EQ(ask({"GET", "soon"}, password), "4\n");
    EXPECT_EQ(ask({"TTL", "soon"}, password), "-1\n");
    EXPECT_THAT(ask({"SET", "a", "b"}, password), HasSubstr("NOPERM"));
    EXPECT_THAT(ask({"CONFIG", "GET", "*"}, password), HasSubstr("NOPERM"));
    EXPECT_THAT(ask({"FLUSHALL"}, password), HasSubstr("NOPERM"));
    EXPECT_THAT(ask({"GET", "order:1"}, "wrong"), ::testing::Not(HasSubstr("filled")));
    EXPECT_THAT(ask({"GET", "order:1"}, ""), HasSubstr("NOAUTH"));
    // Who prunes does not wait for who looks.
    EXPECT_EQ(configured({"forget", "--keep-last", "2", "--prune"}).exit, 0);

    // Killed, it takes its server along; the folders go with the next one.
    const std::string sockets = os::parent_folder(door["socket"].text());
    first.kill(SIGKILL);
    static_cast<void>(first.wait());
    EXPECT_TRUE(os::exists(sockets));
    os::Process second = look();
    const json::Value again = told(second);
    ASSERT_FALSE(again["socket"].text().empty()) << second.errors();
    EXPECT_FALSE(os::exists(sockets));
    EXPECT_FALSE(os::exists(door["password_file"].text()));
    second.kill(SIGINT);
    EXPECT_TRUE(second.wait().value().ok());
    EXPECT_FALSE(os::exists(os::parent_folder(again["socket"].text())));
    EXPECT_THAT(os::list_folder(at("scratch")).value(), ::testing::IsEmpty());
    EXPECT_EQ(configured({"restore", "latest", "--look", "--replace"}).exit, 2);
}

}    // namespace
}    // namespace holdfast::scenario
