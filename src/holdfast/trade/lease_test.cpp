// Leases on a real PostgreSQL. Requirements: HA-05, MT-07.

#include "holdfast/trade/lease.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "holdfast/os/fd.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/freeze.hpp"
#include "holdfast/testing/postgres_server.hpp"
#include "holdfast/trade/lease_holder.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;

#define HF_OK(...)                                                         \
    do {                                                                   \
        const auto hf_ok = (__VA_ARGS__);                                  \
        ASSERT_TRUE(hf_ok) << hf_ok.error().message << hf_ok.error().hint; \
    } while (false)

class LeaseTest : public ::testing::Test {
protected:
    static void SetUpTestSuite() {
        auto started = testing::PostgresServer::start();
        ASSERT_TRUE(started) << started.error().message;
        server_ = new testing::PostgresServer(std::move(*started));
    }
    static void TearDownTestSuite() {
        delete server_;
        server_ = nullptr;
    }
    // Each test is an account of its own.
    static std::string account() { return ::testing::UnitTest::GetInstance()->current_test_info()->name(); }
    static std::unique_ptr<LeaseStore> store(std::string holder, Duration ttl = 60s) {
        return open_postgres_lease({{server_->socket_folder(), server_->port(), "postgres", "postgres"}, Secret()},
                                   {account(), std::move(holder), ttl});
    }
    static testing::PostgresServer* server_;
    os::SystemClock clock_;
};
testing::PostgresServer* LeaseTest::server_ = nullptr;

FencingToken token_of(const Result<LeaseAnswer>& answer) {
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    const auto* grant = answer ? std::get_if<LeaseGrant>(&*answer) : nullptr;
    return grant ? grant->token : 0;
}
LeaseHeld held_by(const Result<LeaseAnswer>& answer) {
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    const auto* held = answer ? std::get_if<LeaseHeld>(&*answer) : nullptr;
    EXPECT_TRUE(held) << "granted";
    return held ? *held : LeaseHeld{"?", {}, {}};
}

TEST_F(LeaseTest, OneHolderAtATimeAndTheOtherLearnsWhoAndUntilWhen) {
    const auto a = store("a on host1"), b = store("b on host2");
    const FencingToken first = token_of(a->acquire({}));
    ASSERT_GT(first, 0u);
    const LeaseHeld held = held_by(b->acquire({}));
    EXPECT_EQ(held.holder, "a on host1");
    EXPECT_GT(held.left, 30s);
    EXPECT_LE(held.left, 60s);
    EXPECT_LT(held.until - clock_.now(), 70s);
    // A new lease for the same holder name, either: names do not tell processes apart.
    EXPECT_EQ(held_by(store("a on host1")->acquire({})).holder, "a on host1");
    EXPECT_EQ(token_of(a->renew(first)), first);
    HF_OK(a->release(first));
    const FencingToken second = token_of(b->acquire({}));
    EXPECT_GT(second, first);
    EXPECT_EQ(held_by(a->renew(first)).holder, "b on host2");
    HF_OK(a->release(first));    // not ours: changes nothing
    EXPECT_EQ(token_of(b->renew(second)), second);
}

TEST_F(LeaseTest, IsTakenOverAfterItHasExpiredAndNotBefore) {
    const auto a = store("a", 1s), b = store("b");
    const Instant asked_at = clock_.instant();
    const FencingToken first = token_of(a->acquire({}));
    FencingToken second = 0;
    while (second == 0) {
        const auto answer = b->acquire({});
        ASSERT_TRUE(answer) << answer.error().message;
        if (const auto* grant = std::get_if<LeaseGrant>(&*answer)) second = grant->token;
        ASSERT_LT(clock_.instant() - asked_at, 60s);
    }
    EXPECT_GE(clock_.instant() - asked_at, 990ms);
    EXPECT_GT(second, first);
    EXPECT_EQ(held_by(a->renew(first)).holder, "b");
}

