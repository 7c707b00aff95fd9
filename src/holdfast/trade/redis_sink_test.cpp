#include "holdfast/trade/redis_sink.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "holdfast/testing/redis_sentinels.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/trade/history_test.hpp"
#include "holdfast/trade/rebuild.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ledger::Sequence;
using testing::RedisServer;

RedisPlace place_of(const RedisServer& server) {
    RedisPlace place;
    place.login.port = server.port();
    place.login.timeout = 30s;
    return place;
}

RedisSinkOptions options(std::uint64_t token = 1, std::string journal = "journal-1") {
    return {"demo-1", std::move(journal), token};
}

/// All of [after, to] in batches; the first error ends it.
Status apply_all(Sink& sink, const History& history, Sequence after, Sequence to, std::size_t batch = 100) {
    while (after < to) {
        const Sequence end = std::min<Sequence>(to, after + batch);
        HF_DO(sink.apply(after, history.part(after, end)));
        after = end;
    }
    return {};
}

// Everything that the account's keys hold; equal texts are equal states.
std::string content(RedisServer& server) {
    auto text = server.talk({{"EVAL",
                              "local keys = redis.call('KEYS', 'hf:*') table.sort(keys) local out = {} "
                              "for _, k in ipairs(keys) do local t = redis.call('TYPE', k).ok local v "
                              "if t == 'hash' then local h = redis.call('HGETALL', k) local f = {} "
                              "for i = 1, #h, 2 do f[#f + 1] = h[i] .. '=' .. h[i + 1] end table.sort(f) "
                              "v = table.concat(f, ',') .. '@' .. redis.call('PEXPIRETIME', k) "
                              "elseif t == 'stream' then v = cjson.encode(redis.call('XRANGE', k, '-', '+')) "
                              "else v = redis.call('GET', k) end out[#out + 1] = k .. ': ' .. v end "
                              "return table.concat(out, '\\n')",
                              "0"}});
    return text ? *text : text.error().message;
}

class RedisSinkTest : public ::testing::Test {
protected:
    void SetUp() override {
        auto server = RedisServer::start();
        ASSERT_TRUE(server) << server.error().message;
        server_.emplace(*std::move(server));
        history_.orders(1, 60);
    }
    std::optional<RedisServer> server_;
    History history_;
};

TEST_F(RedisSinkTest, ShowsOpenAndClosedOrdersAndResultsInTheirOrder) {
    // Requirement: EA-01, MT-11
    RedisSink sink(RedisLink(place_of(*server_)), options());
    ASSERT_TRUE(sink.watermark());
    EXPECT_EQ(*sink.watermark(), 0u);
    ASSERT_TRUE(apply_all(sink, history_, 0, history_.last()));
    EXPECT_EQ(*sink.watermark(), history_.last());

    const auto field = [&](std::uint64_t order, const char* name) {
        return sink.link().command({"HGET", "hf:{demo-1}:rts:" + test_id(order).text(), name})->text();
    };
    EXPECT_EQ(field(1, "state"), "filled");
    EXPECT_EQ(field(5, "state"), "partially_filled");
    EXPECT_EQ(field(5, "filled"), "3");
    EXPECT_EQ(field(5, "strategy"), "it's a\ttest \\ \n");
    EXPECT_EQ(field(4, "parked"), "1");
    EXPECT_EQ(field(10, "state"), "") << "a failed order is removed";
    const auto expiry = [&](std::uint64_t order) {
        return sink.link().command({"PEXPIRETIME", "hf:{demo-1}:rts:" + test_id(order).text()})->integer();
    };
    EXPECT_EQ(expiry(5), -1) << "an open order stays";
    const auto closed = history_.changes()[4].order->changed_at;    // order 1 is closed by its fifth fact
    EXPECT_EQ(expiry(1), (closed + 24h * 30).nanoseconds / 1'000'000);

    std::size_t results = 0;
    for (const auto& change : history_.changes())
        results += std::holds_alternative<ledger::OrderExecuted>(change.fact.data) ||
                   (change.order && is_closed(change.order->state));
    const auto length = sink.link().command({"XLEN", "hf:{demo-1}:rtrs"});
    EXPECT_EQ(static_cast<std::size_t>(length->integer()), results);
}

