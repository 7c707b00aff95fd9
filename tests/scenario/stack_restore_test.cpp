// A restore of the whole stack as a tired person does it: trading paused and resumed around it, checked, undone, committed, killed at
// each of its steps and gone on with. Real servers, the real program.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <charconv>
#include <filesystem>

#include "holdfast/testing/clickhouse_server.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/testing/trades_stores.hpp"
#include "holdfast/testing/trades_writer.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class GuidedRestore : public Scenario {
protected:
    void SetUp() override {
        auto redis = testing::RedisServer::start();
        ASSERT_TRUE(redis) << redis.error().message;
        redis_.emplace(*std::move(redis));
        auto postgres = testing::PostgresServer::start();
        ASSERT_TRUE(postgres) << postgres.error().message;
        postgres_.emplace(*std::move(postgres));
        auto clickhouse = testing::ClickHouseServer::start();
        ASSERT_TRUE(clickhouse) << clickhouse.error().message;
        clickhouse_.emplace(*std::move(clickhouse));
        ASSERT_TRUE(testing::fill_postgres(*postgres_, amounts_));
        ASSERT_TRUE(testing::fill_clickhouse(clickhouse_port(), amounts_));
        ASSERT_TRUE(testing::fill_files(at("config"), at("logs"), amounts_));
        ASSERT_TRUE(os::make_folders(at("duckdb"), 0755));
        ASSERT_TRUE(testing::create_trades_file(duckdb(), 1, 2000));
        ASSERT_TRUE(redis_->talk(
            {{"SET", "TRADING_ENABLED", "true"}, {"SET", "order:1", "new"}, {"HSET", "order:2", "state", "new"}}));
        write(at("postgres.password"), postgres_->password() + "\n", 0600);
        configure();
        make_cheap_repository();
        const Answer saved = configured({"backup"});
        ASSERT_EQ(saved.exit, 0) << saved.output << saved.errors;
        before_ = state();
        change();
        changed_ = state();
        ASSERT_NE(before_, changed_);
    }
    // A server that a start_command has started is not our child.
    void TearDown() override {
        if (redis_) (void)redis_->talk({{"SHUTDOWN", "NOSAVE"}});
    }

    // Each hook writes its name down; a file named "broken-HOOK" makes it fail.
    std::string hook(const std::string& name) const {
        return fmt::format(R"(["sh", "-c", "echo {0} >> {1}; test ! -e {3} || sleep 1.1; test ! -e {2}-{0}"])", name,
                           at("hooks"), at("broken"), at("slow"));
    }
    void configure(const std::string& more = {}) const {
        write(at("holdfast.toml"),
              fmt::format(R"(stack = "desk"
scratch_folder = "{15}"
[restore]
pause_command = {0}
resume_command = {1}
stop_commands = [{2}]
start_commands = [{3}]
check_commands = [{4}]
trading_flag_redis = "redis"
recent_trades_query = "SELECT count(*) FROM executions"
recent_trades_database = "trading"
health_urls = ["{9}/ping"]
check_wait_seconds = 0
{13}
[[postgres]]
host = "127.0.0.1"
port = {5}
password_file = "{6}"
databases = ["trading"]
[[redis]]
port = {7}
data_folder = "{8}"
start_command = ["redis-server", "{14}", "--daemonize", "yes"]
[[duckdb]]
path = "{10}"
[[clickhouse]]
url = "{9}"
[[files]]
paths = ["{11}"]
[[logs]]
paths = ["{12}"]
)",
                          hook("pause"), hook("resume"), hook("stop"), hook("start"), hook("check"), postgres_->port(),
                          at("postgres.password"), redis_->port(), redis_->data_folder(), clickhouse_->url(), duckdb(),
                          at("config"), at("logs"), more, redis_->config_file(), at("scratch")));
    }

    void change() {
        ASSERT_TRUE(testing::change_postgres(*postgres_, amounts_));
        ASSERT_TRUE(testing::change_clickhouse(clickhouse_port(), amounts_));
        ASSERT_TRUE(testing::change_files(at("config"), at("logs"), amounts_));
        ASSERT_TRUE(redis_->talk({{"SET", "order:1", "filled"}, {"SET", "order:3", "new"}, {"SET", "order:4", "new"}}));
        ASSERT_TRUE(testing::create_trades_file(at("other.duckdb"), 2, 1000));
        std::filesystem::rename(at("other.duckdb"), duckdb());
    }

    std::string duckdb() const { return at("duckdb/executions.duckdb"); }
    std::uint16_t clickhouse_port() const {
        const std::string url = clickhouse_->url();
        std::uint16_t port = 0;
        std::from_chars(url.data() + url.rfind(':') + 1, url.data() + url.size(), port);
        return port;
    }
    template <class T>
    static T got(Result<T> result) {
        EXPECT_TRUE(result) << result.error().message;
        return result ? *std::move(result) : T();
    }

    struct State {
        testing::Counts stores;
        std::string redis;
        std::vector<testing::BatchProof> duckdb;
        bool operator==(const State&) const = default;
        friend void PrintTo(const State& state, std::ostream* to) {
            for (const auto& one : state.stores) *to << one.what << " " << one.rows << " " << one.digest << "\n";
            *to << state.redis << "duckdb " << (state.duckdb.empty() ? "" : state.duckdb[0].digest) << "\n";
        }
    };
    State state() {
        State now;
        now.stores = got(testing::count_postgres(*postgres_));
        const auto clickhouse = got(testing::count_clickhouse(clickhouse_port()));
        now.stores.insert(now.stores.end(), clickhouse.begin(), clickhouse.end());
        now.stores.push_back(got(testing::count_files("config", at("config"))));
        now.stores.push_back(got(testing::count_files("logs", at("logs"))));
        now.redis = got(redis_->talk({{"GET", "order:1"}, {"HGETALL", "order:2"}, {"GET", "order:3"}, {"DBSIZE"}}));
        now.duckdb = got(testing::prove_trades_file(duckdb()));
        return now;
    }
    std::string trading() { return got(redis_->talk({{"GET", "TRADING_ENABLED"}})); }
    std::string hooks() const { return os::read_text(at("hooks")).value_or(""); }

    // What lies in the scratch place, which may be secret.
    std::vector<std::string> in_scratch() const {
        return os::exists(at("scratch")) ? got(os::list_folder(at("scratch"))) : std::vector<std::string>();
    }
    // Everything that a restore may leave beside what is live.
    std::string leftovers() const {
        std::string found;
        for (const std::string& name : in_scratch()) found += name + "\n";
        for (const std::string& folder : {at("duckdb"), redis_->data_folder(), at("")})
            for (const auto& entry : std::filesystem::directory_iterator(folder)) {
                const std::string name = entry.path().filename();
                for (const char* mark : {"replaced-", "undone-", ".before-", ".unfinished", ".put-back"})
                    if (name.find(mark) != std::string::npos) found += name + "\n";
            }
        found +=
            postgres_->sql("postgres", "SELECT datname FROM pg_database WHERE datname ~ '_replaced_|_undone_|holdfast'")
                .value_or("?");
        found += run({"curl", "-s", clickhouse_->url(), "--data-binary",
                      "SELECT name FROM system.tables WHERE position(name, '__') > 0 AND database = 'trading'"})
                     .output;
        return found;
    }

    Answer configured(std::vector<std::string> arguments, const Environment& more = {}) const {
        Environment environment{{"HOLDFAST_CONFIG", at("holdfast.toml")}};
        environment.insert(environment.end(), more.begin(), more.end());
        return holdfast(std::move(arguments), environment);
    }
    json::Value last_run() const {
        return configured({"restore", "--status", "--json"}).json()["restores"].items().back();
    }

    testing::TradeAmounts amounts_{.seed = 7, .orders = 600, .order_states = 10, .ticks = 3000, .log_lines = 200};
    std::optional<testing::RedisServer> redis_;
    std::optional<testing::PostgresServer> postgres_;
    std::optional<testing::ClickHouseServer> clickhouse_;
    State before_, changed_;
};

