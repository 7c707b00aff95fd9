// Redis that loads while its RDB is made: into real servers, out of real repositories, with all that may go wrong midway.

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <random>

#include "holdfast/recovery/redis_files.hpp"
#include "holdfast/recovery/redis_fixture_test.hpp"
#include "holdfast/recovery/redis_instance.hpp"
#include "holdfast/storage/backend.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

class RedisStreamed : public RedisRestore {
protected:
    // start_command: `before` sees the data folder as it is when the server is started, as $1; "run" starts the server.
    void start_by_script(const std::string& before = {}) {
        const std::string script = folder_.path() + "/start.sh";
        const std::string text =
            fmt::format("cd {}\nstat -c %F dump.rdb >>{} 2>&1\nrun() {{ redis-server {} --daemonize yes; }}\n{}\nrun\n",
                        server_->data_folder(), seen_, server_->config_file(), before);
        ASSERT_TRUE(os::write_file(script, as_bytes(text)));
        config_.start_command = {"sh", script};
    }
    // What lay at the place of the RDB, a line for each start.
    std::string seen() { return os::read_text(seen_).value_or(""); }
    bool is_regular(const std::string& name) {
        const auto status = os::status_of(in_data(name), false);
        return status && S_ISREG(status->st_mode);
    }
    // Keys that hardly compress, so that much has to go through a pipe: 12 MB.
    void fill_much() {
        fill();
        ASSERT_TRUE(server_->talk({{"EVAL",
                                    "for i=1,100000 do local h=redis.sha1hex(i) redis.call('SET','key:'..i,h.."
                                    "string.reverse(h)..string.sub(h,1,20)) end",
                                    "0"}}));
        digest_ = digest();
    }
    void change() {
        ASSERT_TRUE(server_->talk({{"SET", "key:7", "other"}, {"DEL", "key:8"}, {"SADD", "new", "1"}}));
        digest_ = digest();
    }
    bool serves() { return recovery::serves(login()); }
    db::RedisLogin login() {
        db::RedisLogin login;
        login.port = server_->port();
        return login;
    }
    bool listens() { return db::RedisClient::connect(login()).has_value(); }
    void stop_started() {
        static_cast<void>(server_->talk({{"SHUTDOWN", "NOSAVE"}}));
        while (listens()) clock_.sleep(5ms);
    }
    // It holds everything, out of a file that is there for its next start, too.
    void expect_restored(const Result<json::Value>& restored) {
        ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
        EXPECT_EQ(digest(), digest_);
        EXPECT_TRUE((*restored)["digests_compared"].boolean());
        EXPECT_TRUE(is_regular("dump.rdb"));
        EXPECT_THAT(names(), ::testing::ElementsAre("dump.rdb"));
        stop_started();
        ASSERT_TRUE(server_->restart());
        EXPECT_EQ(digest(), digest_);
    }
    void expect_as_before(const std::string& what) {
        EXPECT_THAT(names(), IsEmpty()) << what;
        EXPECT_FALSE(listens()) << what;
    }

    std::string seen_ = folder_.path() + "/seen";
};

// NS-01, MT-14, EA-13
TEST_F(RedisStreamed, LoadsWhileItsFileIsMade) {
    start();
    start_by_script();
    fill_much();
    back_up();
    kill_and_wipe();
    const auto plan = plan_redis(config_, context(WhenExisting::refuse));
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_THAT(plan->back().what, HasSubstr("loads while its file is made"));
    const auto restored = restore();
    EXPECT_EQ(seen(), "fifo\n");
    expect_restored(restored);
}

TEST_F(RedisStreamed, LoadsWhileIncrementsAreReplayed) {
    start({"repl-backlog-size 64mb"});
    start_by_script();
    fill_much();
    back_up();
    change();
    back_up(source::EarlierCopy{snapshot_.snapshot.tree, facts_});
    ASSERT_THAT(facts_["how"].text(), ::testing::StartsWith("increment"));
    kill_and_wipe();
    const auto restored = restore();
    EXPECT_EQ(seen(), "fifo\n");
    expect_restored(restored);
}

