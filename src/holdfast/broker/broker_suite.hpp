#pragma once
// What every way to a broker must do. An adapter instantiates it with a maker of its stand: a real broker (or one that
// plays it well) whose market and line the test holds in its hand.

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/broker/broker.hpp"

namespace holdfast::broker {

/// A broker to be tested against. It trades EURUSD and rejects the symbol NONE; a market order waits for a tick.
class BrokerStand {
public:
    virtual ~BrokerStand() = default;
    /// A new adapter for the same account, as after a restart of the engine (the one before has been stopped).
    virtual std::unique_ptr<Broker> adapter() = 0;
    /// `size`: what can be traded on it; empty: all that is wanted.
    virtual void tick(const std::string& bid, const std::string& ask, const std::string& size) = 0;
    virtual void cut() = 0;    // the line breaks; a new one may be made at once
    virtual void shut(bool on) = 0;    // while on, there is no line and none can be made
    virtual void restart() = 0;    // kill -9 of the broker, and a new one with the same book
    virtual void repeat(bool on) = 0;    // while on, every report comes twice
};

struct StandMaker {
    std::string name;
    std::function<std::unique_ptr<BrokerStand>()> make;
    friend void PrintTo(const StandMaker& maker, std::ostream* to) { *to << maker.name; }
};

/// Keeps what an adapter says, and waits for it.
class Heard {
public:
    ReportSink sink() {
        return [this](Report report) {
            const std::scoped_lock lock(mutex_);
            reports_.push_back(std::move(report));
            changed_.notify_all();
        };
    }
    /// The first report from `begin` on that fits; nothing after `at_most`.
    std::optional<Report> wait(const std::function<bool(const Report&)>& fits, std::size_t begin = 0,
                               Duration at_most = std::chrono::minutes(1)) {
        std::unique_lock lock(mutex_);
        std::optional<Report> found;
        changed_.wait_for(lock, at_most, [&] {
            for (; begin < reports_.size(); ++begin)
                if (fits(reports_[begin])) {
                    found = reports_[begin];
                    return true;
                }
            return false;
        });
        return found;
    }
    std::optional<Report> wait(ReportKind kind, const Uuid& order, std::size_t begin = 0) {
        return wait([&](const Report& r) { return r.kind == kind && r.order == order; }, begin);
    }
    /// Until the newest word about the link is that it is up.
    bool wait_linked() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::minutes(1), [this] {
            for (auto report = reports_.rbegin(); report != reports_.rend(); ++report) {
                if (report->kind == ReportKind::link_up) return true;
                if (report->kind == ReportKind::link_down) return false;
            }
            return false;
        });
    }
    /// Until the executions of `order`, each ID once, add up to `quantity`.
    bool wait_filled(const Uuid& order, const std::string& quantity) {
        const Decimal wanted = Decimal::parse(quantity).value();
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::minutes(1), [&] { return filled_of(order) >= wanted; }) &&
               filled_of(order) == wanted;
    }
    std::size_t size() {
        const std::scoped_lock lock(mutex_);
        return reports_.size();
    }
    std::vector<Report> all() {
        const std::scoped_lock lock(mutex_);
        return reports_;
    }

private:
    Decimal filled_of(const Uuid& order) {
        std::set<std::string> ids;
        Decimal sum;
        for (const Report& report : reports_)
            if (report.kind == ReportKind::executed && report.order == order && ids.insert(report.execution.id).second)
                sum += report.execution.quantity;
        return sum;
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Report> reports_;
};