// NS-08, NS-10, NS-11, NS-21: shown, paused, stopped, restored in order, started, checked, resumed; then undone; then committed.
TEST_F(GuidedRestore, IsShownDoneCheckedUndoneAndCommitted) {
    const Answer shown = configured({"restore", "latest", "--replace", "--dry-run"});
    EXPECT_EQ(shown.exit, 0) << shown.errors;
    EXPECT_THAT(shown.output, AllOf(HasSubstr("Lost at least"), HasSubstr("15:00 min"), HasSubstr("30:00 min"),
                                    HasSubstr("not known yet"), HasSubstr("pause trading: sh"),
                                    HasSubstr("TRADING_ENABLED = false in redis"), HasSubstr("2 keys")));
    EXPECT_EQ(state(), changed_);
    EXPECT_EQ(hooks(), "");

    const Answer done = configured({"restore", "latest", "--replace", "--yes", "--json"});
    ASSERT_EQ(done.exit, 0) << done.output << done.errors;
    EXPECT_EQ(state(), before_);
    EXPECT_EQ(hooks(), "pause\nstop\nstart\ncheck\nresume\n");
    EXPECT_THAT(trading(), HasSubstr("true"));
    const json::Value report = done.json();
    EXPECT_EQ(report["state"].text(), "passed");
    std::vector<std::string> order, checks;
    for (const json::Value& one : report["components"].items()) {
        order.push_back(one["kind"].text());
        EXPECT_EQ(one["rto"]["met"].boolean(), one["kind"].text() != "logs") << one["name"].text();
    }
    EXPECT_THAT(order, ::testing::ElementsAre("postgres", "clickhouse", "duckdb", "redis", "files", "logs"));
    EXPECT_EQ(report["rto"]["target_seconds"].natural(), 1800u);
    for (const json::Value& one : report["checks"].items()) {
        EXPECT_EQ(one["state"].text(), "passed") << one["text"].text();
        checks.push_back(one["name"].text());
    }
    for (const char* name : {"answers", "tables", "keys", "connections", "recent trades", "health", "command"})
        EXPECT_THAT(checks, ::testing::Contains(name));
    struct stat status{};
    ASSERT_EQ(::stat(report["report_file"].text().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    EXPECT_THAT(os::read_text(report["report_file"].text()).value(),
                AllOf(HasSubstr("met"), HasSubstr("passed"), HasSubstr("recent trades")));
    // The next one knows how long this one took.
    EXPECT_THAT(configured({"restore", "latest", "--replace", "--dry-run"}).output, Not(HasSubstr("not known yet")));

    const Answer refused = configured({"restore", "--undo"});
    EXPECT_EQ(refused.exit, 2);
    EXPECT_THAT(refused.errors, HasSubstr("--yes"));
    const Answer undone = configured({"restore", "--undo", "--yes"});
    ASSERT_EQ(undone.exit, 0) << undone.output << undone.errors;
    EXPECT_EQ(state(), changed_);
    EXPECT_THAT(trading(), HasSubstr("true"));
    EXPECT_THAT(undone.output, HasSubstr("the restored redis is kept: "));
    EXPECT_EQ(configured({"restore", "--undo", "--yes"}).exit, 1);
    EXPECT_NE(leftovers(), "");

    const Answer committed = configured({"restore", "--commit", "--yes"});
    EXPECT_EQ(committed.exit, 0) << committed.output << committed.errors;
    EXPECT_EQ(leftovers(), "");
    EXPECT_EQ(state(), changed_);
    EXPECT_EQ(last_run()["state"].text(), "committed");
}

// NS-10, NS-21: what does not pass leaves trading paused, and says so; mended, it goes on.
TEST_F(GuidedRestore, ACheckThatFailsKeepsTradingPaused) {
    configure("rto_whole_seconds = 1\n");
    write(at("slow"), "");
    write(at("broken-check"), "");
    const Answer failed = configured({"restore", "latest", "--replace", "--yes"});
    EXPECT_EQ(failed.exit, 3) << failed.output << failed.errors;
    EXPECT_THAT(failed.output, AllOf(HasSubstr("failed  command"), HasSubstr("trading stays paused (command, flag)")));
    EXPECT_THAT(failed.errors, HasSubstr("holdfast restore --resume"));
    EXPECT_EQ(state(), before_);
    EXPECT_THAT(trading(), HasSubstr("false"));
    EXPECT_THAT(hooks(), Not(HasSubstr("resume")));
    EXPECT_EQ(configured({"restore", "--commit", "--yes"}).exit, 1);
    EXPECT_THAT(configured({"doctor"}).output, HasSubstr("holdfast restore --resume"));
    ASSERT_TRUE(os::remove_tree(at("broken-check")));
    const Answer mended = configured({"restore", "--resume"});
    EXPECT_EQ(mended.exit, 0) << mended.output << mended.errors;
    EXPECT_THAT(mended.output, HasSubstr("missed"));    // the hooks took more than a second
    EXPECT_THAT(trading(), HasSubstr("true"));
    EXPECT_THAT(hooks(), HasSubstr("resume"));
    EXPECT_EQ(configured({"restore", "--resume"}).exit, 1);

    // What one has paused, the next one resumes.
    ASSERT_TRUE(os::remove_tree(at("slow")));
    write(at("broken-check"), "");
    const std::vector<std::string> only_logs{"restore", "latest", "--only", "logs", "--replace", "--yes"};
    EXPECT_EQ(configured(only_logs).exit, 3);
    EXPECT_THAT(trading(), HasSubstr("false"));
    ASSERT_TRUE(os::remove_tree(at("broken-check")));
    const Answer next = configured(only_logs);
    EXPECT_EQ(next.exit, 0) << next.output << next.errors;
    EXPECT_THAT(trading(), HasSubstr("true"));
}

TEST_F(GuidedRestore, AHookThatFailsChangesNothingAndNoTerminalIsNoYes) {
    const Answer unasked = configured({"restore", "latest", "--replace"});
    EXPECT_EQ(unasked.exit, 2);
    EXPECT_THAT(unasked.errors, HasSubstr("--yes"));
    EXPECT_EQ(hooks(), "");
    write(at("broken-stop"), "");
    const Answer failed = configured({"restore", "latest", "--replace", "--yes"});
    EXPECT_EQ(failed.exit, 1) << failed.output << failed.errors;
    EXPECT_THAT(failed.errors, AllOf(HasSubstr("stop_commands failed"), HasSubstr("--undo")));
    EXPECT_THAT(in_scratch(), ::testing::IsEmpty());
    EXPECT_EQ(state(), changed_);
    EXPECT_THAT(trading(), HasSubstr("false"));
    ASSERT_TRUE(os::remove_tree(at("broken-stop")));
    const Answer undone = configured({"restore", "--undo", "--yes"});
    EXPECT_EQ(undone.exit, 0) << undone.output << undone.errors;
    EXPECT_EQ(state(), changed_);
    EXPECT_THAT(trading(), HasSubstr("true"));
    EXPECT_EQ(leftovers(), "");
}

// MT-06: whoever stops it finds nothing left that is not encrypted, whichever step it was at.
TEST_F(GuidedRestore, InterruptedItLeavesNothingInItsScratchPlace) {
    for (const auto& [hook, signal] : std::vector<std::pair<std::string, int>>{
             {"pause", SIGINT}, {"stop", SIGTERM}, {"start", SIGINT}, {"check", SIGTERM}}) {
        SCOPED_TRACE(fmt::format("signal {} while {}", signal, hook));
        write(at("slow"), "");
        ASSERT_TRUE(os::remove_tree(at("hooks")));
        auto running = os::Process::start(
            command({"restore", "latest", "--replace", "--yes"}, {{"HOLDFAST_CONFIG", at("holdfast.toml")},
                                                                  {"HOLDFAST_REPOSITORY", repository()},
                                                                  {"HOLDFAST_PASSWORD_FILE", password_file()}}));
        ASSERT_TRUE(running) << running.error().message;
        while (hooks().find(hook) == std::string::npos && !running->wait(std::chrono::milliseconds(2)));
        EXPECT_THAT(in_scratch(), Not(::testing::IsEmpty()));
        running->kill(signal);
        const auto ended = running->wait(std::chrono::minutes(2));
        ASSERT_TRUE(ended);
        EXPECT_EQ(ended->signal, 0);
        ASSERT_TRUE(os::remove_tree(at("slow")));
        EXPECT_THAT(in_scratch(), ::testing::IsEmpty());
        ASSERT_EQ(configured({"restore", "--undo", "--yes"}).exit, 0);
        ASSERT_EQ(configured({"restore", "--commit", "--yes"}).exit, 0);
    }
}

// Killed at each step; then it says where it is, and goes on or is put back.
TEST_F(GuidedRestore, KilledAtAnyStepItGoesOnOrIsUndone) {
    const std::vector<std::string> points{"guided.pause:1",
                                          "guided.stop:1",
                                          "guided.restore:1",
                                          "guided.restoring.postgres:1",
                                          "guided.replacing.database:1",
                                          "guided.restored.postgres:1",
                                          "guided.replacing.table:1",
                                          "guided.restored.clickhouse:1",
                                          "guided.replacing.duckdb:1",
                                          "guided.restored.duckdb:1",
                                          "guided.replacing.redis:1",
                                          "guided.restored.redis:1",
                                          "guided.replacing.path:1",
                                          "guided.restored.files:1",
                                          "guided.restored.logs:1",
                                          "guided.start:1",
                                          "guided.check:1",
                                          "guided.resume:1"};
    bool undo = false, left = false;
    for (const std::string& point : points) {
        SCOPED_TRACE(point);
        const Answer killed =
            configured({"restore", "latest", "--replace", "--yes"}, {{"HOLDFAST_CRASH_POINT", point}});
        ASSERT_EQ(killed.exit, -9) << killed.output << killed.errors;
        if (!in_scratch().empty()) left = true;
        EXPECT_EQ(last_run()["state"].text(), "running");
        EXPECT_THAT(configured({"restore", "--status"}).output, HasSubstr("at work, or interrupted"));
        const Answer other = configured({"restore", "latest", "--only", "logs", "--replace", "--yes"});
        EXPECT_EQ(other.exit, 1);
        EXPECT_THAT(other.errors,
                    AllOf(HasSubstr("was interrupted while"), HasSubstr("--resume"), HasSubstr("--undo")));
        if (undo) {
            const Answer undone = configured({"restore", "--undo", "--yes"});
            ASSERT_EQ(undone.exit, 0) << undone.output << undone.errors;
        } else {
            // The same command notices by itself, too.
            const bool same = point.size() % 2 == 0;
            const Answer on = configured(same ? std::vector<std::string>{"restore", "latest", "--replace", "--yes"}
                                              : std::vector<std::string>{"restore", "--resume"});
            ASSERT_EQ(on.exit, 0) << on.output << on.errors;
            EXPECT_EQ(state(), before_);
            const Answer undone = configured({"restore", "--undo", "--yes"});
            ASSERT_EQ(undone.exit, 0) << undone.output << undone.errors;
        }
        ASSERT_EQ(state(), changed_);
        EXPECT_THAT(in_scratch(), ::testing::IsEmpty());    // swept by the run that followed, MT-06
        EXPECT_THAT(trading(), HasSubstr("true"));
        const Answer committed = configured({"restore", "--commit", "--yes"});
        ASSERT_EQ(committed.exit, 0) << committed.output << committed.errors;
        ASSERT_EQ(leftovers(), "");
        undo = !undo;
    }
    EXPECT_TRUE(left);    // by a kill, or there was nothing to sweep
}

TEST_F(GuidedRestore, KilledUndoAndCommitGoOn) {
    const Answer done = configured({"restore", "latest", "--replace", "--yes"});
    ASSERT_EQ(done.exit, 0) << done.output << done.errors;
    int kills = 0;
    for (int n = 1;; ++n, ++kills) {
        const Answer undone = configured({"restore", "--undo", "--yes"}, {{"HOLDFAST_CRASH_POINT", "undo.put_back:1"}});
        if (undone.exit == 0) break;
        ASSERT_EQ(undone.exit, -9) << undone.output << undone.errors;
        ASSERT_LT(n, 30);
        EXPECT_EQ(last_run()["state"].text(), "undoing");
        // It is done, only the record does not know yet: the next attempt sees that and dies one further.
        if (n == 2) break;
    }
    EXPECT_GT(kills, 0);
    const Answer on = configured({"restore", "--resume"});
    ASSERT_EQ(on.exit, 0) << on.output << on.errors;
    EXPECT_EQ(state(), changed_);
    EXPECT_EQ(configured({"restore", "--commit", "--yes"}, {{"HOLDFAST_CRASH_POINT", "commit.removed:3"}}).exit, -9);
    EXPECT_EQ(last_run()["state"].text(), "committing");
    ASSERT_EQ(configured({"restore", "--commit", "--yes"}).exit, 0);
    EXPECT_EQ(leftovers(), "");
    EXPECT_EQ(state(), changed_);
}

}    // namespace
}    // namespace holdfast::scenario
