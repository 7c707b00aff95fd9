#include "holdfast/storage/retry.hpp"

#include <gtest/gtest.h>

#include <set>

#include "holdfast/base/log.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/testing/flaky_backend.hpp"
#include "holdfast/testing/sim_clock.hpp"

namespace holdfast::storage {
namespace {

using namespace std::chrono_literals;
using testing::Fate;

class Retry : public ::testing::Test {
protected:
    void SetUp() override {
        set_log({LogLevel::warning, false, {}, [this](std::string_view line) { log_ += line; }});
        auto flaky = testing::flaky_backend(local_backend(folder_.path() + "/repo"), [this](std::string_view call) {
            calls_.emplace_back(call);
            return next_ < fates_.size() ? fates_[next_++] : std::nullopt;
        });
        backend_ = retrying_backend(std::move(flaky),
                                    {.rule = {.first = 500ms, .longest = 60s, .total = 900s, .jitter = 0.5},
                                     .chance = [] { return 0.0; },
                                     .counters = counters_},
                                    clock_);
        ASSERT_TRUE(backend_->create_layout());
        calls_.clear();
    }
    void TearDown() override { set_log({}); }
    void fates(std::vector<std::optional<Fate>> fates) {
        fates_ = std::move(fates);
        next_ = 0;
    }
    static FileName named(std::string_view content) { return {FileKind::pack, format::sha256(as_bytes(content))}; }