class BrokerSuite : public ::testing::TestWithParam<StandMaker> {
protected:
    void SetUp() override {
        stand_ = GetParam().make();
        ASSERT_NE(stand_, nullptr);
        connect();
    }
    void TearDown() override {
        if (broker_) broker_->stop();
    }
    void connect() {
        const std::size_t begin = heard_.size();
        broker_ = stand_->adapter();
        ASSERT_NE(broker_, nullptr);
        const Status started = broker_->start(heard_.sink());
        ASSERT_TRUE(started) << started.error().message;
        ASSERT_TRUE(up(begin));
    }
    /// As an engine that is killed and started again.
    void reconnect() {
        broker_->stop();
        broker_.reset();
        connect();
    }
    bool up(std::size_t begin) {
        return heard_.wait([](const Report& r) { return r.kind == ReportKind::link_up; }, begin).has_value();
    }
    bool down(std::size_t begin) {
        return heard_.wait([](const Report& r) { return r.kind == ReportKind::link_down; }, begin).has_value();
    }
    /// Nothing of an earlier test lives on: IDs are new each time.
    static ledger::Order order(const std::string& quantity, const std::string& limit = {}) {
        static std::atomic<std::uint32_t> number = 0;
        const auto now = std::chrono::system_clock::now().time_since_epoch().count();
        ledger::Order order;
        order.id.bytes[0] = std::byte{1};
        store_le(order.id.bytes.data() + 2, static_cast<std::int64_t>(now));
        store_le(order.id.bytes.data() + 12, ++number);
        order.signal = order.id;
        order.symbol = "EURUSD";
        order.quantity = Decimal::parse(quantity).value();
        if (!limit.empty()) {
            order.type = ledger::OrderType::limit;
            order.price = Decimal::parse(limit).value();
        }
        return order;
    }
    /// What is said of `id` from `begin` on up to the state (or the last execution) that ends the answer to a query.
    std::vector<Report> answer_to(const ledger::Order& of, ReportKind state) {
        const auto [begin, said] = ask(of, {state});
        EXPECT_TRUE(said) << "no answer";
        std::vector<Report> all = heard_.all();
        all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(begin));
        std::erase_if(all, [&](const Report& r) { return r.order != of.id; });
        return all;
    }
    /// Puts a question until one of `kinds` is said of the order, from the index that is returned on. Put again only when the line
    /// broke after it: else each question has its answer.
    std::pair<std::size_t, std::optional<Report>> ask(const ledger::Order& of, const std::set<ReportKind>& kinds) {
        for (;;) {
            if (!heard_.wait_linked()) return {0, std::nullopt};
            const std::size_t begin = heard_.size();
            if (!broker_->query(of, ++question_)) continue;
            auto said = heard_.wait(
                [&](const Report& r) {
                    return r.kind == ReportKind::link_down || (r.order == of.id && kinds.contains(r.kind));
                },
                begin);
            if (!said || said->kind != ReportKind::link_down) return {begin, std::move(said)};
        }
    }

    std::unique_ptr<BrokerStand> stand_;
    Heard heard_;
    std::unique_ptr<Broker> broker_;
    std::uint64_t question_ = 100;
};

// Requirement: EA-16 (the whole suite)
TEST_P(BrokerSuite, FillsAMarketOrderOnTheNextTick) {
    const ledger::Order one = order("2.5");
    ASSERT_TRUE(broker_->send(one));
    const auto acked = heard_.wait(ReportKind::acked, one.id);
    ASSERT_TRUE(acked);
    EXPECT_FALSE(acked->broker_id.empty());
    stand_->tick("1.0999", "1.1001", "");
    const auto executed = heard_.wait(ReportKind::executed, one.id);
    ASSERT_TRUE(executed);
    EXPECT_EQ(executed->execution.quantity.text(), "2.5");
    EXPECT_EQ(executed->execution.price.text(), "1.1001");
    EXPECT_EQ(executed->execution.order, one.id);
    EXPECT_EQ(executed->execution.symbol, "EURUSD");
    EXPECT_EQ(executed->execution.side, ledger::Side::buy);
    EXPECT_FALSE(executed->execution.id.empty());
    EXPECT_LE(executed->execution.id.size(), 64u);
    EXPECT_GT(executed->execution.executed_at.nanoseconds, 0);
}

TEST_P(BrokerSuite, SaysEachPieceOfAPartialFillUnderItsOwnName) {
    const ledger::Order one = order("10", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    for (int i = 0; i < 3; ++i) stand_->tick("1.0999", "1.1001", "4");
    EXPECT_TRUE(heard_.wait_filled(one.id, "10"));
    std::set<std::string> ids;
    for (const Report& report : heard_.all())
        if (report.kind == ReportKind::executed) ids.insert(report.execution.id);
    EXPECT_EQ(ids.size(), 3u);
}

TEST_P(BrokerSuite, SaysThatAnOrderIsRejected) {
    ledger::Order one = order("1");
    one.symbol = "NONE";
    ASSERT_TRUE(broker_->send(one));
    const auto rejected = heard_.wait(ReportKind::rejected, one.id);
    ASSERT_TRUE(rejected);
    EXPECT_NE(rejected->text, "");
    EXPECT_EQ(answer_to(one, ReportKind::rejected).size(), 1u);
}

TEST_P(BrokerSuite, CancelsWhatIsLeftAndSaysHowMuchWasFilled) {
    const ledger::Order one = order("10", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    stand_->tick("1.0999", "1.1001", "4");
    ASSERT_TRUE(heard_.wait(ReportKind::executed, one.id));
    ASSERT_TRUE(broker_->cancel(one));
    const auto cancelled = heard_.wait(ReportKind::cancelled, one.id);
    ASSERT_TRUE(cancelled);
    EXPECT_EQ(cancelled->cumulative.text(), "4");
    const auto again = answer_to(one, ReportKind::cancelled);
    EXPECT_EQ(again.back().cumulative.text(), "4");
}

TEST_P(BrokerSuite, RefusesToCancelWhatIsFilledOrNotThere) {
    const ledger::Order filled = order("1"), never = order("1");
    ASSERT_TRUE(broker_->send(filled));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, filled.id));
    stand_->tick("1.0999", "1.1001", "");
    ASSERT_TRUE(heard_.wait(ReportKind::executed, filled.id));
    ASSERT_TRUE(broker_->cancel(filled));
    EXPECT_TRUE(heard_.wait(ReportKind::cancel_refused, filled.id));
    ASSERT_TRUE(broker_->cancel(never));
    EXPECT_TRUE(heard_.wait(ReportKind::cancel_refused, never.id));
}