// The keys that are there, or times that are set anew, go the way on which everything is proven before a server is started.
TEST_F(RedisStreamed, IsNotDoneWhereAnythingWouldBeReplaced) {
    start();
    start_by_script();
    fill_much();
    back_up();
    ASSERT_TRUE(server_->talk({{"SET", "newer", "than the backup"}}));
    ASSERT_TRUE(server_->save());
    server_->kill();
    auto restored = restore(WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(seen(), "regular file\n");
    EXPECT_TRUE(os::exists((*restored)["old_one_is_at"].text() + "/dump.rdb"));

    // It runs, and is empty.
    ASSERT_TRUE(server_->talk({{"FLUSHALL"}}));
    ASSERT_TRUE(os::remove_tree(in_data("dump.rdb")));
    restored = restore(WhenExisting::switch_over);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(seen(), "regular file\nregular file\n");
    stop_started();

    ASSERT_TRUE(os::remove_tree(in_data("dump.rdb")));
    auto shifted = context(WhenExisting::switch_over);
    shifted.expiry = Expiry::shifted;
    restored = restore_redis(config_, shifted);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(seen(), "regular file\nregular file\nregular file\n");
}

// HA-04, NS-17: nothing half-done looks whole.
TEST_F(RedisStreamed, LeavesNothingWhenDamageIsFoundMidway) {
    start({"repl-backlog-size 64mb"});
    start_by_script();
    fill_much();
    back_up();
    const auto node = repository_->find_node(snapshot_.snapshot.tree, "/redis/dump.rdb");
    const Bytes good = vault::read_small(*repository_, *node).value();
    const vault::SnapshotEntry whole = snapshot_;
    const json::Value whole_facts = facts_;
    change();
    back_up(source::EarlierCopy{snapshot_.snapshot.tree, facts_});
    const vault::SnapshotEntry increment = std::exchange(snapshot_, whole);
    const json::Value increment_facts = std::exchange(facts_, whole_facts);
    kill_and_wipe();

    Bytes flipped = good;
    flipped[good.size() - 5000] ^= std::byte{1};
    const Bytes cut(good.begin(), good.end() - 9);
    for (const Bytes& bad : {flipped, cut, Bytes()}) {
        back_up_bytes(bad);
        const auto restored = restore();
        ASSERT_FALSE(restored);
        EXPECT_EQ(restored.error().code, ErrorCode::corrupt) << restored.error().message;
        expect_as_before(fmt::format("{} bytes", bad.size()));
    }
    EXPECT_EQ(seen(), "fifo\nfifo\nfifo\n");

    // Numbers that the replay does not give are known when all but the end has been fed.
    snapshot_ = increment;
    facts_ = increment_facts;
    facts_.set("databases", json::Value::array());
    const auto other = restore();
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, ErrorCode::mismatch) << other.error().message;
    expect_as_before("numbers");

    // The vault's own damage.
    facts_ = whole_facts;
    snapshot_ = whole;
    std::string largest;
    std::uint64_t size = 0;
    const std::string data = folder_.path() + "/vault/data/";
    const auto subs = os::list_folder(data).value();
    for (const std::string& sub : subs) {
        const auto packs = os::list_folder(data + sub).value();
        for (const std::string& name : packs) {
            const std::string path = fmt::format("{}{}/{}", data, sub, name);
            const auto bytes = static_cast<std::uint64_t>(os::status_of(path)->st_size);
            if (bytes > size) largest = path;
            size = std::max(size, bytes);
        }
    }
    Bytes pack = os::read_file(largest).value();
    pack[pack.size() / 2] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(largest, pack));
    const auto damaged = restore();
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code, ErrorCode::corrupt) << damaged.error().message;
    expect_as_before("a pack");
}