    os::TempFolder folder_ = os::TempFolder::create("hf-retry").value();
    testing::SimClock clock_;
    std::shared_ptr<RetryCounters> counters_ = std::make_shared<RetryCounters>();
    std::vector<std::optional<Fate>> fates_;
    std::size_t next_ = 0;
    std::vector<std::string> calls_;
    std::string log_;
    std::unique_ptr<Backend> backend_;
};

TEST_F(Retry, WaitsTwiceAsLongEachTimeAndSaysSo) {
    fates({Fate{}, Fate{}, Fate{}});
    ASSERT_TRUE(backend_->put(named("x"), as_bytes("x")));
    EXPECT_EQ(clock_.elapsed(), 500ms + 1s + 2s);
    EXPECT_EQ(counters_->retries, 3u);
    EXPECT_EQ(counters_->gave_up, 0u);
    EXPECT_NE(log_.find("trying again in 2.0 s"), std::string::npos) << log_;
    EXPECT_NE(log_.find("retries=3"), std::string::npos) << log_;
}

TEST_F(Retry, GivesUpWhenTheTotalIsSpent) {
    fates(std::vector<std::optional<Fate>>(1000, Fate{}));
    const auto status = backend_->sync();
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::unreachable);
    EXPECT_NE(status.error().message.find("given up after"), std::string::npos) << status.error().message;
    EXPECT_LE(clock_.elapsed(), 900s);
    EXPECT_GE(clock_.elapsed(), 840s);
    EXPECT_EQ(counters_->gave_up, 1u);
}

// Somebody waits who may have mistyped the name, or whose server is down: that is said soon. Once it has answered,
// patience is what saves a backup.
class FirstContact : public Retry {
protected:
    void open(Duration patience) {
        auto flaky = testing::flaky_backend(local_backend(folder_.path() + "/repo"), [this](std::string_view) {
            clock_.sleep(attempt_takes_);
            return next_ < fates_.size() ? fates_[next_++] : std::nullopt;
        });
        backend_ = retrying_backend(std::move(flaky),
                                    {.rule = {.first = 500ms, .longest = 60s, .total = 900s, .jitter = 0.5},
                                     .first_contact = first_contact_rule(patience),
                                     .chance = [] { return 0.0; },
                                     .counters = counters_},
                                    clock_);
        begin_ = clock_.elapsed();
    }
    Duration waited() const { return clock_.elapsed() - begin_; }
    Duration attempt_takes_{}, begin_{};
};

TEST_F(FirstContact, IsGivenUpSoonAndSaysSo) {
    open(25s);
    fates(std::vector<std::optional<Fate>>(1000, Fate{}));
    const auto there = backend_->size({FileKind::config, {}});
    ASSERT_FALSE(there);
    EXPECT_EQ(there.error().code, ErrorCode::unreachable);
    EXPECT_GE(next_, 3u);
    EXPECT_LE(waited(), 25s);
    EXPECT_GE(waited(), 15s);
    EXPECT_NE(there.error().message.find("given up after"), std::string::npos) << there.error().message;
    EXPECT_NE(there.error().hint.find("--first-contact-max"), std::string::npos) << there.error().hint;
    EXPECT_NE(log_.find("trying again in 1.0 s"), std::string::npos) << log_;    // the person who waits reads why
    EXPECT_EQ(counters_->gave_up, 1u);
}

TEST_F(FirstContact, CountsTheTimeThatAttemptsTake) {
    open(25s);
    attempt_takes_ = 15s;    // a host that swallows what is sent to it
    fates(std::vector<std::optional<Fate>>(1000, Fate{}));
    EXPECT_FALSE(backend_->size({FileKind::config, {}}));
    EXPECT_EQ(next_, 2u);
    EXPECT_LE(waited(), 32s);
}

TEST_F(FirstContact, IsASingleAttemptWhereNoPatienceIsWanted) {
    open(0s);
    fates({Fate{}});
    EXPECT_FALSE(backend_->size({FileKind::config, {}}));
    EXPECT_EQ(waited(), 0s);
}

TEST_F(FirstContact, LeavesLaterOperationsTheirPatience) {
    open(25s);
    // "Not there" is an answer, too.
    EXPECT_EQ(backend_->size({FileKind::config, {}}).error().code, ErrorCode::not_found);
    fates(std::vector<std::optional<Fate>>(1000, Fate{}));
    EXPECT_FALSE(backend_->sync());
    EXPECT_GE(waited(), 840s);
}

TEST_F(FirstContact, OutlivesAShortRestartOfTheServer) {
    open(25s);
    fates({Fate{}, Fate{}, Fate{}});
    EXPECT_TRUE(backend_->put(named("x"), as_bytes("x")));
    EXPECT_EQ(waited(), 7s);
}

TEST_F(Retry, ReturnsPermanentErrorsAtOnce) {
    for (const ErrorCode code : {ErrorCode::denied, ErrorCode::disk_full, ErrorCode::io, ErrorCode::corrupt}) {
        fates({Fate{Fate::When::before, code}});
        EXPECT_EQ(backend_->put(named("x"), as_bytes("x")).error().code, code);
    }
    EXPECT_EQ(clock_.elapsed(), 0s);
    EXPECT_EQ(counters_->retries, 0u);
}

TEST_F(Retry, FindsAnUploadWhoseAnswerWasLostAndSendsItNoSecondTime) {
    fates({Fate{Fate::When::after}});
    ASSERT_TRUE(backend_->put(named("x"), as_bytes("x")));
    EXPECT_EQ(calls_, (std::vector<std::string>{"put", "size"}));

    calls_.clear();
    fates({std::nullopt, Fate{Fate::When::after}});
    auto upload = backend_->start(FileKind::pack);
    ASSERT_TRUE(upload);
    ASSERT_TRUE((*upload)->write(as_bytes("yy")));
    ASSERT_TRUE((*upload)->commit(named("yy").id));
    EXPECT_EQ(calls_, (std::vector<std::string>{"start", "commit", "size"}));
}

TEST_F(Retry, TakesItsOwnConfigForOursButNotAnotherOnes) {
    const FileName config{FileKind::config, {}};
    fates({Fate{Fate::When::after}});
    ASSERT_TRUE(backend_->put(config, as_bytes("ours")));
    fates({Fate{Fate::When::before}});
    EXPECT_EQ(backend_->put(config, as_bytes("another")).error().code, ErrorCode::exists);
    EXPECT_EQ(as_text(backend_->read(config).value()), "ours");
}

TEST_F(Retry, TakesARemovalWhoseAnswerWasLostForDone) {
    ASSERT_TRUE(backend_->put(named("x"), as_bytes("x")));
    fates({Fate{Fate::When::after}});
    EXPECT_TRUE(backend_->remove(named("x")));
    fates({});
    EXPECT_EQ(backend_->remove(named("x")).error().code, ErrorCode::not_found);
}

TEST_F(Retry, RemovesOfManyFilesOnlyThoseAgainThatAreStillThere) {
    std::vector<FileName> names;
    for (const char* content : {"a", "b", "c"}) {
        names.push_back(named(content));
        ASSERT_TRUE(backend_->put(names.back(), as_bytes(content)));
    }
    calls_.clear();
    fates({std::nullopt, Fate{Fate::When::before}, Fate{Fate::When::after}});
    std::vector<FileName> gone;
    ASSERT_TRUE(backend_->remove_many(names, [&](const FileName& name) { gone.push_back(name); }));
    EXPECT_EQ(calls_.size(), 5u);    // three, then the two whose removal was not heard of
    EXPECT_EQ(std::set<FileName>(gone.begin(), gone.end()), std::set<FileName>(names.begin(), names.end()));
    EXPECT_EQ(gone.size(), 3u);
    EXPECT_EQ(counters_->retries, 1u);
}

TEST_F(Retry, TellsAListOnceThoughItsEndWasLost) {
    for (const char* content : {"a", "b", "c"}) ASSERT_TRUE(backend_->put(named(content), as_bytes(content)));
    fates({Fate{Fate::When::after}, Fate{Fate::When::after}});
    unsigned told = 0;
    ASSERT_TRUE(backend_->list(FileKind::pack, [&](const Id&, std::uint64_t) { ++told; }));
    EXPECT_EQ(told, 3u);
}

TEST_F(Retry, ReadsAFileThatIsNotItsNameOnceMoreAndThenAsItIs) {
    ASSERT_TRUE(backend_->put(named("x"), as_bytes("y")));
    calls_.clear();
    EXPECT_EQ(as_text(backend_->read(named("x")).value()), "y");
    EXPECT_EQ(calls_, (std::vector<std::string>{"read", "read"}));
}

TEST_F(Retry, StopsWaitingWhenASignalCame) {
    fates(std::vector<std::optional<Fate>>(1000, Fate{}));
    os::g_stop_requested = true;
    const auto status = backend_->sync();
    os::g_stop_requested = false;
    EXPECT_EQ(status.error().code, ErrorCode::cancelled);
    EXPECT_LE(clock_.elapsed(), 1s);
}

}    // namespace
}    // namespace holdfast::storage
