// A whole stack of real servers: saved, changed, saved again, wiped, brought back, compared by the stores' own queries.

#include <fmt/core.h>
#include <gmock/gmock.h>

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

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

class Stack : public Scenario {
protected:
    void SetUp() override {
        auto redis = testing::RedisServer::start({"requirepass redis-key", "enable-debug-command yes"}, {"redis-key"});
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
        ASSERT_TRUE(testing::create_trades_file(duckdb(), amounts_.seed, 20'000));
        fill_redis(0, 2000, "new");
        write(at("redis.password"), "redis-key\n", 0600);
        write(at("postgres.password"), postgres_->password() + "\n", 0600);
        configure("redis.password", "postgres.password");
        make_repository();
    }

    void configure(const std::string& redis_password, const std::string& postgres_password) const {
        write(at("holdfast.toml"), fmt::format(R"(stack = "desk"
[[postgres]]
host = "127.0.0.1"
port = {}
password_file = "{}"
databases = ["trading"]
[[redis]]
port = {}
password_file = "{}"
data_folder = "{}"
start_command = ["touch", "{}"]
[[duckdb]]
path = "{}"
[[clickhouse]]
url = "{}"
[[files]]
paths = ["{}"]
[[logs]]
paths = ["{}"]
)",
                                               postgres_->port(), at(postgres_password), redis_->port(),
                                               at(redis_password), redis_->data_folder(), at("start-redis"), duckdb(),
                                               clickhouse_->url(), at("config"), at("logs")));
    }

    std::string duckdb() const { return at("duckdb/executions.duckdb"); }
    std::uint16_t clickhouse_port() const {
        const std::string url = clickhouse_->url();
        std::uint16_t port = 0;
        std::from_chars(url.data() + url.rfind(':') + 1, url.data() + url.size(), port);
        return port;
    }

    void fill_redis(int from, int to, const std::string& state) {
        std::vector<std::vector<std::string>> commands{{"AUTH", "redis-key"}};
        for (int i = from; i < to; ++i)
            commands.push_back(
                {"HSET", fmt::format("order:{}", i), "state", state, "quantity", fmt::format("{}", i * 7)});
        const auto answer = redis_->talk(commands);
        ASSERT_TRUE(answer) << answer.error().message;
    }

    void change() {
        ASSERT_TRUE(testing::change_postgres(*postgres_, amounts_));
        ASSERT_TRUE(testing::change_clickhouse(clickhouse_port(), amounts_));
        ASSERT_TRUE(testing::change_files(at("config"), at("logs"), amounts_));
        fill_redis(0, 20, "filled");
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
    };
    State state() {
        State now;
        now.stores = got(testing::count_postgres(*postgres_));
        const auto clickhouse = got(testing::count_clickhouse(clickhouse_port()));
        now.stores.insert(now.stores.end(), clickhouse.begin(), clickhouse.end());
        now.stores.push_back(got(testing::count_files("config", at("config"))));
        now.stores.push_back(got(testing::count_files("logs", at("logs"))));
        // Redis digests itself.
        now.redis = got(redis_->talk({{"AUTH", "redis-key"}, {"DEBUG", "DIGEST"}, {"DBSIZE"}}));
        now.duckdb = got(testing::prove_trades_file(duckdb()));
        return now;
    }

    void wipe() {
        redis_->kill();
        ASSERT_TRUE(redis_->wipe());
        ASSERT_TRUE(postgres_->wipe());
        clickhouse_->kill();
        ASSERT_TRUE(clickhouse_->wipe());
        ASSERT_TRUE(clickhouse_->restart());
        for (const char* folder : {"duckdb", "config", "logs"}) ASSERT_TRUE(os::remove_tree(at(folder)));
    }

    Answer configured(std::vector<std::string> arguments) const {
        return holdfast(std::move(arguments), {{"HOLDFAST_CONFIG", at("holdfast.toml")}});
    }
    // As `configured`, while this test plays the supervisor that holdfast asks for Redis; and looks at every argument
    // of every process for the secrets of the stack.
    Answer supervised(std::vector<std::string> arguments) {
        os::Command what = command(std::move(arguments), {{"HOLDFAST_REPOSITORY", repository()},
                                                          {"HOLDFAST_PASSWORD_FILE", password_file()},
                                                          {"HOLDFAST_CONFIG", at("holdfast.toml")}});
        what.output_file = at("answer");
        (void)os::remove_tree(at("answer"));
        auto process = os::Process::start(what).value();
        Answer answer;
        while (true) {
            const auto ended = process.wait(5ms);
            look_for_secrets();
            if (ended) {
                answer.exit = ended->signal ? -ended->signal : ended->code;
                break;
            }
            if (os::exists(at("start-redis"))) {
                EXPECT_TRUE(os::remove_tree(at("start-redis")));
                const auto up = redis_->restart();
                EXPECT_TRUE(up) << up.error().message;
            }
        }
        answer.output = os::read_text(at("answer")).value();
        answer.errors = process.errors();
        return answer;
    }
    void look_for_secrets() const {
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const auto arguments = os::read_text(entry.path().string() + "/cmdline");
            if (!arguments || arguments->starts_with("redis-server")) continue;    // the server's own, of this test
            for (const std::string& secret : {std::string("redis-key"), postgres_->password(), password()})
                EXPECT_THAT(*arguments, Not(HasSubstr(secret)));
        }
    }