TEST_F(RedisSinkTest, TakesRepeatedAndOverlappingRangesOnce) {
    // Requirement: MT-11
    RedisSink sink(RedisLink(place_of(*server_)), options());
    ASSERT_TRUE(apply_all(sink, history_, 0, history_.last(), 7));
    const std::string once = content(*server_);
    ASSERT_TRUE(apply_all(sink, history_, 0, history_.last(), 13));
    EXPECT_EQ(content(*server_), once);

    ASSERT_TRUE(server_->talk({{"FLUSHALL"}}));
    ASSERT_TRUE(sink.apply(0, history_.part(0, 50)));
    ASSERT_TRUE(sink.apply(20, history_.part(20, 70)));    // half of it is known
    ASSERT_TRUE(sink.apply(10, history_.part(10, 40)));    // all of it is known
    ASSERT_TRUE(apply_all(sink, history_, 70, history_.last()));
    EXPECT_EQ(content(*server_), once);
}

TEST_F(RedisSinkTest, RefusesABatchAfterAHole) {
    RedisSink sink(RedisLink(place_of(*server_)), options());
    ASSERT_TRUE(sink.apply(0, history_.part(0, 10)));
    const std::string before = content(*server_);
    const auto refused = sink.apply(11, history_.part(11, 20));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::changed) << refused.error().message;
    EXPECT_EQ(content(*server_), before);
}

TEST_F(RedisSinkTest, RefusesAnOlderTokenAndWritesNothingOfIt) {
    // Requirement: HA-05
    RedisSink old_sink(RedisLink(place_of(*server_)), options(4));
    ASSERT_TRUE(old_sink.claim());
    ASSERT_TRUE(old_sink.apply(0, history_.part(0, 10)));
    RedisSink new_sink(RedisLink(place_of(*server_)), options(5));
    ASSERT_TRUE(new_sink.claim());
    const std::string before = content(*server_);
    const auto refused = old_sink.apply(10, history_.part(10, 20));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
    EXPECT_FALSE(worth_retrying(refused.error()));
    EXPECT_EQ(content(*server_), before);
    EXPECT_FALSE(old_sink.claim());
    ASSERT_TRUE(new_sink.apply(10, history_.part(10, 20)));
}

TEST_F(RedisSinkTest, TrimsResultsOnlyUpToWhatClickHouseConfirmed) {
    // Requirement: MT-11
    RedisSink sink(RedisLink(place_of(*server_)), options());
    ASSERT_TRUE(apply_all(sink, history_, 0, history_.last()));
    const Sequence before = history_.last();
    history_.note(ledger::SinkConfirmed{ledger::Sink::duckdb, before});
    history_.note(ledger::SinkConfirmed{ledger::Sink::clickhouse, 40});
    ASSERT_TRUE(apply_all(sink, history_, before, history_.last()));
    const auto kept = sink.link().command({"XRANGE", "hf:{demo-1}:rtrs", "-", "+"});
    std::size_t expected = 0;
    for (const auto& change : history_.part(40, before))
        expected += std::holds_alternative<ledger::OrderExecuted>(change.fact.data) ||
                    (change.order && is_closed(change.order->state));
    ASSERT_EQ(kept->items().size(), expected);
    EXPECT_EQ(kept->items()[0].items()[0].text().substr(0, 2), "1-");
    EXPECT_GT(std::stoull(kept->items()[0].items()[0].text().substr(2)), 40u);
    // And again from the start: what was trimmed does not come back, and nothing fails.
    ASSERT_TRUE(sink.link().command({"SET", "hf:{demo-1}:mark:journal-1", "0"}));
    ASSERT_TRUE(apply_all(sink, history_, 0, history_.last()));
    EXPECT_EQ(static_cast<std::size_t>(sink.link().command({"XLEN", "hf:{demo-1}:rtrs"})->integer()), expected);
}