TEST_F(LeaseTest, ARestartedInstanceTakesItsOwnLeaseOverAtOnceAndNobodyElses) {
    const FencingToken first = token_of(store("a")->acquire({}));
    EXPECT_EQ(held_by(store("b")->acquire(first - 1)).holder, "a");
    const FencingToken second = token_of(store("a")->acquire(first));
    EXPECT_GT(second, first);
    EXPECT_EQ(held_by(store("b")->acquire(first)).holder, "a");
}

std::optional<FencingToken> before(const Result<LeaseAnswer>& answer) {
    const auto* grant = answer ? std::get_if<LeaseGrant>(&*answer) : nullptr;
    EXPECT_TRUE(grant) << "not granted";
    return grant ? grant->previous : std::nullopt;
}

TEST_F(LeaseTest, ANewLeaseNamesTheTokenBeforeItIfThatIsCertain) {
    const auto a = store("a");
    const auto first = a->acquire({});
    EXPECT_EQ(before(first), std::nullopt) << "nobody knows what was before the first";
    HF_OK(a->release(token_of(first)));
    const auto second = store("b")->acquire({});
    EXPECT_EQ(before(second), token_of(first));
    const auto third = store("b")->acquire(token_of(second));
    EXPECT_EQ(before(third), token_of(second));
    // As after a failover or out of a backup: grants may be lost.
    HF_OK(server_->sql("postgres",
                       "UPDATE holdfast_lease SET history = '1/00000001' WHERE account = '" + account() + "'"));
    const auto fourth = a->acquire(token_of(third));
    EXPECT_EQ(before(fourth), std::nullopt);
    EXPECT_EQ(before(a->acquire(token_of(fourth))), token_of(fourth));
}

TEST_F(LeaseTest, AccountsDoNotTouchEachOther) {
    EXPECT_GT(token_of(store("a")->acquire({})), 0u);
    const auto other = open_postgres_lease(
        {{server_->socket_folder(), server_->port(), "postgres", "postgres"}, Secret()}, {"another account", "b", 60s});
    EXPECT_GT(token_of(other->acquire({})), 0u);
}

TEST_F(LeaseTest, ATokenIsNotGivenAgainWhenTheDatabaseWasSetBack) {
    const auto a = store("a");
    const FencingToken first = token_of(a->acquire({}));
    HF_OK(server_->sql("postgres", "DELETE FROM holdfast_lease WHERE account = '" + account() + "'"));
    EXPECT_GT(token_of(store("b")->acquire({})), first);
    HF_OK(server_->sql("postgres", "UPDATE holdfast_lease SET token = 1, expires_at = '-infinity' WHERE account = '" +
                                       account() + "'"));
    EXPECT_GT(token_of(store("c")->acquire({})), first);
}

TEST_F(LeaseTest, SurvivesARestartOfTheServerAndSaysWhenItIsAway) {
    auto own = testing::PostgresServer::start();
    ASSERT_TRUE(own) << own.error().message;
    const auto a = open_postgres_lease({{own->socket_folder(), own->port(), "postgres", "postgres"}, Secret()},
                                       {account(), "a", 60s});
    const FencingToken token = token_of(a->acquire({}));
    HF_OK(own->stop());
    EXPECT_EQ(a->renew(token).error().code, ErrorCode::unreachable);
    EXPECT_EQ(a->renew(token).error().code, ErrorCode::unreachable);
    HF_OK(own->restart());
    EXPECT_EQ(token_of(a->renew(token)), token);
}

TEST_F(LeaseTest, ARoleThatMayNotMakeTheTableIsToldSo) {
    HF_OK(server_->sql("postgres", "CREATE DATABASE bare; CREATE ROLE plain LOGIN;"));
    const auto a = open_postgres_lease({{server_->socket_folder(), server_->port(), "plain", "bare"}, Secret()},
                                       {account(), "a", 60s});
    const auto answer = a->acquire({});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::denied);
    EXPECT_THAT(answer.error().hint, ::testing::HasSubstr("holdfast_lease"));
    // docs/operations/trade-intake.md
    HF_OK(server_->sql(
        "bare",
        "CREATE TABLE holdfast_lease (account text PRIMARY KEY, holder text NOT NULL, token bigint NOT NULL, "
        "expires_at timestamptz NOT NULL, previous bigint, history text NOT NULL); "
        "GRANT SELECT, INSERT, UPDATE ON holdfast_lease TO plain;"));
    EXPECT_GT(token_of(a->acquire({})), 0u);
}