    testing::TradeAmounts amounts_{.seed = 7, .orders = 4000, .order_states = 2000, .ticks = 10'000, .log_lines = 500};
    std::optional<testing::RedisServer> redis_;
    std::optional<testing::PostgresServer> postgres_;
    std::optional<testing::ClickHouseServer> clickhouse_;
};

TEST_F(Stack, ComesBackEqualAfterALostMachine) {
    // NS-08, NS-12: the whole stack, in order, compared.
    const Answer first = supervised({"backup"});
    ASSERT_EQ(first.exit, 0) << first.output << first.errors;
    change();
    const State before = state();
    const Answer second = supervised({"backup", "--json"});
    ASSERT_EQ(second.exit, 0) << second.output << second.errors;
    // How much is found again varies with the repository's polynomial: so little data is only a few chunks.
    EXPECT_LT(second.json()["summary"]["bytes_added"].natural(), second.json()["summary"]["bytes"].natural() * 9 / 10);

    wipe();
    if (HasFatalFailure()) return;
    const Answer plan = configured({"restore", "latest", "--dry-run"});
    EXPECT_EQ(plan.exit, 0) << plan.output << plan.errors;
    const Answer restored = supervised({"restore", "latest", "--yes", "--json"});
    ASSERT_EQ(restored.exit, 0) << restored.output << restored.errors;
    const json::Value report = restored.json();
    EXPECT_TRUE(report["complete"].boolean());
    std::vector<std::string> order;
    for (const json::Value& component : report["components"].items()) order.push_back(component["kind"].text());
    EXPECT_THAT(order, ::testing::ElementsAre("postgres", "clickhouse", "duckdb", "redis", "files", "logs"));
    EXPECT_TRUE(state() == before);
    EXPECT_EQ(holdfast({"check", "--read-data"}).exit, 0);
}

TEST_F(Stack, ALiveStackIsNotReplacedUnlessTold) {
    const State before = state();
    ASSERT_EQ(configured({"backup", "--without", "redis"}).exit, 0);
    change();
    const State changed = state();
    const Answer refused = configured({"restore", "latest", "--yes"});
    EXPECT_EQ(refused.exit, 1) << refused.output << refused.errors;
    EXPECT_THAT(refused.errors, HasSubstr("--replace"));
    EXPECT_TRUE(state() == changed);
    const Answer replaced = configured({"restore", "latest", "--yes", "--replace"});
    ASSERT_EQ(replaced.exit, 0) << replaced.output << replaced.errors;
    EXPECT_THAT(replaced.output, HasSubstr("digests equal"));
    EXPECT_THAT(replaced.output, HasSubstr("the old executions is kept: " + duckdb()));
    EXPECT_EQ(state().stores, before.stores);
    EXPECT_EQ(state().duckdb, before.duckdb);
}

TEST_F(Stack, WrongCredentialsLoseOnlyThatStore) {
    write(at("wrong"), "not-it\n", 0600);
    configure("wrong", "postgres.password");
    const Answer saved = configured({"backup", "--json"});
    EXPECT_EQ(saved.exit, 3) << saved.output;
    const json::Value report = saved.json();
    for (const json::Value& component : report["components"].items()) {
        EXPECT_EQ(component["complete"].boolean(), component["kind"].text() != "redis") << component["name"].text();
        if (component["kind"].text() == "redis") {
            EXPECT_EQ(component["error"]["code"].text(), "denied");
        }
    }
    EXPECT_THAT(saved.output + saved.errors, Not(HasSubstr("not-it")));
    configure("redis.password", "wrong");
    const Answer other = configured({"backup", "-vv"});
    EXPECT_EQ(other.exit, 3);
    EXPECT_THAT(other.errors, HasSubstr("not whole: postgres"));
    EXPECT_THAT(other.output + other.errors, Not(HasSubstr("not-it")));
}

}    // namespace
}    // namespace holdfast::scenario
