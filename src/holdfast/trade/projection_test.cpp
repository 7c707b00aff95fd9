#include "holdfast/trade/projection.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "holdfast/os/file.hpp"
#include "holdfast/testing/clickhouse_engine.hpp"
#include "holdfast/testing/redis_server.hpp"
#include "holdfast/trade/clickhouse_sink.hpp"
#include "holdfast/trade/duckdb_sink.hpp"
#include "holdfast/trade/history_test.hpp"
#include "holdfast/trade/journal_changes.hpp"
#include "holdfast/trade/redis_sink.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ledger::Sequence;

constexpr Duration k_soon = 60s;    // for what must happen at all, on a busy machine

/// A journal in memory that several sources read.
class Tape {
public:
    template <class Write>
    void write(const Write& write) {
        const std::lock_guard lock(mutex_);
        write(history_);
        grown_.notify_all();
    }
    Sequence last() const {
        const std::lock_guard lock(mutex_);
        return history_.last();
    }
    void release_before(Sequence oldest) { oldest_ = oldest; }

    class Source final : public ChangeSource {
    public:
        explicit Source(Tape& tape) : tape_(tape) {}
        Sequence durable() const override { return tape_.last(); }
        Result<Oldest> oldest() override { return Oldest{tape_.oldest_, tape_.oldest_ > 1}; }
        Result<std::vector<ledger::Change>> read(Sequence after, std::size_t max,
                                                 std::vector<ledger::Change>) override {
            const std::lock_guard lock(tape_.mutex_);
            after = std::max(after, tape_.oldest_ - 1);
            const auto part = tape_.history_.part(after, std::min<Sequence>(tape_.history_.last(), after + max));
            return std::vector<ledger::Change>(part.begin(), part.end());
        }
        void wait(Sequence after, Duration at_most) override {
            std::unique_lock lock(tape_.mutex_);
            tape_.grown_.wait_for(lock, at_most,
                                  [&] { return tape_.history_.last() > after || std::exchange(woken_, false); });
        }
        void wake() override {
            const std::lock_guard lock(tape_.mutex_);
            woken_ = true;
            tape_.grown_.notify_all();
        }

    private:
        Tape& tape_;
        bool woken_ = false;
    };
    std::unique_ptr<ChangeSource> source() { return std::make_unique<Source>(*this); }

private:
    mutable std::mutex mutex_;
    std::condition_variable grown_;
    History history_;
    Sequence oldest_ = 1;
};

/// A sink that others keep alive.
class Borrowed final : public Sink {
public:
    explicit Borrowed(Sink& sink) : sink_(sink) {}
    std::string_view name() const override { return sink_.name(); }
    std::size_t batch_max() const override { return sink_.batch_max(); }
    Result<Sequence> watermark() override { return sink_.watermark(); }
    Status apply(Sequence after, std::span<const ledger::Change> changes) override {
        return sink_.apply(after, changes);
    }

private:
    Sink& sink_;
};

/// A store in memory that takes little at a time. Of four batches one is not taken, of one the answer is lost, and at one the
/// store falls back by more than a batch.
class Balky final : public Sink {
public:
    std::string_view name() const override { return "balky"; }
    std::size_t batch_max() const override { return 40; }
    Result<Sequence> watermark() override { return held_.size(); }
    Status apply(Sequence after, std::span<const ledger::Change> changes) override {
        EXPECT_LE(changes.size(), batch_max());
        Sequence expected = after;
        for (const ledger::Change& change : changes) EXPECT_EQ(change.sequence, ++expected);
        const unsigned call = calls_++ % 4;
        if (call == 1) return fail(ErrorCode::unreachable, "not taken");
        if (call == 3) held_.resize(held_.size() - std::min<std::size_t>(held_.size(), 55));
        if (held_.size() < after) return fail(ErrorCode::changed, "gone back");
        for (const ledger::Change& change : changes)
            if (change.sequence > held_.size()) held_.push_back(change.sequence);
        if (call == 2) return fail(ErrorCode::unreachable, "the answer is lost");
        return {};
    }
    const std::vector<Sequence>& held() const { return held_; }

private:
    std::vector<Sequence> held_;
    unsigned calls_ = 0;
};

