// Backups of a Redis that take only what it was told since the last one, and what is restored from them, with real servers.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/redis_keys.hpp"
#include "holdfast/recovery/redis_scratch.hpp"
#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/source/capture.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "holdfast/testing/redis_data.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::RedisServer;
using ::testing::StartsWith;

struct Copy {
    vault::SnapshotEntry snapshot;
    json::Value facts;
};

class RedisIncrements : public ::testing::Test {
protected:
    void SetUp() override {
        auto backend = storage::open_backend(folder_.path() + "/vault");
        ASSERT_TRUE(backend);
        auto made = vault::Repository::init(*std::move(backend), Secret("pw"), clock_, {{1024, 8, 1}, {}});
        ASSERT_TRUE(made) << made.error().message;
        repository_ = *std::move(made);
        ASSERT_TRUE(os::make_folders(scratch_));
    }
    void TearDown() override {
        // A server that a start_command has started is not our child.
        if (server_ && server_->pid() == 0) static_cast<void>(server_->talk({{"SHUTDOWN", "NOSAVE"}}));
    }

    static RedisServer new_server(std::vector<std::string> config = {}) {
        config.insert(config.end(), {"enable-debug-command yes", "repl-backlog-size 64mb"});
        auto server = RedisServer::start(std::move(config));
        if (!server) throw std::runtime_error(server.error().message + server.error().hint);
        return *std::move(server);
    }
    void start(std::vector<std::string> config = {}) {
        server_.emplace(new_server(std::move(config)));
        config_.port = server_->port();
        config_.data_folder = server_->data_folder();
        config_.start_command = {"redis-server", server_->config_file(), "--daemonize", "yes"};
    }
    void say(const testing::RedisCommands& commands) {
        const auto said = server_->talk(commands);
        ASSERT_TRUE(said) << said.error().message;
    }
    // One that a start_command has started; it closes the connection instead of answering.
    void stop_started() {
        static_cast<void>(server_->talk({{"SHUTDOWN", "NOSAVE"}}));
        while (server_->talk({{"PING"}})) clock_.sleep(20ms);
    }
    std::string digest() { return digest_of(*server_); }
    static std::string digest_of(RedisServer& server) {
        return server.talk({{"DEBUG", "DIGEST"}, {"DBSIZE"}, {"SELECT", "3"}, {"DBSIZE"}, {"FUNCTION", "LIST"}})
            .value_or("nothing");
    }

    // What the newest copy is, for the next one to begin with; as source/stack.cpp finds it.
    Result<Copy> capture(bool full = false) {
        HF_DO(repository_->load_index(true));
        HF_TRY(const auto backup, vault::Backup::start(*repository_, {}));
        source::CaptureContext context{*backup, clock_, "redis", scratch_};
        if (!full)
            context.earlier = [&]() -> std::optional<source::EarlierCopy> {
                if (copies_.empty()) return std::nullopt;
                return source::EarlierCopy{copies_.back().snapshot.snapshot.tree, copies_.back().facts};
            };
        auto facts = source::capture_redis(config_, context);
        if (!facts) {
            backup->forget_path("redis");
            HF_DO(backup->add_file("other", as_bytes("x")));
        }
        HF_TRY(const vault::Backup::Outcome outcome, backup->commit());
        HF_DO(repository_->load_index(true));
        HF_TRY(vault::SnapshotEntry entry, repository_->find_snapshot(outcome.snapshot.hex()));
        if (!facts) {
            EXPECT_FALSE(repository_->find_node(entry.snapshot.tree, "/redis"));
            return fail(std::move(facts).error());
        }
        return Copy{std::move(entry), *std::move(facts)};
    }
    void back_up(bool full = false) {
        auto copy = capture(full);
        ASSERT_TRUE(copy) << copy.error().message << copy.error().hint;
        copies_.push_back(*std::move(copy));
    }
    std::string how() { return copies_.back().facts["how"].text(); }