// A second instance's journal: it goes on with two orders of the first one's, under a later token.
History takeover(std::uint64_t token) {
    History history;
    history.note(ledger::SessionStarted{"b", token, true});
    for (const std::uint64_t n : {5u, 11u}) {    // partially filled when the first one ended
        ledger::Order order;
        order.id = order.signal = test_id(n);
        order.symbol = "EURUSD";
        order.quantity = ledger::Decimal::whole(10);
        order.filled = ledger::Decimal::whole(3);
        order.state = ledger::OrderState::partially_filled;
        history.note(ledger::OrderFound{order, {fmt::format("E{}-0", n)}, "redis"});
    }
    history.fill(5, 7, 1);
    history.note(ledger::OrderClosed{test_id(11), ledger::OrderState::failed, "too old"});
    return history;
}

TEST_F(RedisSinkTest, AnOldLeaderThatComesBackOverwritesNothingNewer) {
    // Requirement: HA-05
    RedisSink a(RedisLink(place_of(*server_)), options(100));
    ASSERT_TRUE(apply_all(a, history_, 0, 150));
    const History other = takeover(200);
    RedisSink b(RedisLink(place_of(*server_)), options(200, "journal-2"));
    EXPECT_EQ(*b.watermark(), 0u) << "the other journal's watermark is not its own";
    ASSERT_TRUE(apply_all(b, other, 0, other.last()));
    EXPECT_EQ(*b.watermark(), other.last());

    // The first one leads again: what its journal had noted before has not been written yet.
    RedisSink again(RedisLink(place_of(*server_)), options(300));
    EXPECT_EQ(*again.watermark(), 150u);
    const auto field = [&](std::uint64_t order, const char* name) {
        return again.link().command({"HGET", "hf:{demo-1}:rts:" + test_id(order).text(), name})->text();
    };
    ASSERT_EQ(field(5, "state"), "filled");
    ASSERT_TRUE(again.link().command({"SET", "hf:{demo-1}:mark:journal-1", "0"}));
    ASSERT_TRUE(apply_all(again, history_, 0, history_.last()));
    EXPECT_EQ(field(5, "state"), "filled");
    EXPECT_EQ(field(5, "version"), fmt::format("{:020}", other.changes()[3].version));
    EXPECT_EQ(field(59, "state"), "partially_filled") << "its own orders are written";
}

TEST_F(RedisSinkTest, ResultsGrowOverInstancesAndStayUntilTheyWereTakenOver) {
    // Requirement: MT-11, HA-05
    RedisSink a(RedisLink(place_of(*server_)), options(100));
    ASSERT_TRUE(apply_all(a, history_, 0, 150));
    const auto ids = [&] {
        std::vector<std::string> all;
        const auto entries = a.link().command({"XRANGE", "hf:{demo-1}:rtrs", "-", "+"});
        for (const auto& entry : entries->items()) all.push_back(entry.items()[0].text());
        return all;
    };
    const std::size_t first_ones = ids().size();
    ASSERT_GT(first_ones, 20u);
    History other = takeover(200);
    RedisSinkOptions later = options(200, "journal-2");
    later.trim_after = other.last();
    RedisSink b(RedisLink(place_of(*server_)), later);
    ASSERT_TRUE(apply_all(b, other, 0, other.last()));
    EXPECT_EQ(ids().size(), first_ones + 2);
    EXPECT_EQ(ids().back(), "200-5");
    Sequence at = other.last();
    other.note(ledger::SinkConfirmed{ledger::Sink::clickhouse, later.trim_after - 1});
    ASSERT_TRUE(apply_all(b, other, at, other.last()));
    EXPECT_EQ(ids().size(), first_ones + 2) << "ClickHouse does not have yet what was taken over";
    at = other.last();
    other.note(ledger::SinkConfirmed{ledger::Sink::clickhouse, later.trim_after});
    ASSERT_TRUE(apply_all(b, other, at, other.last()));
    EXPECT_EQ(ids().size(), 0u);

    // The first one again, by a later session: its results follow on all others, and none is refused.
    RedisSink again(RedisLink(place_of(*server_)), options(300));
    ASSERT_EQ(*again.watermark(), 150u);
    ASSERT_TRUE(apply_all(again, history_, 150, history_.last()));
    std::size_t expected = 0;
    for (const auto& change : history_.part(150, history_.last()))
        expected += std::holds_alternative<ledger::OrderExecuted>(change.fact.data) ||
                    (change.order && is_closed(change.order->state));
    EXPECT_EQ(ids().size(), expected);
    EXPECT_EQ(ids().front().substr(0, 4), "300-");
}