TEST_F(LeaseTest, TwoContendersNeverHoldItAtOnce) {
    constexpr unsigned k_grants = 1000;
    std::atomic<FencingToken> alive = 0;
    std::atomic<unsigned> grants = 0, doubles = 0, errors = 0;
    std::mutex mutex;
    std::vector<FencingToken> tokens;
    const auto contend = [&](std::string name) {
        const auto mine = store(std::move(name));
        while (grants < k_grants && errors == 0) {
            const auto answer = mine->acquire({});
            if (!answer) {
                ++errors;
                return;
            }
            const auto* grant = std::get_if<LeaseGrant>(&*answer);
            if (!grant) continue;
            FencingToken nobody = 0;
            if (!alive.compare_exchange_strong(nobody, grant->token)) ++doubles;
            {
                const std::scoped_lock lock(mutex);
                tokens.push_back(grant->token);
            }
            std::this_thread::yield();
            alive = 0;
            ++grants;
            if (!mine->release(grant->token)) ++errors;
        }
    };
    std::thread one(contend, "one"), two(contend, "two");
    one.join();
    two.join();
    EXPECT_EQ(errors, 0u);
    EXPECT_EQ(doubles, 0u);
    EXPECT_GE(tokens.size(), k_grants);
    EXPECT_TRUE(std::ranges::is_sorted(tokens));
    EXPECT_EQ(std::ranges::adjacent_find(tokens), tokens.end());
}

TEST_F(LeaseTest, HoldersThatVanishAreReplacedOnlyAfterTheirTime) {
    constexpr Duration k_ttl = 40ms;
    struct Granted {
        FencingToken token;
        Instant asked, heard;
    };
    std::mutex mutex;
    std::vector<Granted> all;
    std::atomic<unsigned> grants = 0;
    const auto contend = [&](std::string name) {
        const auto mine = store(std::move(name), k_ttl);
        for (const Instant end = clock_.instant() + 60s; grants < 20 && clock_.instant() < end;) {
            const Instant asked = clock_.instant();
            const auto answer = mine->acquire({});
            if (!answer) continue;    // a quarter of the ttl is not much: the next one will be in time
            const Instant heard = clock_.instant();
            if (const auto* grant = std::get_if<LeaseGrant>(&*answer)) {
                const std::scoped_lock lock(mutex);
                all.push_back({grant->token, asked, heard});
                ++grants;
            } else {
                clock_.sleep(std::min<Duration>(std::get<LeaseHeld>(*answer).left + 1ms, k_ttl));
            }
        }
    };
    std::thread one(contend, "one"), two(contend, "two");
    one.join();
    two.join();
    ASSERT_GT(all.size(), 2u);
    std::ranges::sort(all, {}, &Granted::token);
    for (std::size_t i = 1; i < all.size(); ++i) {
        ASSERT_GT(all[i].token, all[i - 1].token);
        EXPECT_GE(all[i].heard - all[i - 1].asked, k_ttl - 1ms);
    }
}

