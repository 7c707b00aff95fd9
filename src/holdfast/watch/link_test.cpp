#include "holdfast/watch/link.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast::watch {
namespace {

using namespace std::chrono_literals;
using P = LinkPolicy;
using Action = P::Action;

Instant at(Duration since_start) { return Instant{} + since_start; }

std::string text(Duration d) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(d).count());
}
std::string text_of(const Action& action) {
    struct {
        std::string operator()(const P::Connect& a) const { return a.new_session ? "connect anew" : "connect"; }
        std::string operator()(const P::WaitUntil&) const { return "wait"; }
        std::string operator()(const P::Notify& a) const { return "notify " + std::to_string(a.failures); }
        std::string operator()(const P::Restored& a) const { return "restored after " + text(a.down); }
        std::string operator()(const P::Drop&) const { return "drop"; }
        std::string operator()(const P::Restart& a) const { return "restart after " + text(a.down); }
        std::string operator()(const P::Disable& a) const { return "disable " + std::to_string(a.failures); }
    } visitor;
    return std::visit(visitor, action);
}

// Drives a policy as its owner does, on virtual time, and keeps what it said with the time in ms.
struct Owner {
    P policy;
    Instant now{};
    P::Attempt attempt = 0;
    std::vector<std::string> said;

    explicit Owner(LinkRules rules) : policy(rules) {}
    // Until `end`; every attempt fails after `takes` when `reachable` is false, else connects.
    void run(Instant end, bool reachable, Duration takes = 0s) {
        while (now < end) {
            const Action action = policy.next(now);
            if (const auto* wait = std::get_if<P::WaitUntil>(&action)) {
                ASSERT_GT(wait->until, now);
                now = std::min(wait->until, end);
                continue;
            }
            said.push_back(text(now - Instant{}) + " " + text_of(action));
            ASSERT_LT(said.size(), 10'000u);
            if (const auto* connect = std::get_if<P::Connect>(&action)) {
                attempt = connect->attempt;
                now = now + takes;
                if (reachable)
                    policy.connected(attempt, now);
                else
                    policy.failed(attempt, now);
            }
        }
    }
    std::vector<std::string> take() { return std::exchange(said, {}); }
};
using Said = std::vector<std::string>;

LinkRules quiet(LinkRules rules) {
    rules.silence_max = 0s;
    return rules;
}

// Requirement: MT-09
TEST(LinkPolicy, Mt5TriesEach3sNotifiesAt5AndDisablesAt10) {
    Owner owner(quiet(mt5_link()));
    owner.run(at(150s), false);
    EXPECT_EQ(owner.take(),
              (Said{"0 connect", "3000 connect", "6000 connect", "9000 connect", "12000 connect", "12000 notify 5",
                    "15000 connect anew", "18000 connect anew", "21000 connect anew", "24000 connect anew",
                    "27000 connect anew", "27000 disable 10", "87000 connect anew", "147000 connect anew"}));
    EXPECT_TRUE(owner.policy.is_disabled());
    // Only a connection that holds enables it again.
    owner.run(at(208s), true);
    EXPECT_TRUE(owner.policy.is_disabled());
    owner.run(at(240s), true);
    EXPECT_EQ(owner.take(), (Said{"207000 connect anew", "217000 restored after 207000"}));
    EXPECT_FALSE(owner.policy.is_disabled());
    EXPECT_EQ(owner.policy.failures(), 0u);
}

// Requirements: EA-18, HA-10
TEST(LinkPolicy, EaBacksOffFrom2sAndAsksForARestartWhenDownFor30s) {
    Owner owner(quiet(ea_link()));
    owner.run(at(170s), false);
    EXPECT_EQ(owner.take(), (Said{"0 connect", "2000 connect", "6000 connect", "14000 connect",
                                  "30000 restart after 30000", "30000 connect", "30000 notify 5", "60000 connect anew",
                                  "90000 connect anew", "120000 connect anew", "150000 connect anew"}));
    owner.run(at(200s), false);
    EXPECT_EQ(owner.take(), (Said{"180000 connect anew", "180000 disable 10"}));
}

TEST(LinkPolicy, ALinkThatHeldIsTriedAgainAtOnceAndItsNewOutageIsToldAnew) {
    Owner owner(quiet(mt5_link()));
    owner.run(at(13s), false);
    owner.run(at(100s), true);
    EXPECT_EQ(owner.take().back(), "25000 restored after 15000");
    owner.policy.failed(owner.attempt, owner.now);
    EXPECT_EQ(owner.policy.down_since(), at(100s));
    owner.run(at(113s), false);
    EXPECT_EQ(owner.take(), (Said{"100000 connect", "103000 connect", "106000 connect", "109000 connect",
                                  "112000 connect", "112000 notify 5"}));
}

TEST(LinkPolicy, AServerThatDropsUsAtOnceIsAFailureAndNotAskedInALoop) {
    Owner owner(quiet(mt5_link()));
    for (int i = 0; i < 10; ++i) {
        owner.run(owner.now + 3001ms, true);
        EXPECT_EQ(owner.policy.state(), P::State::up);
        owner.policy.failed(owner.attempt, owner.now);
    }
    EXPECT_EQ(owner.policy.failures(), 10u);
    EXPECT_EQ(owner.policy.next(owner.now), Action(P::Disable{10}));
    unsigned connects = 0, notices = 0;
    for (const std::string& line : owner.take()) {
        connects += line.find("connect") != std::string::npos;
        notices += line.find("notify") != std::string::npos;
    }
    EXPECT_LE(connects, 10u);
    EXPECT_EQ(notices, 1u);
}

TEST(LinkPolicy, ASilentConnectionAndAnAttemptWithoutAnswerAreDropped) {
    P policy(mt5_link());
    ASSERT_EQ(policy.next(at(0s)), Action(P::Connect{1, false}));
    EXPECT_EQ(policy.next(at(0s)), Action(P::WaitUntil{at(10s)}));
    EXPECT_EQ(policy.next(at(10s)), Action(P::Drop{1}));
    EXPECT_EQ(policy.failures(), 1u);
    // 3 s from start to start have passed.
    ASSERT_EQ(policy.next(at(10s)), Action(P::Connect{2, false}));
    policy.connected(1, at(11s));    // too late: that attempt was given up
    EXPECT_EQ(policy.state(), P::State::connecting);
    policy.connected(2, at(11s));
    policy.heartbeat(2, at(31s));
    policy.heartbeat(1, at(50s));
    EXPECT_EQ(policy.next(at(31s)), Action(P::WaitUntil{at(61s)}));
    EXPECT_EQ(policy.next(at(61s)), Action(P::Drop{2}));
    EXPECT_EQ(policy.next(at(61s)), Action(P::Connect{3, false}));    // it had held: at once
    policy.failed(2, at(61s));    // the old connection ends: known already
    EXPECT_EQ(policy.state(), P::State::connecting);
}

TEST(LinkPolicy, TellsWhenItIsDownAndSinceWhen) {
    P policy(mt5_link());
    EXPECT_EQ(policy.next(at(5s)), Action(P::Connect{1, false}));
    EXPECT_EQ(policy.down_since(), at(5s));
    EXPECT_EQ(name_of(policy.state()), "connecting");
    policy.connected(1, at(6s));
    EXPECT_EQ(policy.down_since(), at(5s));    // it has to hold first
    EXPECT_EQ(policy.next(at(6s)), Action(P::WaitUntil{at(16s)}));
    policy.heartbeat(1, at(16s));
    EXPECT_EQ(policy.next(at(16s)), Action(P::WaitUntil{at(46s)}));    // nobody was told: no word about it
    EXPECT_EQ(policy.down_since(), std::nullopt);
}

TEST(LinkPolicy, KnowsItsProfilesByName) {
    EXPECT_EQ(link_rules("ea")->restart_after, 30s);
    EXPECT_EQ(link_rules("mt5")->first_wait, 3s);
    EXPECT_EQ(link_rules("mt4").error().code, ErrorCode::config);
}

// Every sequence of six facts at three spacings: milestones are said once an outage and in order, no attempt comes sooner
// than its profile allows, and nothing that next() answers makes its owner spin.
TEST(LinkPolicy, HoldsItsRulesForEverySequenceOfFacts) {
    enum Fact { connects, fails, breaks, hears, hangs };
    constexpr Duration k_gaps[] = {0s, 4s, 15s};
    for (const LinkRules& rules : {mt5_link(), ea_link()})
        for (unsigned code = 0; code < 5u * 5 * 5 * 5 * 5 * 5; ++code)
            for (const Duration gap : k_gaps) {
                P policy(rules);
                Instant now{};
                P::Attempt attempt = 0;
                unsigned notices = 0, disables = 0, restarts = 0, steps = 0;
                std::optional<Instant> tried_at;
                // Until something is to be waited for.
                const auto settle = [&](Instant until) {
                    for (;;) {
                        ASSERT_LT(++steps, 2'000u);
                        const Action action = policy.next(now);
                        if (const auto* wait = std::get_if<P::WaitUntil>(&action)) {
                            ASSERT_GT(wait->until, now);
                            if (wait->until > until) break;
                            now = wait->until;
                        } else if (const auto* connect = std::get_if<P::Connect>(&action)) {
                            ASSERT_EQ(connect->attempt, attempt + 1);
                            ASSERT_EQ(connect->new_session, policy.failures() >= 5);
                            if (tried_at && policy.failures() > 0) {
                                ASSERT_GE(now - *tried_at, rules.first_wait);
                            }
                            attempt = connect->attempt;
                            tried_at = now;
                        } else if (std::get_if<P::Notify>(&action)) {
                            ASSERT_EQ(++notices, 1u);
                            ASSERT_GE(policy.failures(), 5u);
                        } else if (std::get_if<P::Disable>(&action)) {
                            ASSERT_EQ(++disables, 1u);
                            ASSERT_EQ(notices, 1u);
                        } else if (std::get_if<P::Restart>(&action)) {
                            ASSERT_EQ(++restarts, 1u);
                            ASSERT_EQ(rules.restart_after, 30s);
                        } else if (std::get_if<P::Restored>(&action)) {
                            ASSERT_TRUE(notices + disables + restarts > 0);
                            notices = disables = restarts = 0;
                        }
                    }
                    now = until;
                };
                for (unsigned i = 0, left = code; i < 6; ++i, left /= 5) {
                    ASSERT_NO_FATAL_FAILURE(settle(now + gap)) << code;
                    const bool held = policy.state() == P::State::up && !policy.down_since();
                    switch (Fact(left % 5)) {
                        case connects:
                            policy.connected(attempt, now);
                            break;
                        case fails:
                            policy.failed(attempt, now);
                            break;
                        case breaks:
                            policy.connected(attempt, now);
                            policy.failed(attempt, now);
                            break;
                        case hears:
                            policy.heartbeat(attempt, now);
                            break;
                        case hangs:
                            break;
                    }
                    if (held && policy.state() == P::State::waiting) notices = disables = restarts = 0;
                }
                ASSERT_NO_FATAL_FAILURE(settle(now + 5min)) << code;
            }
}

}    // namespace
}    // namespace holdfast::watch