TEST_F(RedisSinkTest, AnEarlierSessionsResultsWaitForTheLastOfThem) {
    // Requirement: MT-11
    {
        RedisSink sink(RedisLink(place_of(*server_)), options(100));
        ASSERT_TRUE(apply_all(sink, history_, 0, 150));
    }
    RedisSink sink(RedisLink(place_of(*server_)), options(200));
    ASSERT_EQ(*sink.watermark(), 150u);
    const auto length = [&] { return sink.link().command({"XLEN", "hf:{demo-1}:rtrs"})->integer(); };
    const auto before = length();
    const Sequence last = history_.last();
    history_.note(ledger::SinkConfirmed{ledger::Sink::clickhouse, 149});
    ASSERT_TRUE(apply_all(sink, history_, 150, history_.last()));
    EXPECT_GE(length(), before) << "the last of them is not confirmed";
    history_.note(ledger::SinkConfirmed{ledger::Sink::clickhouse, last});
    ASSERT_TRUE(apply_all(sink, history_, last + 1, history_.last()));
    EXPECT_EQ(length(), 0);
}

TEST_F(RedisSinkTest, LosesNothingWhenRedisIsOutOfMemory) {
    // Requirement: MT-17
    RedisSink sink(RedisLink(place_of(*server_)), options());
    ASSERT_TRUE(sink.apply(0, history_.part(0, 20)));
    const std::string before = content(*server_);
    ASSERT_TRUE(server_->talk({{"CONFIG", "SET", "maxmemory", "1"}}));
    const auto refused = sink.apply(20, history_.part(20, 100));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().retryable()) << refused.error().message;
    EXPECT_NE(refused.error().hint.find("maxmemory"), std::string::npos);
    ASSERT_TRUE(server_->talk({{"CONFIG", "SET", "maxmemory", "0"}}));
    EXPECT_EQ(content(*server_), before) << "half a batch was written";
    ASSERT_TRUE(apply_all(sink, history_, 20, history_.last()));

    auto other = RedisServer::start();
    ASSERT_TRUE(other);
    RedisSink reference(RedisLink(place_of(*other)), options());
    ASSERT_TRUE(apply_all(reference, history_, 0, history_.last()));
    EXPECT_EQ(content(*server_), content(*other));
}

TEST_F(RedisSinkTest, GoesOnAfterKillsInMidBatch) {
    // Requirement: DD-09, MT-07
    server_.reset();
    auto durable = RedisServer::start({"appendonly yes", "appendfsync always"});
    ASSERT_TRUE(durable);
    History history;
    history.orders(1, 1500);
    RedisSink sink(RedisLink(place_of(*durable)), options());
    Sequence at = 0;
    for (int kill = 0; kill < 4; ++kill) {
        const Sequence end = history.last() * static_cast<Sequence>(kill + 1) / 4;
        std::thread killer([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(5 + 7 * kill));
            durable->kill();
        });
        const Status done = apply_all(sink, history, at, end, 25);
        killer.join();
        EXPECT_TRUE(done || done.error().retryable()) << done.error().message;
        ASSERT_TRUE(durable->restart());
        auto mark = sink.watermark();
        if (!mark) mark = sink.watermark();    // the first one notices that the connection has gone
        ASSERT_TRUE(mark) << mark.error().message;
        at = *mark;
    }
    ASSERT_TRUE(apply_all(sink, history, at, history.last()));
    auto other = RedisServer::start();
    ASSERT_TRUE(other);
    RedisSink reference(RedisLink(place_of(*other)), options());
    ASSERT_TRUE(apply_all(reference, history, 0, history.last()));
    EXPECT_EQ(content(*durable), content(*other));
}