TEST_P(BrokerSuite, AnswersAQuestionByExecutionsAndState) {
    const ledger::Order never = order("1"), working = order("5", "1.05"), filled = order("1", "1.3");
    const auto unknown = answer_to(never, ReportKind::unknown);
    ASSERT_EQ(unknown.size(), 1u);
    EXPECT_EQ(unknown[0].question, question_);

    ASSERT_TRUE(broker_->send(filled));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, filled.id));
    stand_->tick("1.0999", "1.1001", "");
    ASSERT_TRUE(heard_.wait_filled(filled.id, "1"));
    ASSERT_TRUE(broker_->send(working));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, working.id));
    stand_->tick("1.0399", "1.0401", "2");
    ASSERT_TRUE(heard_.wait_filled(working.id, "2"));

    const auto of_working = answer_to(working, ReportKind::acked);
    EXPECT_TRUE(std::ranges::any_of(of_working, [](const Report& r) { return r.kind == ReportKind::executed; }));
    const auto of_filled = answer_to(filled, ReportKind::executed);
    EXPECT_EQ(of_filled[0].execution.quantity.text(), "1");
}

// Requirement: HA-03
TEST_P(BrokerSuite, TellsAfterAReconnectWhatWasExecutedMeanwhile) {
    const ledger::Order one = order("10", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    stand_->tick("1.0999", "1.1001", "3");
    ASSERT_TRUE(heard_.wait_filled(one.id, "3"));
    std::size_t begin = heard_.size();
    stand_->shut(true);
    ASSERT_TRUE(down(begin));
    EXPECT_FALSE(broker_->send(order("1")));
    EXPECT_FALSE(broker_->query(one, ++question_));
    EXPECT_FALSE(broker_->cancel(one));
    stand_->tick("1.0999", "1.1001", "3");
    begin = heard_.size();
    stand_->shut(false);
    ASSERT_TRUE(up(begin));
    EXPECT_TRUE(heard_.wait_filled(one.id, "6"));
}

TEST_P(BrokerSuite, TellsANewEngineWhatItsPredecessorDidNotHear) {
    const ledger::Order one = order("10", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    stand_->tick("1.0999", "1.1001", "3");
    ASSERT_TRUE(heard_.wait_filled(one.id, "3"));
    broker_->stop();
    stand_->tick("1.0999", "1.1001", "4");
    broker_.reset();
    connect();
    ledger::Order known = one;
    known.filled = Decimal::whole(3);
    answer_to(known, ReportKind::acked);
    EXPECT_TRUE(heard_.wait_filled(one.id, "7"));
}

TEST_P(BrokerSuite, KeepsItsBookWhenItIsKilled) {
    const ledger::Order one = order("10", "1.2"), filled = order("2", "1.3");
    ASSERT_TRUE(broker_->send(filled));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, filled.id));
    stand_->tick("1.0999", "1.1001", "2");
    ASSERT_TRUE(heard_.wait_filled(filled.id, "2"));
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    std::size_t begin = heard_.size();
    stand_->restart();
    ASSERT_TRUE(down(begin));
    ASSERT_TRUE(up(begin));
    answer_to(one, ReportKind::acked);
    stand_->tick("1.0999", "1.1001", "");
    EXPECT_TRUE(heard_.wait_filled(one.id, "10"));
    answer_to(filled, ReportKind::executed);
    EXPECT_TRUE(heard_.wait_filled(filled.id, "2")) << "an execution has got a second name";
}

