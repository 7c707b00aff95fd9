// The rules, one at a time and in microseconds. What they give together: tests/simulation.

#include "holdfast/ledger/engine.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast::ledger {
namespace {

using namespace std::chrono_literals;

Uuid id_of(std::uint64_t n) {
    Uuid id;
    store_le(id.bytes.data() + 8, n);
    return id;
}

class EngineTest : public testing::Test {
protected:
    EngineTest() { restart(); }

    void restart(bool foreign = false) {
        State state;
        Sequence sequence = 0;
        for (const Fact& fact : journal_) state.apply(++sequence, fact);
        engine_.emplace(std::move(state), rules_, "here", foreign, now());
    }
    void open_gate(std::uint64_t token = 1) {
        feed(LeaseChanged{true, token, Instant{} + 1000h, token - 1});
        feed(StoresAgreed{});
        say(ReportKind::link_up);
    }
    Now now() const { return {Timestamp{1'000'000'000'000} + time_, Instant{} + time_}; }

    /// What came of it stands in `output_`.
    void feed(const Input& input) {
        output_.clear();
        engine_->step(input, now(), output_);
        journal_.insert(journal_.end(), output_.facts.begin(), output_.facts.end());
    }
    void say(ReportKind kind, const Uuid& order = {}, std::uint64_t question = 0, Decimal cumulative = {}) {
        Report report;
        report.kind = kind;
        report.order = order;
        report.question = question;
        report.cumulative = cumulative;
        feed(BrokerSaid{report});
    }
    void fill(const Uuid& order, std::string id, std::int64_t quantity) {
        Report report;
        report.kind = ReportKind::executed;
        report.order = order;
        report.execution.id = std::move(id);
        report.execution.quantity = Decimal::whole(quantity);
        report.execution.price = Decimal::whole(1);
        feed(BrokerSaid{report});
    }
    void pass(Duration time) {
        const Duration until = time_ + time;
        Output all;
        while (const auto at = engine_->next_wake()) {
            if (*at > Instant{} + until) break;
            time_ = std::max(time_, *at - Instant{});
            feed(TimePassed{});
            all.facts.insert(all.facts.end(), output_.facts.begin(), output_.facts.end());
            all.actions.insert(all.actions.end(), output_.actions.begin(), output_.actions.end());
        }
        time_ = until;
        output_ = all;
    }
    Signal signal(std::uint64_t n) const {
        Signal signal;
        signal.id = id_of(n);
        signal.symbol = "EURUSD";
        signal.quantity = Decimal::whole(10);
        return signal;
    }
    void arrive(std::uint64_t n) { feed(SignalArrived{signal(n), n}); }
    void hand_over(std::uint64_t n, bool sent = true) {
        feed(HandedOver{id_of(n), order(n)->attempts, sent, "no link"});
    }

    template <class T>
    std::vector<T> actions() const {
        std::vector<T> found;
        for (const Action& action : output_.actions)
            if (const T* one = std::get_if<T>(&action)) found.push_back(*one);
        return found;
    }
    const Order* order(std::uint64_t n) const { return engine_->state().book().find(id_of(n)); }
    OrderState closed(std::uint64_t n) const { return engine_->state().remembered().find_order(id_of(n))->state; }