bool wait_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + k_soon;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(10ms);
    }
    return true;
}

struct Told {
    std::mutex mutex;
    std::vector<Error> errors;
    std::function<void(const Error&)> function() {
        return [this](const Error& error) {
            const std::lock_guard lock(mutex);
            errors.push_back(error);
        };
    }
    std::vector<Error> all() {
        const std::lock_guard lock(mutex);
        return errors;
    }
};

SinkProfile quick(SinkProfile profile) {
    profile.every = 20ms;
    profile.later = 50ms;
    return profile;
}

class ProjectionTest : public ::testing::Test {
protected:
    ProjectionTest()
        : folder_(*os::TempFolder::create("hf-projection")),
          duckdb_({folder_.path() + "/trades.duckdb", "demo-1", "journal-1"}, clock_) {
        tape_.write([](History& history) { history.orders(1, 60); });
    }
    std::string one(const std::string& sql) {
        const auto rows = duckdb_.query(sql);
        return !rows ? rows.error().message : rows->rows.empty() ? "" : rows->rows[0][0].value_or("NULL");
    }

    os::SystemClock clock_;
    os::TempFolder folder_;
    Tape tape_;
    Told told_;
    DuckDbSink duckdb_;
};

TEST_F(ProjectionTest, FollowsTheJournalAndConfirmsWithoutChasingItsOwnConfirmations) {
    ProjectionOptions options{SinkProfile::duckdb(), {}, {}, nullptr};
    options.confirmed = [&](Sequence sequence) {
        tape_.write([&](History& history) { history.note(ledger::SinkConfirmed{ledger::Sink::duckdb, sequence}); });
    };
    Projection projection(std::make_unique<Borrowed>(duckdb_), tape_.source(), clock_, std::move(options));
    ASSERT_TRUE(projection.wait_for(270, k_soon)) << projection.status().error;
    Sequence last = 0;
    tape_.write([&](History& history) {
        history.orders(100, 1);
        last = history.last();
    });
    ASSERT_TRUE(projection.wait_for(last, k_soon)) << projection.status().error;
    EXPECT_EQ(one("SELECT count(*) FROM orders"), "61");
    EXPECT_EQ(projection.status().state, SinkState::following);
    // Two batches and the first look were confirmed; those three facts ask for nothing.
    std::this_thread::sleep_for(1200ms);
    EXPECT_LE(projection.status().batches, 3u);
    EXPECT_LE(projection.status().backlog, 4u);
}

TEST_F(ProjectionTest, CatchesUpByWholeBatchesThoughTheStoreFailsAndGoesBack) {
    // Requirement: DD-09
    tape_.write([](History& history) { history.orders(100, 100); });
    SinkProfile profile = SinkProfile::ea();
    profile.rows_min = 1;
    profile.every = profile.later = 1ms;
    Balky store;
    {
        Projection projection(std::make_unique<Borrowed>(store), tape_.source(), clock_, {profile, {}, {}, nullptr});
        ASSERT_TRUE(projection.wait_for(tape_.last(), k_soon)) << projection.status().error;
    }
    std::vector<Sequence> all(tape_.last());
    std::iota(all.begin(), all.end(), Sequence{1});
    EXPECT_EQ(store.held(), all);
}