// MT-14: killed at any instant, and done again.
TEST_F(RedisStreamed, KilledAnywhereIsRestoredByTheNextOne) {
    start({"repl-backlog-size 64mb"});
    start_by_script();
    fill_much();
    back_up();
    change();
    back_up(source::EarlierCopy{snapshot_.snapshot.tree, facts_});
    kill_and_wipe();
    std::minstd_rand random(7);
    int pipes = 0, files = 0;
    for (unsigned round = 0; round < 12; ++round) {
        const pid_t child = ::fork();
        if (child == 0) {
            auto opened =
                vault::Repository::open(*storage::open_backend(folder_.path() + "/vault"), Secret("pw"), clock_);
            if (!opened || !(*opened)->load_index()) ::_exit(2);
            const RestoreContext mine{
                **opened, snapshot_, facts_, clock_, "redis", scratch_, WhenExisting::refuse, [](std::string_view) {}};
            ::_exit(restore_redis(config_, mine) ? 0 : 1);
        }
        while (!os::status_of(in_data("dump.rdb"), false)) clock_.sleep(1ms);
        clock_.sleep(std::chrono::milliseconds(random() % 250));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0);

        if (is_regular("dump.rdb")) {
            ++files;    // then it is whole: a server that finds it says so
            while (!serves() && listens()) clock_.sleep(5ms);
            if (!serves()) {
                ASSERT_TRUE(server_->restart());
            }
            EXPECT_EQ(digest(), digest_);
            if (server_->pid() != 0) {
                server_->kill();
            } else {
                stop_started();
            }
            ASSERT_TRUE(os::remove_tree(in_data("dump.rdb")));
            continue;
        }
        ++pipes;
        EXPECT_FALSE(serves());
        if (round % 3 == 0) {    // a look at it neither waits for ever nor changes anything
            EXPECT_TRUE(plan_redis(config_, context(WhenExisting::refuse)));
            EXPECT_TRUE(has_redis_pipe(RedisFiles{server_->data_folder()}));
        }
        const auto restored = restore();
        ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
        EXPECT_EQ(digest(), digest_);
        EXPECT_THAT(names(), ::testing::ElementsAre("dump.rdb"));
        stop_started();
        ASSERT_TRUE(os::remove_tree(in_data("dump.rdb")));
    }
    EXPECT_GT(pipes, 0);
    RecordProperty("killed_before_the_rename", pipes);
    RecordProperty("killed_after_the_rename", files);
}

// MT-14: also where there is nobody who would restore again.
TEST_F(RedisStreamed, KilledLeavesAPipeThatAnUndoTakesAway) {
    start();
    kill_and_wipe();
    ASSERT_EQ(::mkfifo(in_data("dump.rdb").c_str(), 0600), 0);
    const RedisFiles files{server_->data_folder()};
    EXPECT_EQ(redis_data_in(files), "");
    const Replacement told{"redis", server_->data_folder()};
    ASSERT_TRUE(put_back_redis_files(files, told, redis_owner("", files.folder).value()));
    EXPECT_THAT(names(), IsEmpty());
}

// A server that ends before it has everything is started once more, out of the file.
TEST_F(RedisStreamed, OfAServerThatEndsMidwayIsLoadedFromTheFile) {
    start();
    fill_much();
    back_up();
    for (const std::string first : {"head -c 100 dump.rdb >/dev/null; exit 0", "exit 3"}) {
        start_by_script(fmt::format("[ -e {0} ] || {{ touch {0}; {1}; }}", folder_.path() + "/once", first));
        if (server_->pid() != 0) server_->kill();
        ASSERT_TRUE(server_->wipe());
        const auto restored = restore();
        EXPECT_EQ(seen(), "fifo\nregular file\n");
        expect_restored(restored);
        ASSERT_TRUE(os::remove_tree(seen_));
        ASSERT_TRUE(os::remove_tree(folder_.path() + "/once"));
    }
}

TEST_F(RedisStreamed, IsFedFromItsStartToAServerThatASupervisorStartsAgain) {
    start();
    fill_much();
    back_up();
    start_by_script("(head -c 100 dump.rdb; run) >/dev/null 2>&1 &\nexit 0");
    kill_and_wipe();
    const auto restored = restore();
    EXPECT_EQ(seen(), "fifo\n");
    expect_restored(restored);
}

TEST_F(RedisStreamed, ThatNobodyReadsIsInPlaceAndSaysSo) {
    start();
    fill();
    back_up();
    kill_and_wipe();
    start_by_script(
        fmt::format("redis-server {} --dbfilename other.rdb --daemonize yes; exit 0", server_->config_file()));
    const auto restored = restore();
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().code, ErrorCode::mismatch);
    EXPECT_THAT(restored.error().hint, HasSubstr("the restored files are in"));
    EXPECT_TRUE(is_regular("dump.rdb"));
}

}    // namespace
}    // namespace holdfast::recovery