    // A copy of the newest one in which one file has other bytes.
    Copy altered(const std::string& name, ByteView bytes) {
        const Copy& good = copies_.back();
        auto backup = vault::Backup::start(*repository_, {});
        EXPECT_TRUE(backup);
        EXPECT_TRUE((*backup)->reuse(good.snapshot.snapshot.tree, "/redis/appendonlydir", "redis/appendonlydir"));
        EXPECT_TRUE((*backup)->reuse(good.snapshot.snapshot.tree, "/redis/config.json", "redis/config.json"));
        // A folder that is taken as it is cannot be changed: file by file.
        (*backup)->forget_path("redis/appendonlydir");
        for (const json::Value& one : good.facts["increments"].items())
            EXPECT_TRUE((*backup)->reuse(good.snapshot.snapshot.tree, "/redis/" + one["file"].text(),
                                         "redis/" + one["file"].text()));
        for (const char* file : {"appendonly.aof.1.base.rdb", "appendonly.aof.manifest"})
            EXPECT_TRUE((*backup)->reuse(good.snapshot.snapshot.tree, std::string("/redis/appendonlydir/") + file,
                                         std::string("redis/appendonlydir/") + file));
        EXPECT_TRUE((*backup)->add_file("redis/" + name, bytes));
        const auto outcome = (*backup)->commit();
        EXPECT_TRUE(outcome);
        EXPECT_TRUE(repository_->load_index(true));
        return {repository_->find_snapshot(outcome->snapshot.hex()).value(), good.facts};
    }
    Bytes content(const std::string& name) {
        const auto node = repository_->find_node(copies_.back().snapshot.snapshot.tree, "/redis/" + name);
        return vault::read_small(*repository_, node.value()).value();
    }

    void kill_and_wipe() {
        server_->kill();
        ASSERT_TRUE(server_->wipe());
    }
    RestoreContext context(const Copy& copy, WhenExisting existing) {
        return {*repository_, copy.snapshot, copy.facts, clock_,
                "redis",      scratch_,      existing,   [this](std::string_view s) { said_.emplace_back(s); }};
    }
    Result<json::Value> restore(const Copy& copy, WhenExisting existing = WhenExisting::refuse) {
        return restore_redis(config_, context(copy, existing));
    }
    Result<json::Value> restore(WhenExisting existing = WhenExisting::refuse) {
        return restore(copies_.back(), existing);
    }
    // The files as `holdfast restore --target` lays them out.
    std::string lay_out(const Copy& copy) {
        const std::string target = fmt::format("{}/out-{}", folder_.path(), laid_out_++);
        vault::RestoreOptions options;
        options.target = target;
        const auto laid = vault::restore(*repository_, copy.snapshot, options);
        EXPECT_TRUE(laid) << laid.error().message;
        return target + "/redis";
    }
    // A server that finds only these files, with nothing of holdfast's.
    Result<ScratchRedis> load(const std::string& files) {
        const bool append = os::exists(files + "/appendonlydir");
        return ScratchRedis::start(
            fmt::format("dir \"{}\"\nappendonly {}\naof-load-truncated no\nenable-debug-command local\n", files,
                        append ? "yes" : "no"),
            clock_);
    }
    // redis-check-aof on the manifest, redis-check-rdb on the RDB: the servers' own tools.
    static void check_by_tools(const std::string& files) {
        const bool append = os::exists(files + "/appendonlydir");
        os::Command command;
        command.arguments =
            append ? std::vector<std::string>{"redis-check-aof", files + "/appendonlydir/appendonly.aof.manifest"}
                   : std::vector<std::string>{"redis-check-rdb", files + "/dump.rdb"};
        const auto finished = os::run(command, {}, 60s);
        ASSERT_TRUE(finished) << finished.error().message;
        EXPECT_TRUE(finished->status.ok()) << finished->output;
    }
    std::vector<std::string> names() { return os::list_folder(server_->data_folder()).value(); }

    os::SystemClock clock_;
    os::TempFolder folder_ = *os::TempFolder::create("hf-redis-increment-");
    std::string scratch_ = folder_.path() + "/scratch";
    std::unique_ptr<vault::Repository> repository_;
    std::optional<RedisServer> server_;
    policy::RedisConfig config_;
    std::vector<Copy> copies_;
    std::vector<std::string> said_;
    unsigned laid_out_ = 0;
};

// What the stream carries in another form than it was said in, and what is easily lost.
testing::RedisCommands changes() {
    return {{"DEL", "hash:small", "set:small"},
            {"HSET", "hash:large", "0", "other"},
            {"SET", "counter", "1", "EX", "86400"},
            {"INCRBYFLOAT", "float", "0.1"},
            {"SPOP", "set:large"},
            {"XADD", "events", "*", "a", "1"},
            {"XADD", "events", "*", "a", "2"},
            {"XADD", "events", "*", "a", "3"},
            {"XGROUP", "DESTROY", "events", "desk"},
            {"XGROUP", "CREATE", "events", "desk", "0"},
            {"XREADGROUP", "GROUP", "desk", "me", "COUNT", "2", "STREAMS", "events", ">"},
            {"EVAL", "for i=1,50 do redis.call('RPUSH','from-lua',redis.call('TIME')[2]) end", "0"},
            {"FUNCTION", "LOAD", "#!lua name=later\nredis.register_function('later', function() return 1 end)"},
            {"MULTI"},
            {"SET", "in", "a transaction"},
            {"SELECT", "3"},
            {"SET", "in", "another database"},
            {"EXEC"},
            {"SET", "left", "in database 3"}};
}