TEST_F(ProjectionTest, Mt5SuspendsAfterItsAttemptsAndHoldsUpNobodyElse) {
    // Requirement: MT-12, EA-04, DD-09
    auto engine = testing::ClickHouseEngine::start(testing::ClickHouseGeneration::v18, HF_BIN_DIR "/hf-chdb-front");
    ASSERT_TRUE(engine) << engine.error().message;
    engine->kill();
    ClickHouseSinkOptions clickhouse;
    clickhouse.server.url = engine->url();
    clickhouse.account = "demo-1";
    clickhouse.journal = "journal-1";
    Projection history(std::make_unique<Borrowed>(duckdb_), tape_.source(), clock_,
                       {SinkProfile::duckdb(), {}, {}, nullptr});
    Projection remote(std::make_unique<ClickHouseSink>(std::move(clickhouse), clock_), tape_.source(), clock_,
                      {quick(SinkProfile::mt5()), told_.function(), {}, &duckdb_});
    ASSERT_TRUE(wait_until([&] { return remote.status().state == SinkState::suspended; }));
    EXPECT_EQ(remote.status().attempts, 5u);
    EXPECT_NE(remote.status().error, "");
    ASSERT_TRUE(wait_until([&] { return told_.all().size() == 1; }));
    ASSERT_TRUE(wait_until([&] { return one("SELECT count(*) FROM failed_syncs WHERE kind = 'batch'") == "1"; }));
    ASSERT_TRUE(history.wait_for(tape_.last(), k_soon)) << "DuckDB waits for ClickHouse";

    ASSERT_TRUE(engine->restart());
    tape_.write([](History& more) { more.orders(100, 10); });
    std::this_thread::sleep_for(200ms);
    EXPECT_EQ(remote.status().state, SinkState::suspended) << "only a person ends it";
    remote.resume();
    ASSERT_TRUE(remote.wait_for(tape_.last(), k_soon)) << remote.status().error;
    EXPECT_EQ(remote.status().error, "");
    ASSERT_TRUE(wait_until([&] { return one("SELECT count(*) FROM failed_syncs WHERE kind = 'batch'") == "0"; }));
    ASSERT_TRUE(history.wait_for(tape_.last(), k_soon));
    db::clickhouse::Server server;
    server.url = engine->url();
    auto client = db::clickhouse::Client::connect(std::move(server));
    ASSERT_TRUE(client);
    EXPECT_EQ((*client->rows("SELECT toString(count()) FROM holdfast.executions FINAL"))[0][0],
              one("SELECT count(*) FROM executions"));
}

TEST_F(ProjectionTest, EaGoesOnByItself) {
    // Requirement: HA-09, EA-16
    auto engine = testing::ClickHouseEngine::start(testing::ClickHouseGeneration::v18, HF_BIN_DIR "/hf-chdb-front");
    ASSERT_TRUE(engine) << engine.error().message;
    engine->kill();
    ClickHouseSinkOptions clickhouse;
    clickhouse.server.url = engine->url();
    clickhouse.account = "demo-1";
    clickhouse.journal = "journal-1";
    Projection remote(std::make_unique<ClickHouseSink>(std::move(clickhouse), clock_), tape_.source(), clock_,
                      {quick(SinkProfile::ea()), told_.function(), {}, &duckdb_});
    ASSERT_TRUE(wait_until([&] { return remote.status().attempts > 5; }));
    EXPECT_EQ(remote.status().state, SinkState::retrying);
    EXPECT_EQ(told_.all().size(), 1u) << "told once, not at each attempt";
    ASSERT_TRUE(engine->restart());
    ASSERT_TRUE(remote.wait_for(tape_.last(), k_soon)) << remote.status().error;
    ASSERT_TRUE(wait_until([&] { return duckdb_.all()->empty(); }));
}

TEST_F(ProjectionTest, ARedisThatLostEverythingIsFilledAgain) {
    // Requirement: MT-07, HA-04
    auto server = testing::RedisServer::start();
    ASSERT_TRUE(server);
    RedisPlace place;
    place.login.port = server->port();
    Projection projection(
        std::make_unique<RedisSink>(RedisLink(std::move(place)), RedisSinkOptions{"demo-1", "journal-1", 3}),
        tape_.source(), clock_, {quick(SinkProfile::redis()), told_.function(), {}, nullptr});
    ASSERT_TRUE(projection.wait_for(tape_.last(), k_soon)) << projection.status().error;
    const auto keys = server->talk({{"DBSIZE"}});
    for (int round = 0; round < 3; ++round) {
        server->kill();    // without persistence: all is gone
        ASSERT_TRUE(server->restart());
        tape_.write([&](History& history) {
            history.accept(1000 + static_cast<std::uint64_t>(round));
            history.note(
                ledger::OrderClosed{test_id(1000 + static_cast<std::uint64_t>(round)), ledger::OrderState::failed, ""});
        });
        ASSERT_TRUE(wait_until([&] {
            const auto mark = server->talk({{"GET", "hf:{demo-1}:mark:journal-1"}});
            return mark && mark->find(std::to_string(tape_.last()) + "\r\n") != std::string::npos;
        })) << projection.status().error;
        EXPECT_EQ(server->talk({{"DBSIZE"}}).value_or("?"), keys.value_or("!"));
    }
}