    Rules rules_;
    Duration time_{};
    std::vector<Fact> journal_;
    std::optional<Engine> engine_;
    Output output_;
};

TEST_F(EngineTest, TheIntentIsNotedWithTheSending) {
    open_gate();
    arrive(1);
    ASSERT_EQ(output_.facts.size(), 2u);
    EXPECT_EQ(kind_of(output_.facts[0]), "signal_accepted");
    EXPECT_EQ(kind_of(output_.facts[1]), "order_intended");
    ASSERT_EQ(actions<Answer>().size(), 1u);
    EXPECT_EQ(actions<Answer>()[0].verdict, Verdict::accepted);
    ASSERT_EQ(actions<Send>().size(), 1u);
    EXPECT_EQ(actions<Send>()[0].order.id, id_of(1));
}

// Requirement: MT-07.
TEST_F(EngineTest, TheSameUuidIsAnsweredWithTheFirstOutcomeAndSentOnce) {
    open_gate();
    arrive(1);
    arrive(1);
    EXPECT_TRUE(output_.facts.empty());
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(actions<Answer>()[0].verdict, Verdict::duplicate);
    fill(id_of(1), "E1", 10);
    restart();
    open_gate();
    arrive(1);
    EXPECT_TRUE(actions<Send>().empty());
    ASSERT_EQ(actions<Answer>()[0].verdict, Verdict::duplicate);
    EXPECT_EQ(actions<Answer>()[0].order->state, OrderState::filled);
    EXPECT_EQ(actions<Answer>()[0].order->filled, Decimal::whole(10));
}

TEST_F(EngineTest, EachBarAloneKeepsTheGateClosed) {
    const auto closed = [&](Bar bar) { return engine_->bars() == static_cast<unsigned>(bar); };
    open_gate();
    EXPECT_EQ(engine_->bars(), 0u);
    say(ReportKind::link_down);
    EXPECT_TRUE(closed(Bar::link));
    say(ReportKind::link_up);
    feed(SwitchTurned{false, "ann"});
    EXPECT_TRUE(closed(Bar::paused));
    arrive(1);
    EXPECT_EQ(actions<Answer>()[0].verdict, Verdict::accepted);
    EXPECT_TRUE(actions<Send>().empty());
    feed(SwitchTurned{true, "ann"});
    EXPECT_EQ(actions<Send>().size(), 1u);    // what waited goes as soon as it may
    feed(LeaseChanged{false, 0, {}});
    EXPECT_TRUE(closed(Bar::lease));
    arrive(2);
    EXPECT_EQ(actions<Answer>()[0].verdict, Verdict::unavailable);
}

// Requirement: NS-21.
TEST_F(EngineTest, PausedIsRememberedOverARestartAndExecutionsFlowMeanwhile) {
    open_gate();
    arrive(1);
    hand_over(1);
    feed(SwitchTurned{false, "ann"});
    fill(id_of(1), "E1", 4);
    EXPECT_EQ(order(1)->filled, Decimal::whole(4));
    restart();
    open_gate();
    EXPECT_EQ(engine_->bars() & static_cast<unsigned>(Bar::paused), static_cast<unsigned>(Bar::paused));
}

TEST_F(EngineTest, ALeaseThatEndsClosesTheGateWithoutAWord) {
    feed(StoresAgreed{});
    say(ReportKind::link_up);
    feed(LeaseChanged{true, 1, Instant{} + 10s});
    EXPECT_EQ(engine_->bars(), 0u);
    time_ = 10s;
    arrive(1);
    EXPECT_EQ(actions<Answer>()[0].verdict, Verdict::unavailable);
}

TEST_F(EngineTest, AChangedTradeIsSaidToPeopleAndChangesNothing) {
    open_gate();
    arrive(1);
    hand_over(1);
    const std::size_t facts = journal_.size();
    Report report;
    report.kind = ReportKind::changed;
    report.order = id_of(1);
    report.text = "corrected";
    feed(BrokerSaid{report});
    ASSERT_EQ(actions<Notify>().size(), 1u);
    EXPECT_EQ(actions<Notify>()[0].severity, Severity::error);
    EXPECT_EQ(actions<Notify>()[0].text, "corrected");
    EXPECT_EQ(journal_.size(), facts);
}

TEST_F(EngineTest, SilenceLeadsToAQuestionAndNeverToASecondSending) {
    open_gate();
    arrive(1);
    hand_over(1);
    pass(10min);
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_GT(actions<Ask>().size(), 5u);
}

TEST_F(EngineTest, OnlyTheAnswerToAQuestionAfterTheLastSendingPermitsAnother) {
    open_gate();
    arrive(1);
    hand_over(1);
    pass(5s);
    const auto first = actions<Ask>();
    ASSERT_EQ(first.size(), 1u);
    pass(2s);
    const auto second = actions<Ask>();
    ASSERT_EQ(second.size(), 1u);
    say(ReportKind::unknown, id_of(1), first[0].question);    // old
    EXPECT_TRUE(output_.facts.empty());
    say(ReportKind::unknown, id_of(1), second[0].question);
    ASSERT_EQ(output_.facts.size(), 1u);
    EXPECT_EQ(kind_of(output_.facts[0]), "attempt_failed");
    pass(1s);
    ASSERT_EQ(actions<Send>().size(), 1u);
    hand_over(1);
    say(ReportKind::unknown, id_of(1), second[0].question);    // the same answer once more
    EXPECT_TRUE(output_.facts.empty());
}

TEST_F(EngineTest, AfterARestartWhatMayBeAtTheBrokerIsAskedForBeforeTheGateOpens) {
    open_gate();
    arrive(1);    // intended; whether it left is not known
    restart();
    open_gate();
    ASSERT_EQ(actions<Ask>().size(), 1u);
    const std::uint64_t question = actions<Ask>()[0].question;
    EXPECT_EQ(engine_->bars(), static_cast<unsigned>(Bar::in_doubt));
    arrive(2);
    EXPECT_TRUE(actions<Send>().empty());
    say(ReportKind::unknown, id_of(1), question);
    EXPECT_EQ(engine_->bars(), 0u);
    ASSERT_EQ(actions<Send>().size(), 1u);    // the one that waited
    EXPECT_EQ(actions<Send>()[0].order.id, id_of(2));
}

// Requirement: HA-03.
TEST_F(EngineTest, RetriesAfter1_2_4_8_16SecondsThenEveryMinute) {
    open_gate();
    arrive(1);
    hand_over(1, false);
    for (const Duration wait : {1s, 2s, 4s, 8s, 16s}) {
        pass(wait - 1ms);
        EXPECT_TRUE(actions<Send>().empty());
        pass(1ms);
        ASSERT_EQ(actions<Send>().size(), 1u);
        hand_over(1, false);
    }
    EXPECT_TRUE(order(1)->parked);
    ASSERT_EQ(actions<Notify>().size(), 1u);
    for (int i = 0; i < 3; ++i) {
        pass(59s);
        EXPECT_TRUE(actions<Send>().empty());
        pass(1s);
        ASSERT_EQ(actions<Send>().size(), 1u);
        hand_over(1, false);
        EXPECT_TRUE(actions<Notify>().empty());    // said once
    }
}

TEST_F(EngineTest, NoAttemptBeginsAfterTheDeadline) {
    open_gate();
    Signal late = signal(1);
    late.deadline = now().wall + 2s;
    feed(SignalArrived{late, 1});
    hand_over(1, false);
    pass(1s);
    ASSERT_EQ(actions<Send>().size(), 1u);
    hand_over(1, false);    // the next would be at 3 s
    pass(10s);
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(closed(1), OrderState::failed);
}

// Requirement: MT-10.
TEST_F(EngineTest, ASignalThatWasNotBegunIn30SecondsExpiresAndIsNeverSent) {
    feed(LeaseChanged{true, 1, Instant{} + 1000h});
    arrive(1);
    pass(29s);
    EXPECT_NE(order(1), nullptr);
    pass(2s);
    EXPECT_EQ(closed(1), OrderState::expired);
    open_gate();
    EXPECT_TRUE(actions<Send>().empty());
    // One that is old already when it comes, too: it is recorded.
    Signal old = signal(2);
    old.created_at = now().wall - 31s;
    feed(SignalArrived{old, 2});
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(closed(2), OrderState::expired);
}

TEST_F(EngineTest, ARejectionIsFinal) {
    open_gate();
    arrive(1);
    hand_over(1);
    say(ReportKind::rejected, id_of(1));
    EXPECT_EQ(closed(1), OrderState::rejected);
    pass(1h);
    EXPECT_TRUE(actions<Send>().empty());
}

TEST_F(EngineTest, AnExecutionCountsOnceHoweverOftenItIsReported) {
    open_gate();
    arrive(1);
    fill(id_of(1), "E1", 4);
    fill(id_of(1), "E1", 4);
    EXPECT_TRUE(output_.facts.empty());
    restart();
    open_gate();
    fill(id_of(1), "E1", 4);
    EXPECT_TRUE(output_.facts.empty());
    EXPECT_EQ(order(1)->filled, Decimal::whole(4));
    fill(id_of(1), "E2", 6);
    EXPECT_EQ(closed(1), OrderState::filled);
    fill(id_of(1), "E2", 6);    // and after it was closed
    EXPECT_TRUE(output_.facts.empty());
}

// Requirement: MT-08.
TEST_F(EngineTest, TheRemainderOfAnOrderThatTheBrokerClosedGoesOnAsAChild) {
    open_gate();
    arrive(1);
    hand_over(1);
    fill(id_of(1), "E1", 4);
    // Not while an execution is still on its way: the remainder would be too large.
    say(ReportKind::cancelled, id_of(1), 0, Decimal::whole(7));
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(actions<Ask>().size(), 1u);
    fill(id_of(1), "E2", 3);
    say(ReportKind::cancelled, id_of(1), 0, Decimal::whole(7));
    ASSERT_EQ(actions<Send>().size(), 1u);
    EXPECT_EQ(actions<Send>()[0].order.id, child_id(id_of(1), 1));
    EXPECT_EQ(actions<Send>()[0].order.quantity, Decimal::whole(3));
    // The crash that tears off the second of its two facts makes no second child.
    ASSERT_EQ(kind_of(journal_.back()), "order_closed");
    journal_.pop_back();
    restart();
    open_gate();
    say(ReportKind::acked, child_id(id_of(1), 1));
    say(ReportKind::cancelled, id_of(1), 0, Decimal::whole(7));
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(order(1), nullptr);
}

TEST_F(EngineTest, WhatTheUserCancelledHasNoChild) {
    open_gate();
    arrive(1);
    hand_over(1);
    say(ReportKind::acked, id_of(1));
    feed(CancelAsked{id_of(1), 5});
    EXPECT_EQ(actions<Cancel>().size(), 1u);
    fill(id_of(1), "E1", 4);
    say(ReportKind::cancelled, id_of(1), 0, Decimal::whole(4));
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(closed(1), OrderState::cancelled);
}

TEST_F(EngineTest, AfterOthersTradedEverySignalIsAskedForFirst) {
    restart(true);
    open_gate(4);
    arrive(1);
    EXPECT_TRUE(actions<Send>().empty());
    ASSERT_EQ(actions<Ask>().size(), 1u);
    say(ReportKind::unknown, id_of(1), actions<Ask>()[0].question);
    EXPECT_EQ(actions<Send>().size(), 1u);
    // One that the other instance had sent: it is taken over and not sent again.
    arrive(2);
    say(ReportKind::acked, id_of(2));
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(order(2)->state, OrderState::acked);
}

// Requirement: HA-05.
TEST_F(EngineTest, ATokenBeforeOursThatIsNotTheJournalsTellsThatOthersTraded) {
    const auto held = [](std::uint64_t token, std::optional<std::uint64_t> previous) {
        return LeaseChanged{true, token, Instant{} + 1000h, previous};
    };
    open_gate(1);
    feed(LeaseChanged{false, 0, {}});
    feed(held(700, 1));    // tokens are a clock's: they need not follow each other
    arrive(1);
    EXPECT_EQ(actions<Send>().size(), 1u);
    restart();
    feed(held(900, 700));
    EXPECT_EQ(engine_->state().foreign_until(), Timestamp{});
    feed(LeaseChanged{false, 0, {}});
    feed(held(1000, std::nullopt));    // the store cannot tell
    EXPECT_NE(engine_->state().foreign_until(), Timestamp{});
}

// Requirement: MT-15. Once for each session in which they were due.
TEST_F(EngineTest, ThatTheStoresHaveToldIsAFact) {
    const auto asked = [&] {
        return std::ranges::count_if(journal_,
                                     [](const Fact& fact) { return std::holds_alternative<StoresAsked>(fact.data); });
    };
    open_gate(1);
    feed(StoresTold{1});
    EXPECT_EQ(asked(), 0);
    feed(LeaseChanged{false, 0, {}});
    feed(LeaseChanged{true, 4, Instant{} + 1000h, 3});
    feed(StoresTold{1});
    EXPECT_EQ(asked(), 0);
    feed(StoresTold{4});
    feed(StoresTold{4});
    EXPECT_EQ(asked(), 1);
}

// Requirement: HA-05.
TEST_F(EngineTest, AfterAnotherHolderEverySignalIsAskedForFirst) {
    open_gate(1);
    feed(LeaseChanged{false, 0, {}});
    feed(LeaseChanged{true, 4, Instant{} + 1000h, 3});
    arrive(2);
    EXPECT_TRUE(actions<Send>().empty());
    EXPECT_EQ(actions<Ask>().size(), 1u);
}

// Requirement: HA-04.
TEST_F(EngineTest, AStoreThatWentBackIsNotedAndConfirmationsCallForNoMore) {
    open_gate();
    arrive(1);
    const Sequence last = engine_->state().sequence();
    feed(SinkAdvanced{Sink::redis, last});
    EXPECT_EQ(engine_->state().confirmed(Sink::redis), last);
    feed(SinkAdvanced{Sink::redis, last + 1});    // that it has the confirmation itself
    EXPECT_TRUE(output_.facts.empty());
    feed(SinkAdvanced{Sink::redis, 0});
    EXPECT_EQ(engine_->state().confirmed(Sink::redis), 0u);
    restart();
    EXPECT_EQ(engine_->state().confirmed(Sink::redis), 0u);
    feed(SinkAdvanced{Sink::redis, last});
    EXPECT_EQ(engine_->state().confirmed(Sink::redis), last);
}

// Requirement: MT-09.
TEST_F(EngineTest, PendingTradesCanBeDropped) {
    open_gate();
    say(ReportKind::link_down);
    arrive(1);
    feed(DropPending{"the broker does not answer"});
    EXPECT_EQ(closed(1), OrderState::failed);
}

TEST_F(EngineTest, TooManyOpenOrdersAreNotTakenOver) {
    rules_.open_max = 2;
    restart();
    open_gate();
    arrive(1);
    arrive(2);
    arrive(3);
    EXPECT_EQ(actions<Answer>()[0].verdict, Verdict::unavailable);
    EXPECT_TRUE(output_.facts.empty());
}

}    // namespace
}    // namespace holdfast::ledger