// EA-09, NS-01, MT-13
TEST_F(RedisIncrements, AreRestoredIntoServersOfBothKinds) {
    for (const char* append : {"appendonly no", "appendonly yes"}) {
        copies_.clear();
        start({append});
        config_.append_only = std::string_view(append) == "appendonly yes";    // a wiped folder does not tell
        say(testing::every_redis_type());
        back_up();
        EXPECT_EQ(how(), "whole: the first of this server");
        std::vector<std::string> digests;
        for (unsigned n = 0; n < 3; ++n) {
            say(changes());
            say({{"SET", "round", std::to_string(n)}, {"FUNCTION", "DELETE", "later"}});
            digests.push_back(digest());
            back_up();
            EXPECT_THAT(how(), StartsWith("increment"));
        }
        EXPECT_EQ(copies_.back().facts["increments"].items().size(), 3u);

        // Each of them, also the one in the middle, is whole in itself.
        for (const std::size_t which : {std::size_t(2), std::size_t(0)}) {
            kill_and_wipe();
            const auto plan = plan_redis(config_, context(copies_[which + 1], WhenExisting::refuse));
            ASSERT_TRUE(plan) << plan.error().message;
            EXPECT_THAT(names(), IsEmpty());
            const auto restored = restore(copies_[which + 1]);
            ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
            EXPECT_EQ(digest(), digests[which]);
            EXPECT_EQ((*restored)["keys"].natural(), copies_[which + 1].facts["keys"].natural());
            // An instance with an append-only file loads the parts themselves: there is no one file to compare with.
            EXPECT_EQ((*restored)["digests_compared"].boolean(), !config_.append_only);
            EXPECT_EQ((*restored)["proof"].text(), config_.append_only ? "count" : "");
            stop_started();
        }
        server_.reset();
    }
}

