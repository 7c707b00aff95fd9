// Signals from a real Redis, through its troubles and ours. Requirements: MT-07, MT-10, EA-08, HA-05.

#include "holdfast/trade/redis_intake.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/testing/redis_server.hpp"
#include "holdfast/trade/engine_fixture_test.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* k_stream = "hf:{acct}:rtss";
constexpr const char* k_bad = "hf:{acct}:rtss:bad";

std::string uuid(unsigned n) { return fmt::format("0197b8e4-7b6a-7c3e-9d3f-{:012x}", n); }

class RedisIntakeTest : public ::testing::Test {
protected:
    void SetUp() override { start_server({}); }
    void start_server(std::vector<std::string> config) {
        auto started = testing::RedisServer::start(std::move(config));
        ASSERT_TRUE(started) << started.error().message;
        redis_.emplace(std::move(*started));
    }
    RedisPlace place() const {
        RedisPlace place;
        place.login.port = redis_->port();
        return place;
    }
    static RedisIntakeOptions options(std::string consumer = "one") {
        RedisIntakeOptions options;
        options.account = "acct";
        options.consumer = std::move(consumer);
        options.link.first_wait = options.link.longest_wait = options.link.disabled_wait = 50ms;
        options.link.stable_after = 100ms;
        options.claim_idle = 200ms;
        options.claim_every = 50ms;
        options.unavailable_wait = 50ms;
        return options;
    }
    std::unique_ptr<RedisIntake> intake(RedisIntakeOptions options) {
        return std::make_unique<RedisIntake>(
            RedisLink(place()), std::move(options), engine_.submit(), clock_,
            [this](const watch::LinkPolicy::Action& action) {
                restored_ += std::get_if<watch::LinkPolicy::Restored>(&action) != nullptr;
                notified_ += std::get_if<watch::LinkPolicy::Notify>(&action) != nullptr;
            });
    }
    Result<std::string> command(std::vector<std::string> words) { return redis_->talk({std::move(words)}); }
    // Also while the server is out of sorts.
    void say(std::vector<std::string> words) {
        const auto said = command(words);
        ASSERT_TRUE(said) << words[0] << ": " << said.error().message;
    }
    static std::vector<std::string> signal(unsigned n, std::vector<std::string> more = {}, std::string id = "*") {
        std::vector<std::string> words = {"XADD",   k_stream, std::move(id), "id",       uuid(n), "symbol",
                                          "EURUSD", "side",   "buy",         "quantity", "0.1"};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    std::int64_t length(const char* stream) {
        const auto said = command({"XLEN", stream});
        return said ? std::stoll(said->substr(1)) : -1;
    }
    std::int64_t pending() {
        const auto said = command({"XPENDING", k_stream, "engine"});
        return said && said->starts_with("*4\r\n:") ? std::stoll(said->substr(5)) : -1;
    }
    template <class Condition>
    static ::testing::AssertionResult until(Condition&& condition) {
        for (int i = 0; i < 6000; ++i) {
            if (condition()) return ::testing::AssertionSuccess();
            std::this_thread::sleep_for(10ms);
        }
        return ::testing::AssertionFailure() << "not within 60 s";
    }

    std::optional<testing::RedisServer> redis_;
    os::SystemClock clock_;
    TestEngine engine_;
    std::atomic<unsigned> restored_ = 0, notified_ = 0;
};

TEST_F(RedisIntakeTest, HandsEverySignalOnAndRemovesItOnceTheJournalHasIt) {
    say(signal(0));    // before there is a group
    engine_.silent(true);
    auto reader = intake(options());
    for (unsigned n = 1; n < 300; ++n) say(signal(n));
    say(signal(7));    // a duplicate
    ASSERT_TRUE(until([&] { return engine_.held() == 301; }));
    EXPECT_EQ(length(k_stream), 301);    // not answered: not acknowledged
    EXPECT_EQ(pending(), 301);
    engine_.silent(false);
    ASSERT_TRUE(until([&] { return length(k_stream) == 0; }));
    EXPECT_EQ(pending(), 0);
    EXPECT_EQ(engine_.orders(), 300u);
    ASSERT_TRUE(until([&] { return reader->status().in_flight == 0; }));
    EXPECT_EQ(reader->status().counts.acknowledged, 301u);
    EXPECT_EQ(reader->status().link, watch::LinkPolicy::State::up);
}

TEST_F(RedisIntakeTest, BoundsWhatIsInFlight) {
    auto small = options();
    small.batch = 4;
    small.in_flight_max = 8;
    for (unsigned n = 0; n < 50; ++n) say(signal(n));
    engine_.silent(true);
    auto reader = intake(small);
    ASSERT_TRUE(until([&] { return engine_.held() == 8; }));
    std::this_thread::sleep_for(100ms);
    EXPECT_EQ(engine_.held(), 8u);
    engine_.silent(false);
    ASSERT_TRUE(until([&] { return length(k_stream) == 0; }));
    EXPECT_EQ(engine_.orders(), 50u);
}

TEST_F(RedisIntakeTest, GoesOnAfterARestartWithWhatItHadBeenGiven) {
    engine_.silent(true);
    auto first = intake(options());
    for (unsigned n = 0; n < 5; ++n) say(signal(n));
    ASSERT_TRUE(until([&] { return engine_.held() == 5; }));
    first.reset();    // as by kill -9: nothing was answered
    EXPECT_EQ(pending(), 5);
    TestEngine next;
    auto again = options();
    again.claim_idle = 1h;    // its own needs no claim
    RedisIntake second(RedisLink(place()), again, next.submit(), clock_);
    ASSERT_TRUE(until([&] { return length(k_stream) == 0; }));
    EXPECT_EQ(next.orders(), 5u);
    engine_.silent(false);    // answers to somebody who has gone
}

TEST_F(RedisIntakeTest, TakesOverWhatADeadConsumerLeft) {
    engine_.silent(true);
    auto dead = intake(options("dead"));
    for (unsigned n = 0; n < 500; ++n) say(signal(n));
    ASSERT_TRUE(until([&] { return engine_.held() == 500; }));
    dead.reset();
    TestEngine next;
    RedisIntake heir(RedisLink(place()), options("heir"), next.submit(), clock_);
    ASSERT_TRUE(until([&] { return length(k_stream) == 0; }));
    EXPECT_EQ(next.orders(), 500u);
    EXPECT_EQ(pending(), 0);
    EXPECT_GE(heir.status().counts.claimed, 500u);
}

TEST_F(RedisIntakeTest, SetsBadEntriesAsideWithTheReasonAndGoesOn) {
    auto reader = intake(options());
    say({"XADD", k_stream, "*", "hello", "world"});
    say(signal(1, {"quantity", "2"}));
    say(signal(2, {"price", "NaN"}));
    say({"XADD", k_stream, "*", "id", "x", "blob", std::string(1'000'000, 'x')});
    say(signal(3));
    ASSERT_TRUE(until([&] { return engine_.orders() == 1 && length(k_stream) == 0; }));
    say(signal(3, {"take_profit", "9"}));    // the UUID of another one
    ASSERT_TRUE(until([&] { return length(k_bad) == 5 && length(k_stream) == 0; }));
    const std::string bad = command({"XRANGE", k_bad, "-", "+"}).value();
    EXPECT_THAT(bad, HasSubstr("unknown key \"hello\""));
    EXPECT_THAT(bad, HasSubstr("quantity is there twice"));
    EXPECT_THAT(bad, HasSubstr("price is"));
    EXPECT_THAT(bad, HasSubstr("not a UUID"));
    EXPECT_THAT(bad, HasSubstr("another signal"));
    EXPECT_THAT(bad, HasSubstr("[\"hello\",\"world\"]"));
    EXPECT_LT(bad.size(), 20'000u);
    ASSERT_TRUE(until([&] { return reader->status().counts.bad == 5; }));
    EXPECT_EQ(pending(), 0);
}

TEST_F(RedisIntakeTest, OldEntriesAreHandedOnAsOldAsTheyAre) {
    say(signal(1, {}, "1000000000000-1"));    // 2001
    say(signal(2, {"created_at", "2000-01-01T00:00:00Z"}, "1000000000000-2"));
    say(signal(3, {"created_at", "2026-01-01T00:00:00Z"}, "1000000000000-3"));    // a clock that is ahead
    auto reader = intake(options());
    ASSERT_TRUE(until([&] { return engine_.orders() == 3; }));
    const auto created = [&](unsigned n) {
        return to_rfc3339(engine_.find(*ledger::Uuid::parse(uuid(n)))->created_at);
    };
    EXPECT_EQ(created(1), "2001-09-09T01:46:40Z");
    EXPECT_EQ(created(2), "2000-01-01T00:00:00Z");
    EXPECT_EQ(created(3), "2001-09-09T01:46:40Z");
}

TEST_F(RedisIntakeTest, KeepsInRedisWhatTheEngineCannotTake) {
    engine_.away(true);
    auto reader = intake(options());
    for (unsigned n = 0; n < 20; ++n) say(signal(n));
    ASSERT_TRUE(until([&] { return engine_.submissions() >= 40; }));    // tried again
    EXPECT_EQ(length(k_stream), 20);
    EXPECT_EQ(engine_.orders(), 0u);
    engine_.away(false);
    ASSERT_TRUE(until([&] { return length(k_stream) == 0; }));
    EXPECT_EQ(engine_.orders(), 20u);
}

TEST_F(RedisIntakeTest, SurvivesARestartThatLosesEverything) {
    auto reader = intake(options());
    say(signal(1));
    ASSERT_TRUE(until([&] { return engine_.orders() == 1; }));
    engine_.silent(true);
    say(signal(2));
    ASSERT_TRUE(until([&] { return engine_.held() == 1; }));
    redis_->kill();
    // Answered while Redis was away: the engine has it, whatever becomes of the entry.
    engine_.silent(false);
    ASSERT_TRUE(until([&] { return reader->status().link != watch::LinkPolicy::State::up; }));
    EXPECT_FALSE(reader->status().trouble.empty());
    ASSERT_TRUE(until([&] { return notified_ >= 1; }));
    ASSERT_TRUE(redis_->restart());
    say(signal(3));
    ASSERT_TRUE(until([&] { return engine_.orders() == 3 && length(k_stream) == 0; }));
    ASSERT_TRUE(until([&] { return restored_ >= 1; }));
    EXPECT_EQ(reader->status().trouble, "");
}

TEST_F(RedisIntakeTest, ReadsAgainWhatARestartBroughtBack) {
    start_server({"appendonly yes", "appendfsync always"});
    engine_.silent(true);
    auto reader = intake(options());
    for (unsigned n = 0; n < 10; ++n) say(signal(n));
    ASSERT_TRUE(until([&] { return engine_.held() == 10; }));
    redis_->kill();
    ASSERT_TRUE(redis_->restart());
    // The connection is a new one: they are handed on again, and the first answers acknowledge nothing.
    ASSERT_TRUE(until([&] { return engine_.held() >= 20; }));
    EXPECT_EQ(pending(), 10);
    engine_.silent(false);
    ASSERT_TRUE(until([&] { return length(k_stream) == 0; }));
    EXPECT_EQ(engine_.orders(), 10u);
}

TEST_F(RedisIntakeTest, MakesItsGroupAgainAfterFlushall) {
    auto reader = intake(options());
    say(signal(1, {}, "5-1"));
    ASSERT_TRUE(until([&] { return engine_.orders() == 1 && length(k_stream) == 0; }));
    engine_.silent(true);
    say(signal(2, {}, "5-2"));
    ASSERT_TRUE(until([&] { return engine_.held() == 1; }));
    // The same ID for another signal: the answer to the first one says nothing about it.
    ASSERT_TRUE(redis_->talk({{"MULTI"}, {"FLUSHALL"}, signal(3, {}, "5-2"), {"EXEC"}}));
    ASSERT_TRUE(until([&] { return engine_.held() == 2; }));
    engine_.answer_oldest();
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(length(k_stream), 1);
    engine_.silent(false);
    ASSERT_TRUE(until([&] { return engine_.orders() == 3 && length(k_stream) == 0; }));
}

TEST_F(RedisIntakeTest, RemovesNoEntryThatItWasNotGiven) {
    // Full, so that it acknowledges and does not notice that its group is another one.
    auto full = options();
    full.batch = full.in_flight_max = 1;
    auto reader = intake(full);
    engine_.silent(true);
    say(signal(1, {}, "5-1"));
    ASSERT_TRUE(until([&] { return engine_.held() == 1; }));
    ASSERT_TRUE(redis_->talk({{"MULTI"}, {"FLUSHALL"}, signal(2, {}, "5-1"), {"EXEC"}}));
    engine_.silent(false);
    ASSERT_TRUE(until([&] { return engine_.orders() == 2 && length(k_stream) == 0; }));
}

TEST_F(RedisIntakeTest, WaitsWhileItsServerIsAReplica) {
    auto reader = intake(options());
    ASSERT_TRUE(until([&] { return reader->status().link == watch::LinkPolicy::State::up; }));
    say({"REPLICAOF", "127.0.0.1", "1"});
    ASSERT_TRUE(until([&] { return reader->status().link != watch::LinkPolicy::State::up; }));
    say({"REPLICAOF", "NO", "ONE"});
    say(signal(1));
    ASSERT_TRUE(until([&] { return engine_.orders() == 1; }));
}

TEST_F(RedisIntakeTest, AServerWithoutMemoryDelaysOnlyTheBadOnes) {
    auto reader = intake(options());
    ASSERT_TRUE(until([&] { return reader->status().link == watch::LinkPolicy::State::up; }));
    ASSERT_TRUE(redis_->talk(
        {{"MULTI"}, {"XADD", k_stream, "*", "bad", "one"}, signal(1), {"CONFIG", "SET", "maxmemory", "1"}, {"EXEC"}}));
    ASSERT_TRUE(until([&] { return engine_.orders() == 1; }));
    ASSERT_TRUE(until([&] { return length(k_stream) == 1; }));
    EXPECT_EQ(length(k_bad), 0);
    EXPECT_EQ(reader->status().link, watch::LinkPolicy::State::up);
    say({"CONFIG", "SET", "maxmemory", "0"});
    ASSERT_TRUE(until([&] { return length(k_bad) == 1 && length(k_stream) == 0; }));
}

TEST_F(RedisIntakeTest, SaysWhatWasTrimmedUnread) {
    engine_.silent(true);
    auto dead = intake(options("dead"));
    for (unsigned n = 0; n < 4; ++n) say(signal(n));
    ASSERT_TRUE(until([&] { return engine_.held() == 4; }));
    dead.reset();
    say({"XTRIM", k_stream, "MAXLEN", "1"});
    TestEngine next;
    RedisIntake heir(RedisLink(place()), options("heir"), next.submit(), clock_);
    ASSERT_TRUE(until([&] { return next.orders() == 1 && heir.status().counts.vanished == 3; }));
    ASSERT_TRUE(until([&] { return pending() == 0; }));
}

TEST_F(RedisIntakeTest, AcknowledgesTheLastAnswersWhenItIsStopped) {
    engine_.silent(true);
    auto reader = intake(options());
    for (unsigned n = 0; n < 3; ++n) say(signal(n));
    ASSERT_TRUE(until([&] { return engine_.held() == 3; }));
    engine_.silent(false);
    reader->stop();
    EXPECT_EQ(length(k_stream), 0);
}

}    // namespace
}    // namespace holdfast::trade