TEST_F(RedisSinkTest, WorksWithoutFunctionsOnAnOlderServer) {
    server_.reset();
    auto old_server = RedisServer::start({"rename-command FCALL \"\"", "rename-command FUNCTION \"\""});
    auto new_server = RedisServer::start();
    ASSERT_TRUE(old_server && new_server);
    RedisSink a(RedisLink(place_of(*old_server)), options()), b(RedisLink(place_of(*new_server)), options());
    ASSERT_TRUE(apply_all(a, history_, 0, history_.last()));
    ASSERT_TRUE(apply_all(b, history_, 0, history_.last()));
    EXPECT_EQ(content(*old_server), content(*new_server));
    const auto refused = RedisSink(RedisLink(place_of(*old_server)), options(0)).claim();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
}

TEST_F(RedisSinkTest, NeedsNoMoreRightsThanTheDocumentationNames) {
    // docs/formats/trade-stores.md
    ASSERT_TRUE(
        server_->talk({{"ACL",   "SETUSER", "trader",         "on",       ">key",  "resetkeys",    "~hf:{demo-1}:*",
                        "-@all", "+fcall",  "+function|load", "+evalsha", "+eval", "+script|load", "+get",
                        "+set",  "+hset",   "+hgetall",       "+hget",    "+del",  "+pexpire",     "+pexpireat",
                        "+xadd", "+xtrim",  "+xrange",        "+scan",    "+role"}}));
    RedisPlace place = place_of(*server_);
    place.login.user = "trader";
    place.login.password = Secret("key");
    RedisSink sink(RedisLink(std::move(place)), options());
    const Status claimed = sink.claim();
    ASSERT_TRUE(claimed) << claimed.error().message;
    history_.note(ledger::SinkConfirmed{ledger::Sink::clickhouse, 40});
    const Status applied = apply_all(sink, history_, 0, history_.last());
    ASSERT_TRUE(applied) << applied.error().message;
    EXPECT_TRUE(sink.beat("host-1", {{"state", "trading"}}, 15s));
    EXPECT_TRUE(sink.set_preference("symbols", "EURUSD"));
    EXPECT_TRUE(sink.preferences());
    const Rebuilt found = rebuild_from_stores({&sink, nullptr, nullptr}, {});
    EXPECT_TRUE(found.complete) << found.steps[0].error->message;
}

TEST_F(RedisSinkTest, NoValueStopsIt) {
    History history;
    history.extremes();
    RedisSink sink(RedisLink(place_of(*server_)), options());
    const Status applied = apply_all(sink, history, 0, history.last());
    ASSERT_TRUE(applied) << applied.error().message;
    const Rebuilt found = rebuild_from_stores({&sink, nullptr, nullptr}, {});
    ASSERT_EQ(found.open.size(), 1u) << found.steps[0].error.value_or(Error{}).message;
    EXPECT_EQ(found.open[0].order.strategy, history.book().open().begin()->second.strategy);
    EXPECT_EQ(found.open[0].executions.size(), 3u);
}