TEST_F(RedisIncrements, StoreOnlyWhatIsNewAndReadNothingAgain) {
    start();
    say(testing::redis_strings(50'000, 100));
    back_up();
    say({{"SET", "k:1", "x"}, {"SET", "k:2", "y"}});
    back_up();
    const auto& summary = *copies_.back().snapshot.snapshot.summary;
    EXPECT_LT(summary.data_added, 100'000u);    // the settings are in it
    EXPECT_EQ(summary.files_unmodified, 1u);    // the base
    EXPECT_EQ(copies_.back().facts["increments"].items()[0]["commands"].natural(), 3u);    // SELECT, and two
    EXPECT_GT(copies_.back().facts["bytes"].natural(), 5'000'000u);
}

// Any server reads them, without holdfast and without a change.
TEST_F(RedisIncrements, AreFilesThatAServerLoadsByItself) {
    start();
    say(testing::every_redis_type());
    back_up();
    for (unsigned n = 0; n < 2; ++n) {
        say(changes());
        say({{"FUNCTION", "DELETE", "later"}});
        back_up();
    }
    const std::string files = lay_out(copies_.back());
    check_by_tools(files);
    const auto loaded = load(files);
    ASSERT_TRUE(loaded) << loaded.error().message;
    auto client = db::RedisClient::connect(loaded->login());
    ASSERT_TRUE(client);
    EXPECT_EQ(client->command({"DEBUG", "DIGEST"})->text() + "\r\n",
              server_->talk({{"DEBUG", "DIGEST"}}).value().substr(1));
}

TEST_F(RedisIncrements, OfAServerThatWasToldNothingAreItsLastCopy) {
    start();
    say(testing::every_redis_type());
    const std::string before = digest();
    back_up();
    back_up();
    EXPECT_EQ(how(), "increment, 0 commands");
    EXPECT_TRUE(repository_->find_node(copies_.back().snapshot.snapshot.tree, "/redis/dump.rdb"));
    say({{"SET", "a", "b"}});
    back_up();
    say({{"DEL", "a"}});
    back_up();
    back_up();    // nothing again, behind increments
    EXPECT_EQ(how(), "increment, 0 commands");
    EXPECT_EQ(copies_.back().facts["increments"].items().size(), 2u);
    for (const std::size_t which : {std::size_t(1), copies_.size() - 1}) {
        kill_and_wipe();
        const auto restored = restore(copies_[which]);
        ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
        EXPECT_EQ(digest(), before);
        stop_started();
    }
}

TEST_F(RedisIncrements, GiveWayToAWholeCopyWhenTheBacklogIsTooShort) {
    start({"repl-backlog-size 16kb"});
    say({{"CONFIG", "SET", "repl-backlog-size", "16kb"}, {"SET", "a", "b"}});
    back_up();
    say(testing::redis_strings(2000, 500));
    back_up();
    EXPECT_THAT(how(), HasSubstr("repl-backlog-size, 16.0 KiB"));
    EXPECT_EQ(copies_.back().facts["keys"].natural(), 2001u);
    say({{"SET", "a", "c"}});
    back_up();
    EXPECT_THAT(how(), StartsWith("increment"));
}

TEST_F(RedisIncrements, GiveWayToAWholeCopyAfterARestartAndAFailover) {
    start({"appendonly yes"});
    say(testing::every_redis_type());
    back_up();
    server_->kill();
    ASSERT_TRUE(server_->restart());
    say({{"SET", "after", "the restart"}});
    back_up();
    EXPECT_THAT(how(), HasSubstr("new history"));

    RedisServer other = new_server({"replicaof 127.0.0.1 " + std::to_string(server_->port())});
    const std::string lost = "not yet there when the master dies";
    while (other.talk({{"GET", "after"}}).value_or("").find("the restart") == std::string::npos) clock_.sleep(20ms);
    back_up();
    server_->kill();
    ASSERT_TRUE(other.talk({{"REPLICAOF", "NO", "ONE"}, {"SET", "after", "the failover"}}));
    config_.port = other.port();
    back_up();
    EXPECT_THAT(how(), HasSubstr("new history"));
    const auto loaded = load(lay_out(copies_.back()));
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(db::RedisClient::connect(loaded->login())->command({"GET", "after"})->text(), "the failover");
}

TEST_F(RedisIncrements, GiveWayToAWholeCopyWhenTheBaseIsGone) {
    start();
    say({{"SET", "a", "b"}});
    back_up();
    // The newest snapshot's facts, but a tree that has nothing of it.
    auto backup = vault::Backup::start(*repository_, {});
    ASSERT_TRUE((*backup)->add_file("other", as_bytes("x")));
    const auto outcome = (*backup)->commit();
    ASSERT_TRUE(outcome);
    ASSERT_TRUE(repository_->load_index(true));
    copies_.back().snapshot = repository_->find_snapshot(outcome->snapshot.hex()).value();
    say({{"SET", "a", "c"}});
    back_up();
    EXPECT_THAT(how(), StartsWith("whole"));
    EXPECT_FALSE(repository_->find_node(copies_.back().snapshot.snapshot.tree, "/redis/appendonlydir"));
    const auto loaded = load(lay_out(copies_.back()));
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_EQ(db::RedisClient::connect(loaded->login())->command({"GET", "a"})->text(), "c");
}

TEST_F(RedisIncrements, AreNotAskedForByAUserWhoMayOnlyReplicate) {
    start({"user cap on >pw resetkeys resetchannels -@all +psync +replconf +ping"});
    config_.user = "cap";
    config_.password.file = folder_.path() + "/password";
    ASSERT_TRUE(os::write_file(config_.password.file, as_bytes("pw")));
    for (unsigned n = 0; n < 2; ++n) {
        back_up();
        EXPECT_THAT(how(), HasSubstr("INFO"));
    }
    say({{"ACL", "SETUSER", "cap", "+info"}});
    back_up();
    EXPECT_THAT(how(), StartsWith("increment"));
}

TEST_F(RedisIncrements, LeaveNothingWhenTheLineBreaksOrTheServerIsKilled) {
    start();
    const auto proxy = testing::FaultProxy::start(server_->port());
    ASSERT_TRUE(proxy);
    config_.port = (*proxy)->port();
    say({{"SET", "first", "1"}});
    back_up();
    say(testing::redis_strings(10'000, 1000));
    for (const bool orderly : {false, true}) {
        (*proxy)->plan([&](unsigned) {
            testing::LineFaults faults;
            faults.cut_down = 3'000'000;
            faults.orderly = orderly;
            return faults;
        });
        const auto cut = capture();    // looks by itself that the snapshot has nothing
        ASSERT_FALSE(cut);
        EXPECT_TRUE(cut.error().code == ErrorCode::unreachable || cut.error().code == ErrorCode::io)
            << cut.error().message;
    }
    // The increment goes on from the last copy that is whole.
    (*proxy)->plan({});
    back_up();
    EXPECT_THAT(how(), StartsWith("increment"));
    EXPECT_EQ(copies_.back().facts["keys"].natural(), 10'001u);

    say(testing::redis_strings(10'000, 1000));
    (*proxy)->plan([](unsigned) {
        testing::LineFaults faults;
        faults.delay = 20ms;    // of each piece: the increment takes seconds
        return faults;
    });
    std::atomic<bool> over = false;
    std::thread killer([&] {
        while (!over) {
            const auto info = server_->talk({{"INFO", "replication"}});
            if (info && info->find("connected_slaves:1") == std::string::npos) continue;
            ::kill(server_->pid(), SIGKILL);
            return;
        }
    });
    const auto killed = capture();
    over = true;
    killer.join();
    ASSERT_FALSE(killed);
    EXPECT_EQ(killed.error().code, ErrorCode::unreachable) << killed.error().message;
}

// NS-17: nothing is replaced by what is not what was backed up.
TEST_F(RedisIncrements, ThatAreDamagedAreFoundBeforeAnythingIsReplaced) {
    start();
    say({{"SET", "a", "1"}});
    back_up();
    say({{"SET", "a", "2"}, {"SET", "b", "2"}});
    back_up();
    say({{"SET", "a", "3"}});
    back_up();
    const std::string first = copies_.back().facts["increments"].items()[0]["file"].text();
    const std::string second = copies_.back().facts["increments"].items()[1]["file"].text();
    const Bytes good = content(first);
    const std::string before = digest();

    std::vector<std::pair<std::string, Bytes>> bad;
    Bytes other_value = good;
    const std::size_t value = as_text(good).find("$1\r\n2\r\n") + 4;
    other_value[value] = std::byte('9');
    bad.emplace_back("another value", other_value);
    bad.emplace_back("one command less", Bytes(good.begin(), good.begin() + long(as_text(good).rfind("*3"))));
    bad.emplace_back("cut inside a command", Bytes(good.begin(), good.end() - 5));
    bad.emplace_back("nothing", Bytes());
    bad.emplace_back("another increment", content(second));
    for (const auto& [what, bytes] : bad) {
        const auto restored = restore(altered(first, bytes), WhenExisting::switch_over);
        ASSERT_FALSE(restored) << what;
        EXPECT_TRUE(restored.error().code == ErrorCode::mismatch || restored.error().code == ErrorCode::corrupt);
        EXPECT_THAT(restored.error().message, HasSubstr("appendonly.aof.1.incr.aof")) << what;
        EXPECT_EQ(digest(), before) << what;    // it still runs, and nothing lies there
        EXPECT_THAT(names(), IsEmpty()) << what;
    }
    const auto base =
        restore(altered("appendonlydir/appendonly.aof.1.base.rdb", content(first)), WhenExisting::switch_over);
    ASSERT_FALSE(base);
    EXPECT_EQ(base.error().code, ErrorCode::corrupt);
    EXPECT_EQ(digest(), before);
}

// A script can tell a server not to replicate. The key that only the master had is missed at the restore, not in use.
TEST_F(RedisIncrements, OfAServerThatDoesNotTellAllAreFoundBeforeAnythingIsReplaced) {
    start();
    say({{"SET", "a", "1"}});
    back_up();
    say({{"SET", "a", "2"}, {"EVAL", "redis.set_repl(redis.REPL_NONE) redis.call('SET','mine','x')", "0"}});
    back_up();
    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::mismatch);
    EXPECT_THAT(restored.error().message, HasSubstr("db0: 1 keys"));
    EXPECT_THAT(restored.error().hint, HasSubstr("whole"));
    EXPECT_THAT(server_->talk({{"GET", "mine"}}).value(), HasSubstr("x"));
    EXPECT_THAT(names(), IsEmpty());
}

// MT-13: only keys that the commands name are replayed, and the others come out of the base as they are.
TEST_F(RedisIncrements, AreReplayedOverTheKeysThatTheyNameAlone) {
    start();
    say(testing::every_redis_type());
    say({{"SET", "old name", "1"},
         {"SET", "moves", "2"},
         {"SADD", "a", "1", "2"},
         {"SADD", "b", "2", "3"},
         {"RPUSH", "from", "x", "y"},
         {"SET", "packed", std::string(5000, 'x')},
         {"SET", "goes", "1", "EX", "86400"}});
    back_up();
    say({{"RENAME", "old name", "new name"},
         {"MOVE", "moves", "3"},
         {"SUNIONSTORE", "union", "a", "b"},
         {"LMOVE", "from", "to", "LEFT", "RIGHT"},
         {"COPY", "packed", "copy", "DB", "9"},
         {"PERSIST", "goes"},
         {"EVAL", "redis.call('APPEND', 'pac'..'ked', 'y')", "0"}});
    say(changes());
    say({{"FUNCTION", "DELETE", "desk"}});    // one library: they are listed in no order
    back_up();
    const std::string before = digest();
    kill_and_wipe();
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_THAT(said_, ::testing::Contains(HasSubstr("over the keys that they name")));
    EXPECT_EQ(digest(), before);
    // It does not pretend to be where the base was in the history of its server: a replica that is there must not go on from it.
    EXPECT_THAT(server_->talk({{"INFO", "replication"}}).value(), HasSubstr("second_repl_offset:-1"));
    stop_started();
}

TEST_F(RedisIncrements, AreReplayedOverAllKeysWhenACommandDoesNotNameThem) {
    start();
    for (const testing::RedisCommands& commands :
         {testing::RedisCommands{{"SELECT", "3"}, {"FLUSHDB"}, {"SET", "after", "1"}},
          testing::RedisCommands{{"SWAPDB", "0", "15"}},
          testing::RedisCommands{{"SORT", "ids", "BY", "weight:*", "GET", "weight:*", "STORE", "sorted"}}}) {
        say({{"FLUSHALL"}});
        say(testing::every_redis_type());
        say({{"SADD", "ids", "1", "2"}, {"MSET", "weight:1", "9", "weight:2", "8"}});
        back_up(true);
        say(commands);
        back_up();
        ASSERT_THAT(how(), StartsWith("increment"));
        const std::string before = digest();
        kill_and_wipe();
        said_.clear();
        const auto restored = restore();
        ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
        EXPECT_THAT(said_, ::testing::Contains(HasSubstr("over all keys")));
        EXPECT_EQ(digest(), before);
        stop_started();
        ASSERT_TRUE(server_->wipe());
        ASSERT_TRUE(server_->restart());
    }
}

TEST_F(RedisIncrements, LoseOnlyTheKeysWhoseTimeHasPassed) {
    start();
    say({{"DEBUG", "SET-ACTIVE-EXPIRE", "0"}, {"SET", "stays", "1"}});
    back_up();
    const std::string soon = std::to_string(clock_.now().nanoseconds / 1'000'000 + 1500);
    say({{"SET", "short", "1", "PXAT", soon}, {"SET", "long", "1", "EX", "86400"}});
    back_up();
    ASSERT_EQ(copies_.back().facts["keys"].natural(), 3u);
    kill_and_wipe();
    while (clock_.now().nanoseconds / 1'000'000 <= std::stoll(soon)) clock_.sleep(20ms);
    const auto restored = restore();
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ((*restored)["expired_since"].natural(), 1u);
    EXPECT_EQ((*restored)["keys"].natural(), 2u);
    EXPECT_EQ(server_->talk({{"EXISTS", "stays", "long"}}).value(), ":2\r\n");
}

// The parts of an append-only instance stay as they were saved; what is written from then on has a file of its own.
TEST_F(RedisIncrements, GoIntoAnAppendOnlyServerAsTheyAre) {
    start({"appendonly yes"});
    config_.append_only = true;
    say({{"SET", "a", "1"}, {"SELECT", "5"}, {"SET", "five", "5"}});
    back_up();
    const std::string soon = std::to_string(clock_.now().nanoseconds / 1'000'000 + 1500);
    say({{"SET", "a", "2"}, {"SET", "short", "1", "PXAT", soon}});
    back_up();
    say({{"SET", "b", "3"}});
    back_up();
    say({{"SET", "a", "lost"}});
    while (clock_.now().nanoseconds / 1'000'000 <= std::stoll(soon)) clock_.sleep(20ms);
    const auto restored = restore(WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ((*restored)["expired_since"].natural(), 1u);
    EXPECT_EQ(server_->talk({{"GET", "a"}, {"GET", "b"}, {"SELECT", "5"}, {"GET", "five"}}).value(),
              "$1\r\n2\r\n$1\r\n3\r\n+OK\r\n$1\r\n5\r\n");
    const std::string append = server_->data_folder() + "/appendonlydir";
    std::vector<std::string> contents;
    const auto there = os::list_folder(append);
    ASSERT_TRUE(there);
    for (const std::string& name : *there)
        if (name.ends_with(".incr.aof")) contents.push_back(os::read_text(append + "/" + name).value());
    const auto saved = [&](std::size_t i) {
        return std::string(as_text(content(copies_.back().facts["increments"].items()[i]["file"].text())));
    };
    EXPECT_THAT(contents, ::testing::IsSupersetOf({saved(0), saved(1)}));
    EXPECT_EQ(contents.size(), 3u);
    // It starts again by itself, with what was written since.
    say({{"SET", "c", "4"}});
    stop_started();
    server_->kill();    // ours is no more, and is forgotten
    ASSERT_TRUE(server_->restart());
    EXPECT_EQ(server_->talk({{"GET", "c"}, {"GET", "b"}}).value(), "$1\r\n4\r\n$1\r\n3\r\n");
}

// Some keys into a server that goes on running (RedisKeys).
TEST_F(RedisIncrements, GiveSomeKeysBackToARunningServer) {
    start();
    const std::string soon = std::to_string(clock_.now().nanoseconds / 1'000'000 + 1500);
    say({{"SET", "session:1", "one"}, {"SET", "other", "x"}});
    back_up();
    say({{"HSET", "session:2", "a", "b"},
         {"SET", "session:3", "three", "PXAT", "33333333333333"},
         {"SET", "session:short", "1", "PXAT", soon},
         {"XADD", "session:log", "5-1", "a", "b"},
         {"XGROUP", "CREATE", "session:log", "desk", "0"},
         {"SELECT", "9"},
         {"SET", "session:nine", "9"}});
    back_up();
    say({{"DEL", "session:2", "session:3", "session:short", "session:log"},
         {"SET", "session:1", "newer"},
         {"SET", "other", "newer"}});
    say({{"SELECT", "9"}, {"FLUSHDB"}});
    while (clock_.now().nanoseconds / 1'000'000 <= std::stoll(soon)) clock_.sleep(20ms);

    const std::string before = digest();
    RedisKeys keys{"session:*", KeyConflict::refuse, false};
    const auto ask = [&] { return restore_redis_keys(config_, context(copies_.back(), WhenExisting::refuse), keys); };
    const auto refused = ask();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::exists);
    EXPECT_THAT(refused.error().message, HasSubstr("1 of 5 keys"));
    EXPECT_THAT(refused.error().message, HasSubstr("'session:1' in db0"));
    EXPECT_EQ(digest(), before);

    keys = {"session:*", KeyConflict::keep, true};
    const auto looked = ask();
    ASSERT_TRUE(looked) << looked.error().message << looked.error().hint;
    EXPECT_EQ((*looked)["written"].natural(), 4u);
    EXPECT_EQ(digest(), before);

    keys.dry_run = false;
    const auto kept = ask();
    ASSERT_TRUE(kept) << kept.error().message << kept.error().hint;
    EXPECT_EQ((*kept)["written"].natural(), 4u);
    EXPECT_EQ((*kept)["kept"].natural(), 1u);
    EXPECT_EQ(
        server_
            ->talk({{"GET", "session:1"}, {"GET", "other"}, {"HGET", "session:2", "a"}, {"PEXPIRETIME", "session:3"}})
            .value(),
        "$5\r\nnewer\r\n$5\r\nnewer\r\n$1\r\nb\r\n:33333333333333\r\n");
    EXPECT_EQ(
        server_->talk({{"EXISTS", "session:short"}, {"XLEN", "session:log"}, {"SELECT", "9"}, {"GET", "session:nine"}})
            .value(),
        ":0\r\n:1\r\n+OK\r\n$1\r\n9\r\n");
    EXPECT_THAT(server_->talk({{"XINFO", "GROUPS", "session:log"}}).value(), HasSubstr("desk"));

    keys.conflict = KeyConflict::replace;
    const auto replaced = ask();
    ASSERT_TRUE(replaced) << replaced.error().message << replaced.error().hint;
    EXPECT_EQ((*replaced)["replaced"].natural(), 5u);
    EXPECT_EQ(server_->talk({{"GET", "session:1"}, {"GET", "other"}}).value(), "$3\r\none\r\n$5\r\nnewer\r\n");

    // Nothing is written of a copy that is damaged.
    say({{"DEL", "session:1"}});
    const std::string first = copies_.back().facts["increments"].items()[0]["file"].text();
    const auto damaged = restore_redis_keys(config_, context(altered(first, Bytes()), WhenExisting::refuse), keys);
    ASSERT_FALSE(damaged);
    EXPECT_EQ(server_->talk({{"EXISTS", "session:1"}}).value(), ":0\r\n");
}

// Writes without end, and knows what was acknowledged: three values that belong together, over two databases, and a log.
class Writer {
public:
    explicit Writer(std::uint16_t port) : thread_([this, port](const std::stop_token& stop) { run(stop, port); }) {}
    std::int64_t acknowledged() const { return acknowledged_; }
    std::int64_t begun() const { return begun_; }
    const std::string& failure() const { return failure_; }
    void stop() {
        thread_.request_stop();
        thread_.join();
    }

private:
    void run(const std::stop_token& stop, std::uint16_t port) {
        db::RedisLogin login;
        login.port = port;
        auto client = db::RedisClient::connect(login);
        for (std::int64_t n = 1; client && !stop.stop_requested(); ++n) {
            begun_ = n;
            const std::string number = std::to_string(n), padding(n % 700, 'p');
            for (const auto& command : {std::vector<std::string_view>{"MULTI"},
                                        {"SET", "a", number},
                                        {"XADD", "log", "*", "n", number, "p", padding},
                                        {"SELECT", "5"},
                                        {"SET", "b", number, "EX", "1000"},
                                        {"SELECT", "0"},
                                        {"INCR", "c"},
                                        {"EXEC"}})
                if (auto reply = client->ask(command); !reply || reply->refusal()) {
                    failure_ = reply ? reply->refusal()->text : reply.error().message;
                    return;
                }
            acknowledged_ = n;
            std::this_thread::sleep_for(1ms);
        }
    }
    std::atomic<std::int64_t> acknowledged_ = 0, begun_ = 0;
    std::string failure_;
    std::jthread thread_;
};

// Nothing that was acknowledged before a backup began is missing in it, and nothing is half there.
TEST_F(RedisIncrements, OfAServerUnderAWriterThatNeverStopsAreStatesThatItHad) {
    constexpr unsigned k_backups = 64;
    start({"repl-ping-replica-period 1"});
    say(testing::redis_strings(5000, 1000));
    config_.increments_max_percent = 1000;
    Writer writer(server_->port());
    struct Bounds {
        std::int64_t from, to;
    };
    std::vector<Bounds> bounds;
    unsigned increments = 0;
    for (unsigned n = 0; n < k_backups; ++n) {
        // As long as it takes: each has something new.
        for (const std::int64_t seen = writer.acknowledged();
             writer.acknowledged() < seen + 20 && writer.failure().empty();)
            clock_.sleep(1ms);
        const std::int64_t from = writer.acknowledged();
        back_up(n % 25 == 24);
        bounds.push_back({from, writer.begun()});
        increments += how().starts_with("increment");
    }
    writer.stop();
    ASSERT_EQ(writer.failure(), "");
    EXPECT_GE(increments, 50u);

    for (unsigned n = 0; n < k_backups; ++n) {
        const std::string files = lay_out(copies_[n]);
        check_by_tools(files);
        const auto loaded = load(files);
        ASSERT_TRUE(loaded) << n << ": " << loaded.error().message;
        auto client = db::RedisClient::connect(loaded->login());
        ASSERT_TRUE(client);
        const std::string a = client->command({"GET", "a"})->text(), c = client->command({"GET", "c"})->text();
        const std::int64_t log = client->command({"XLEN", "log"})->integer();
        ASSERT_TRUE(client->command({"SELECT", "5"}));
        const std::string b = client->command({"GET", "b"})->text();
        ASSERT_FALSE(a.empty()) << n;
        EXPECT_EQ(a, b) << n;
        EXPECT_EQ(a, c) << n;
        EXPECT_EQ(std::stoll(a), log) << n;
        EXPECT_GE(std::stoll(a), bounds[n].from) << n;
        EXPECT_LE(std::stoll(a), bounds[n].to) << n;
        ASSERT_TRUE(os::remove_tree(os::parent_folder(files)));
    }
}

}    // namespace
}    // namespace holdfast::recovery