TEST_F(ProjectionTest, ARedisThatLostEverythingGetsAllOpenOrdersAlsoFromAReleasedJournal) {
    // Requirement: MT-07, HA-04
    Journal::Options options;
    options.log.account = "demo-1";
    options.log.segment_size = 16 * 1024;
    options.log.zero_ahead = 4096;
    auto journal = Journal::open(folder_.path() + "/journal", std::move(options)).value();
    History history;
    history.note(ledger::SessionStarted{"a", 3, true});
    history.orders(1, 150);
    ledger::State state;
    for (const ledger::Change& change : history.changes()) {
        Bytes payload, snapshot;
        ledger::append_fact(payload, change.fact);
        ASSERT_TRUE(journal->append(payload));
        state.apply(change.sequence, change.fact);
        if (change.sequence % 100 != 0) continue;
        journal->commit();
        ASSERT_TRUE(journal->wait(change.sequence, k_soon).value());
        state.append_snapshot(snapshot);
        ASSERT_TRUE(journal->save_snapshot(change.sequence, snapshot));
    }
    journal->commit();
    ASSERT_TRUE(journal->wait(history.last(), k_soon).value());
    ASSERT_TRUE(journal->release(history.last()));

    auto server = testing::RedisServer::start();
    ASSERT_TRUE(server);
    RedisPlace place;
    place.login.port = server->port();
    Projection projection(std::make_unique<RedisSink>(RedisLink(std::move(place)),
                                                      RedisSinkOptions{"demo-1", journal->identity().uuid, 3}),
                          journal_changes(*journal), clock_,
                          {quick(SinkProfile::redis()), told_.function(), {}, nullptr});
    ASSERT_TRUE(projection.wait_for(history.last(), k_soon)) << projection.status().error;
    EXPECT_EQ(projection.status().hole_first, 1u);
    ASSERT_EQ(told_.all().size(), 1u) << "results before are gone, and that is said";
    ASSERT_GT(history.book().open().size(), 20u);
    for (const auto& [id, order] : history.book().open()) {
        const auto filled = server->talk({{"HMGET", "hf:{demo-1}:rts:" + id.text(), "state", "filled"}});
        ASSERT_TRUE(filled);
        EXPECT_NE(filled->find(std::string(name_of(order.state))), std::string::npos) << id.text() << ": " << *filled;
        EXPECT_NE(filled->find(order.filled.text()), std::string::npos) << *filled;
    }
}

TEST_F(ProjectionTest, AStoreThatIsAheadOfTheJournalIsNotTouched) {
    // Requirement: HA-05
    {
        History other;
        other.orders(1, 200);
        ASSERT_TRUE(duckdb_.apply(0, other.part(0, other.last())));
    }
    const std::string before = one("SELECT sequence FROM watermark");
    Projection projection(std::make_unique<Borrowed>(duckdb_), tape_.source(), clock_,
                          {SinkProfile::mt5(), told_.function(), {}, nullptr});
    ASSERT_TRUE(wait_until([&] { return projection.status().state == SinkState::suspended; }));
    ASSERT_TRUE(wait_until([&] { return told_.all().size() == 1; }));
    EXPECT_EQ(told_.all()[0].code, ErrorCode::mismatch);
    EXPECT_EQ(one("SELECT sequence FROM watermark"), before);
}

TEST_F(ProjectionTest, WhatTheJournalNoLongerHoldsIsToldAndTheRestIsWritten) {
    Sequence last = tape_.last();
    tape_.release_before(100);
    Projection projection(std::make_unique<Borrowed>(duckdb_), tape_.source(), clock_,
                          {SinkProfile::duckdb(), told_.function(), {}, nullptr});
    ASSERT_TRUE(projection.wait_for(last, k_soon)) << projection.status().error;
    EXPECT_EQ(projection.status().hole_first, 1u);
    EXPECT_EQ(projection.status().hole_last, 99u);
    ASSERT_EQ(told_.all().size(), 1u);
    EXPECT_EQ(told_.all()[0].code, ErrorCode::incomplete);
}

}    // namespace
}    // namespace holdfast::trade