TEST_F(RedisSinkTest, InstancesAndPreferencesHaveATimeToLive) {
    // Requirement: EA-05, EA-08
    RedisSink sink(RedisLink(place_of(*server_)), options());
    ASSERT_TRUE(sink.beat("host-1", {{"state", "trading"}, {"token", "7"}}, 15s));
    EXPECT_EQ(sink.link().command({"HGET", "hf:{demo-1}:ris:host-1", "state"})->text(), "trading");
    const auto left = sink.link().command({"PTTL", "hf:{demo-1}:ris:host-1"})->integer();
    EXPECT_GT(left, 0);
    EXPECT_LE(left, 15'000);
    ASSERT_TRUE(sink.set_preference("symbols", "EURUSD,XAUUSD"));
    const auto preferences = sink.preferences();
    ASSERT_TRUE(preferences);
    EXPECT_EQ(preferences->at("symbols"), "EURUSD,XAUUSD");
    EXPECT_GT(sink.link().command({"TTL", "hf:{demo-1}:prefs"})->integer(), 29 * 24 * 3600);
}

TEST_F(RedisSinkTest, FollowsTheSentinelsToANewMasterAndWritesAgainWhatItLost) {
    // Requirement: HA-04, HA-05, HA-07
    auto replica = RedisServer::start({fmt::format("replicaof 127.0.0.1 {}", server_->port())});
    ASSERT_TRUE(replica) << replica.error().message;
    auto sentinels = testing::RedisSentinels::start(server_->port());
    ASSERT_TRUE(sentinels) << sentinels.error().message;
    ASSERT_TRUE(sentinels->wait_until_complete(1));

    RedisPlace place;
    place.login.timeout = 5s;
    place.sentinels.push_back({"127.0.0.1", 1});    // one that is away is passed over
    for (const std::uint16_t port : sentinels->ports()) place.sentinels.push_back({"127.0.0.1", port});
    RedisSink sink(RedisLink(std::move(place)), options());
    ASSERT_TRUE(sink.claim());
    ASSERT_TRUE(apply_all(sink, history_, 0, 100));
    const auto waited = sink.link().command({"WAIT", "1", "10000"});
    ASSERT_TRUE(waited);
    ASSERT_EQ(waited->integer(), 1);
    EXPECT_EQ(sink.link().peer(), fmt::format("redis at 127.0.0.1:{}", server_->port()));

    // From here on the replica gets nothing more; the master goes on and acknowledges.
    ASSERT_TRUE(server_->talk({{"ACL", "SETUSER", "default", "-psync"}, {"CLIENT", "KILL", "TYPE", "replica"}}));
    ASSERT_TRUE(apply_all(sink, history_, 100, 200));
    server_->kill();

    Result<Sequence> mark = sink.watermark();
    const auto deadline = std::chrono::steady_clock::now() + 90s;
    while (!mark && std::chrono::steady_clock::now() < deadline) {
        EXPECT_TRUE(mark.error().retryable()) << mark.error().message;
        std::this_thread::sleep_for(100ms);
        mark = sink.watermark();
    }
    ASSERT_TRUE(mark) << mark.error().message;
    EXPECT_EQ(*mark, 100u) << "the new master does not have what the old one acknowledged alone";
    EXPECT_EQ(sink.link().peer(), fmt::format("redis at 127.0.0.1:{}", replica->port()));
    const auto gap = sink.apply(200, history_.part(200, 210));
    ASSERT_FALSE(gap);
    EXPECT_EQ(gap.error().code, ErrorCode::changed);
    ASSERT_TRUE(apply_all(sink, history_, *mark, history_.last()));

    auto other = RedisServer::start();
    ASSERT_TRUE(other);
    RedisSink reference(RedisLink(place_of(*other)), options());
    ASSERT_TRUE(apply_all(reference, history_, 0, history_.last()));
    EXPECT_EQ(content(*replica), content(*other));
}

TEST_F(RedisSinkTest, AReplicaIsNotWrittenTo) {
    auto replica = RedisServer::start({fmt::format("replicaof 127.0.0.1 {}", server_->port())});
    ASSERT_TRUE(replica);
    RedisSink sink(RedisLink(place_of(*replica)), options());
    const auto refused = sink.apply(0, history_.part(0, 5));
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().retryable());
    EXPECT_NE(refused.error().message.find("not a master"), std::string::npos) << refused.error().message;
}

}    // namespace
}    // namespace holdfast::trade