// The holder's process is stopped past its lease and woken after another one has taken over: it does nothing under its token.
TEST_F(LeaseTest, AHolderThatWasStoppedDoesNothingWhenItIsWoken) {
    constexpr Duration k_ttl = 2s;
    constexpr watch::LeaseMargins k_margins{.ask = 1200ms, .stop = 400ms, .retry = 100ms};
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        ::close(ends[0]);
        std::mutex mutex;
        LeaseView view;
        bool demoted = false;
        LeaseHolder holder(store("stopped", k_ttl), k_margins, {}, clock_, [&](const LeaseView& changed) {
            const std::scoped_lock lock(mutex);
            demoted = demoted || (view.held && !changed.held);
            view = changed;
        });
        for (;;) {
            {
                const std::scoped_lock lock(mutex);
                const Instant now = clock_.instant();
                // What an engine does before each sending; 0 says that it has noticed.
                const std::int64_t said = view.held && now < view.not_after ? now.nanoseconds : demoted ? 0 : -1;
                if (said >= 0 && ::write(ends[1], &said, sizeof said) != sizeof said) ::_exit(1);
                if (said == 0) break;
            }
            std::this_thread::sleep_for(1ms);
        }
        ::_exit(0);
    }
    ::close(ends[1]);
    const os::Fd from(ends[0]);
    const auto next = [&] {
        std::int64_t said = -1;
        EXPECT_EQ(::read(from.get(), &said, sizeof said), ssize_t(sizeof said));
        return said;
    };
    EXPECT_GT(next(), 0);
    HF_OK(testing::freeze(child));
    const auto other = store("successor");
    FencingToken token = 0;
    while (token == 0) {
        const auto answer = other->acquire({});
        ASSERT_TRUE(answer) << answer.error().message;
        if (const auto* grant = std::get_if<LeaseGrant>(&*answer)) token = grant->token;
        std::this_thread::sleep_for(10ms);
    }
    const Instant taken_at = clock_.instant();
    ::kill(child, SIGCONT);
    for (std::int64_t said = next(); said > 0; said = next()) ASSERT_LT(Instant{said}, taken_at);
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

TEST_F(LeaseTest, AHolderRenewsTellsAndGivesBackWhenItIsStopped) {
    constexpr watch::LeaseMargins k_margins{.ask = 59900ms, .stop = 400ms, .retry = 100ms};
    std::mutex mutex;
    std::condition_variable said;
    std::vector<LeaseView> views;
    const auto note = [&](const LeaseView& view) {
        const std::scoped_lock lock(mutex);
        views.push_back(view);
        said.notify_all();
    };
    const FencingToken before_us = token_of(store("b")->acquire({}));
    HF_OK(store("b")->release(before_us));
    LeaseHolder holder(store("a"), k_margins, {}, clock_, note);
    std::unique_lock lock(mutex);
    ASSERT_TRUE(said.wait_for(lock, 60s, [&] { return std::ranges::count(views, true, &LeaseView::held) >= 3; }));
    lock.unlock();
    EXPECT_EQ(held_by(store("b")->acquire({})).holder, "a");
    holder.stop();
    const LeaseView last = views.back();
    EXPECT_FALSE(last.held);
    EXPECT_EQ(views.front().previous, before_us) << "what was before it is said with the lease";
    EXPECT_EQ(views.at(2).previous, before_us) << "and stays with it";
    const auto b = store("b");
    EXPECT_GT(token_of(b->acquire({})), last.token);
}

TEST(NoLease, EachTokenIsLargerThanAllBeforeAlsoWhenTheClockWentBack) {
    os::SystemClock clock;
    const auto store = no_lease(clock);
    const FencingToken first = token_of(store->acquire({}));
    EXPECT_GT(token_of(store->acquire({})), first);
    const FencingToken ahead = first + 3'600'000;    // of a session by a clock that was an hour ahead
    EXPECT_EQ(token_of(store->acquire(ahead)), ahead + 1);
    EXPECT_GT(token_of(no_lease(clock)->acquire(ahead)), ahead);
    EXPECT_EQ(before(no_lease(clock)->acquire(ahead)), ahead) << "there are no others";
    EXPECT_EQ(before(no_lease(clock)->acquire({})), 0u);
}

TEST(NoLease, IsAlwaysGranted) {
    os::SystemClock clock;
    const auto now = static_cast<FencingToken>(clock.now().nanoseconds / 1'000'000);
    const auto store = no_lease(clock);
    const FencingToken first = token_of(store->acquire({}));
    EXPECT_GE(first, now);
    EXPECT_EQ(token_of(store->renew(first)), first);
    EXPECT_EQ(store->name(), "none");
}

}    // namespace
}    // namespace holdfast::trade
