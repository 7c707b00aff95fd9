#include "holdfast/watch/lease.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace holdfast::watch {
namespace {

using namespace std::chrono_literals;
using Ask = LeaseKeeper::Ask;
using Demote = LeaseKeeper::Demote;
using Wait = LeaseKeeper::Wait;
using Action = LeaseKeeper::Action;

constexpr LeaseMargins k_margins{.ask = 6s, .stop = 2s, .retry = 1s};
constexpr Duration k_ttl = 10s;
Instant at(Duration since_start) { return Instant{} + since_start; }

// Requirements: HA-05, MT-07.

TEST(LeaseKeeper, AsksHoldsRenewsAndDemotesBeforeTheLeaseExpiresElsewhere) {
    LeaseKeeper keeper(k_margins);
    EXPECT_EQ(keeper.next(at(0s)), Action(Ask{}));
    EXPECT_EQ(keeper.token(at(0s)), std::nullopt);
    keeper.granted(7, at(0s), k_ttl);
    EXPECT_EQ(keeper.next(at(1s)), Action(Wait{at(4s)}));
    EXPECT_EQ(keeper.token(at(7999ms)), 7u);
    EXPECT_EQ(keeper.not_after(), at(8s));
    EXPECT_EQ(keeper.token(at(8s)), std::nullopt);
    EXPECT_EQ(keeper.next(at(4s)), Action(Ask{7}));
    keeper.failed(at(4s));
    EXPECT_EQ(keeper.next(at(4s)), Action(Wait{at(5s)}));
    EXPECT_EQ(keeper.next(at(5s)), Action(Ask{7}));
    keeper.granted(7, at(5s), k_ttl);
    EXPECT_EQ(keeper.token(at(12999ms)), 7u);
    EXPECT_EQ(keeper.next(at(13s)), Action(Demote{7}));
    EXPECT_EQ(keeper.next(at(13s)), Action(Ask{}));    // said once, then for a new one
}

TEST(LeaseKeeper, CountsFromWhenItAskedNotFromWhenItHeard) {
    LeaseKeeper keeper(k_margins);
    // An answer that took longer than the lease is worth is not acted on.
    keeper.granted(1, at(0s), k_ttl);
    EXPECT_EQ(keeper.token(at(9s)), std::nullopt);
    EXPECT_EQ(keeper.next(at(9s)), Action(Demote{1}));
    EXPECT_EQ(keeper.token(at(9s)), std::nullopt);
}

TEST(LeaseKeeper, WaitsForTheOtherHolderButNotLongerThanARetry) {
    LeaseKeeper keeper(k_margins);
    keeper.held_elsewhere(at(0s), 30s);
    EXPECT_EQ(keeper.next(at(0s)), Action(Wait{at(1s)}));
    EXPECT_EQ(keeper.next(at(1s)), Action(Ask{}));
    keeper.held_elsewhere(at(1s), 300ms);
    EXPECT_EQ(keeper.next(at(1s)), Action(Wait{at(1300ms)}));
    keeper.held_elsewhere(at(2s), 0s);    // it has just ended: not in a loop
    EXPECT_EQ(keeper.next(at(2s)), Action(Wait{at(2100ms)}));
}

TEST(LeaseKeeper, ALostLeaseIsDemotedAtOnceAndOnlyIfItIsTheOneThatIsHeld) {
    LeaseKeeper keeper(k_margins);
    keeper.granted(3, at(0s), k_ttl);
    keeper.lost(2, at(1s));
    EXPECT_EQ(keeper.token(at(1s)), 3u);
    keeper.lost(3, at(1s));
    EXPECT_EQ(keeper.token(at(1s)), std::nullopt);
    EXPECT_EQ(keeper.not_after(), std::nullopt);
    EXPECT_EQ(keeper.next(at(1s)), Action(Demote{3}));
    EXPECT_EQ(keeper.next(at(1s)), Action(Ask{}));
}

TEST(LeaseKeeper, OldAnswersChangeNothingAndANewTokenBeginsWithTheOldOnesDemotion) {
    LeaseKeeper keeper(k_margins);
    keeper.granted(5, at(2s), k_ttl);
    keeper.granted(5, at(1s), k_ttl);    // overtaken
    EXPECT_EQ(keeper.not_after(), at(10s));
    keeper.granted(4, at(3s), k_ttl);    // of a holder before us
    EXPECT_EQ(keeper.token(at(3s)), 5u);
    keeper.granted(6, at(3s), k_ttl);
    EXPECT_EQ(keeper.token(at(3s)), std::nullopt);
    EXPECT_EQ(keeper.next(at(3s)), Action(Demote{5}));
    EXPECT_EQ(keeper.token(at(3s)), 6u);
}

// Every combination of how long the question and the answer travel, and when somebody looks: we never act when the store
// may already have given the lease away.
TEST(LeaseKeeper, IsNeverLongerThanTheStoresViewForAnyDelay) {
    for (Duration out = 0s; out <= 12s; out += 250ms)
        for (Duration back = 0s; back <= 12s; back += 250ms) {
            LeaseKeeper keeper(k_margins);
            ASSERT_EQ(keeper.next(at(0s)), Action(Ask{}));
            const Instant expires_in_store = at(out + k_ttl), heard = at(out + back);
            keeper.granted(1, at(0s), k_ttl);
            bool demoted = false;
            for (Instant now = heard; now < at(40s); now = now + 250ms) {
                if (keeper.token(now)) {
                    ASSERT_FALSE(demoted);
                    ASSERT_LE(now + k_margins.stop, expires_in_store + Duration(1));
                }
                const Action action = keeper.next(now);
                if (action == Action(Demote{1})) {
                    ASSERT_FALSE(demoted);
                    demoted = true;
                } else if (std::get_if<Ask>(&action)) {
                    keeper.failed(now);
                }
            }
            EXPECT_TRUE(demoted);
        }
}

// Three keepers and one store on virtual time. Processes pause, answers and questions are late or lost.
TEST(LeaseKeeper, NoTwoHoldersActAtOnceWhateverIsLateOrLost) {
    struct Store {
        FencingToken token = 0;
        int holder = -1;
        Instant expires{};
    };
    struct Mail {
        int node;
        bool is_answer;
        Instant asked_at, arrives_at;
        std::optional<FencingToken> token;    // asked with, or granted
        Duration left{};
        bool held = false, lost = false;
    };
    unsigned takeovers = 0;
    for (unsigned seed = 1; seed <= 300; ++seed) {
        std::mt19937_64 random(seed);
        const auto chance = [&](unsigned percent) { return random() % 100 < percent; };
        Store store;
        std::array<LeaseKeeper, 3> nodes{LeaseKeeper(k_margins), LeaseKeeper(k_margins), LeaseKeeper(k_margins)};
        std::array<Instant, 3> paused_until{};
        std::array<bool, 3> has_asked{};
        std::vector<Mail> mail;
        FencingToken acted_last = 0;
        for (Instant now = at(0s); now < at(120s); now = now + 50ms) {
            for (std::size_t i = 0; i < mail.size();) {
                if (mail[i].arrives_at > now || (mail[i].is_answer && paused_until[std::size_t(mail[i].node)] > now)) {
                    ++i;
                    continue;
                }
                const Mail m = mail[i];
                mail.erase(mail.begin() + std::ptrdiff_t(i));
                LeaseKeeper& node = nodes[std::size_t(m.node)];
                if (m.is_answer) {
                    has_asked[std::size_t(m.node)] = false;
                    if (m.lost) {
                        node.failed(now);
                    } else if (m.held && m.token) {
                        node.lost(*m.token, now);
                    } else if (m.held) {
                        node.held_elsewhere(now, m.left);
                    } else {
                        node.granted(*m.token, m.asked_at, k_ttl);
                    }
                    continue;
                }
                Mail answer{m.node, true, m.asked_at, now + std::chrono::milliseconds(random() % 3000), {}};
                const bool is_question_lost = chance(5);
                if (is_question_lost) {
                    answer.lost = true;
                } else if (m.token) {
                    if (store.token == *m.token && store.expires > now) {
                        store.expires = now + k_ttl;
                        answer.token = m.token;
                    } else {
                        answer.held = true;
                        answer.token = m.token;
                    }
                } else if (store.expires <= now) {
                    takeovers += store.holder != m.node;
                    store = {store.token + 1, m.node, now + k_ttl};
                    answer.token = store.token;
                } else {
                    answer.held = true;
                    answer.left = store.expires - now;
                }
                answer.lost = answer.lost || chance(10);
                mail.push_back(answer);
            }
            int acting = 0;
            for (int i = 0; i < 3; ++i) {
                const auto n = std::size_t(i);
                if (paused_until[n] > now) continue;
                if (chance(1)) paused_until[n] = now + std::chrono::milliseconds(random() % 20000);
                if (!has_asked[n]) {
                    const Action action = nodes[n].next(now);
                    if (const Ask* ask = std::get_if<Ask>(&action)) {
                        has_asked[n] = true;
                        mail.push_back({i, false, now, now + std::chrono::milliseconds(random() % 1000), ask->token});
                    }
                }
                if (const auto token = nodes[n].token(now)) {
                    ++acting;
                    ASSERT_GE(*token, acted_last) << "seed " << seed;
                    ASSERT_EQ(store.holder, i) << "seed " << seed;
                    ASSERT_EQ(store.token, *token) << "seed " << seed;
                    acted_last = *token;
                }
            }
            ASSERT_LE(acting, 1) << "seed " << seed;
        }
        ASSERT_GT(acted_last, 0u) << "seed " << seed;
    }
    EXPECT_GT(takeovers, 300u);
}

}    // namespace
}    // namespace holdfast::watch