TEST_P(BrokerSuite, RepeatsAnExecutionUnderTheSameName) {
    stand_->repeat(true);
    const ledger::Order one = order("10", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    stand_->tick("1.0999", "1.1001", "3");
    stand_->tick("1.0999", "1.1001", "7");
    ASSERT_TRUE(heard_.wait_filled(one.id, "10"));
    stand_->repeat(false);
    const auto again = answer_to(one, ReportKind::executed);
    EXPECT_TRUE(heard_.wait_filled(one.id, "10"));
}

// An order on its way when the line breaks: whatever became of it, the answer says it, and `unknown` stays true.
TEST_P(BrokerSuite, IsDefiniteAboutWhatWasSentIntoABreakingLine) {
    std::vector<ledger::Order> sent;
    for (int round = 0; round < 5; ++round) {
        const std::size_t begin = heard_.size();
        for (int i = 0; i < 20; ++i) {
            const ledger::Order one = order("1", "1.2");
            if (broker_->send(one)) sent.push_back(one);
            if (i == 10) stand_->cut();
        }
        ASSERT_TRUE(down(begin));
        ASSERT_TRUE(up(begin));
        // Whoever hears that the line is up may send at once, and is heard.
        const ledger::Order first = order("1", "1.2");
        ASSERT_TRUE(broker_->send(first));
        ASSERT_TRUE(heard_.wait(ReportKind::acked, first.id)) << "the line was said to be up, and this was lost";
    }
    ASSERT_FALSE(sent.empty());
    std::vector<Uuid> unknown;
    for (const ledger::Order& one : sent) {
        const auto said = ask(one, {ReportKind::acked, ReportKind::unknown}).second;
        ASSERT_TRUE(said);
        if (said->kind == ReportKind::unknown) unknown.push_back(one.id);
    }
    // None of those may appear after all.
    reconnect();
    stand_->tick("1.0999", "1.1001", "");
    const ledger::Order last = order("1");
    ASSERT_TRUE(broker_->send(last));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, last.id));
    stand_->tick("1.0999", "1.1001", "");
    ASSERT_TRUE(heard_.wait_filled(last.id, "1"));
    for (const Uuid& id : unknown)
        for (const Report& report : heard_.all())
            EXPECT_FALSE(report.order == id && report.kind != ReportKind::unknown) << "an unknown order came to life";
}

TEST_P(BrokerSuite, AnswersADoubledOrderByTheStateOfTheFirst) {
    const ledger::Order one = order("5", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    const std::size_t begin = heard_.size();
    ASSERT_TRUE(broker_->send(one));
    EXPECT_TRUE(heard_.wait(ReportKind::acked, one.id, begin));
    stand_->tick("1.0999", "1.1001", "");
    EXPECT_TRUE(heard_.wait_filled(one.id, "5"));
    answer_to(one, ReportKind::executed);
    EXPECT_TRUE(heard_.wait_filled(one.id, "5")) << "both were executed";
    for (const Report& report : heard_.all()) EXPECT_NE(report.kind, ReportKind::rejected) << report.text;
}

// As when the lease is lost and comes back. The engine's thread may still have verbs for the session that ends.
TEST_P(BrokerSuite, BeginsAgainAfterAStop) {
    const ledger::Order one = order("5", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    std::atomic<bool> ending = false;
    std::thread engine([&] {
        for (; !ending; std::this_thread::sleep_for(std::chrono::milliseconds(1))) broker_->query(one, 1);
    });
    for (int i = 0; i < 3; ++i) {
        broker_->stop();
        const std::size_t begin = heard_.size();
        const Status started = broker_->start(heard_.sink());
        EXPECT_TRUE(started) << (started ? "" : started.error().message);
        EXPECT_TRUE(up(begin));
    }
    ending = true;
    engine.join();
    const ledger::Order two = order("5", "1.2");
    ASSERT_TRUE(broker_->send(two));
    EXPECT_TRUE(heard_.wait(ReportKind::acked, two.id));
}

TEST_P(BrokerSuite, SaysNothingMoreOnceItHasStopped) {
    const ledger::Order one = order("5", "1.2");
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    broker_->stop();
    const std::size_t size = heard_.size();
    EXPECT_FALSE(broker_->send(order("1")));
    stand_->tick("1.0999", "1.1001", "");
    EXPECT_EQ(heard_.size(), size);
}

}    // namespace holdfast::broker
