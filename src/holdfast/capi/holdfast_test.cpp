// libholdfast_trade.so against a real intake. Requirement: EA-08.

#include "holdfast/capi/holdfast.h"

#include <gmock/gmock.h>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/trade/engine_fixture_test.hpp"
#include "holdfast/trade/http_intake.hpp"

extern "C" const char* hf_check_in_c(const char* address, const char* token);

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* k_token = "0123456789abcdef-token";

template <class T>
T sized() {
    T value{};
    value.size = sizeof value;
    return value;
}

class CapiTest : public ::testing::Test {
protected:
    void SetUp() override { start(); }
    void start() {
        HttpIntakeOptions options;
        options.listen = "127.0.0.1:0";
        options.unix_socket = folder_.path() + "/acct.sock";
        options.token = Secret(k_token);
        options.answer_max = 60s;
        auto started =
            HttpIntake::start(std::move(options),
                              {.submit = publishing(),
                               .find = [this](const ledger::Uuid& id) -> Result<std::optional<ledger::Order>> {
                                   return engine_.find(id);
                               },
                               .results = feed_,
                               .ticks = [this](std::span<const ProducerTick> ticks) -> Status {
                                   ticks_ += ticks.size();
                                   return {};
                               }},
                              clock_);
        ASSERT_TRUE(started) << started.error().message;
        intake_ = std::move(*started);
    }
    // What is accepted appears in the feed, as the real engine does it.
    Submit publishing() {
        return [this, inner = engine_.submit()](Submission submission) {
            inner({submission.signal, [this, answer = submission.answer](const Outcome& outcome) {
                       if (outcome.verdict == Outcome::Verdict::accepted) {
                           ledger::Order order = *outcome.order;
                           if (closes_) order.state = ledger::OrderState::filled;
                           feed_->publish(++sequence_, order);
                       }
                       answer(outcome);
                   }});
        };
    }
    std::string socket() const { return "unix:" + folder_.path() + "/acct.sock"; }

    os::TempFolder folder_ = os::TempFolder::create("hf-capi").value();
    os::SystemClock clock_;
    TestEngine engine_;
    std::shared_ptr<ResultFeed> feed_ = std::make_shared<ResultFeed>(0, 4);
    std::atomic<ledger::Sequence> sequence_ = 0;
    std::atomic<std::size_t> ticks_ = 0;
    std::atomic<bool> closes_ = false;
    std::unique_ptr<HttpIntake> intake_;
};

TEST_F(CapiTest, WorksFromCOverTheSocket) {
    const char* failure = hf_check_in_c(socket().c_str(), nullptr);
    EXPECT_EQ(failure, nullptr) << failure;
    EXPECT_EQ(ticks_, 2u);
}

TEST_F(CapiTest, WorksFromCOverTcpWithTheToken) {
    const std::string address = intake_->url();
    const char* failure = hf_check_in_c(address.c_str(), k_token);
    EXPECT_EQ(failure, nullptr) << failure;
    hf_trade* trade = nullptr;
    ASSERT_EQ(hf_trade_open(address.c_str(), "not-the-token-at-all", &trade), HF_OK);
    auto order = sized<hf_order>();
    EXPECT_EQ(hf_trade_order(trade, "0197b8e4-7b6a-7c3e-9d3f-000000000001", &order), HF_DENIED);
    EXPECT_THAT(hf_last_error(), HasSubstr("token"));
    hf_trade_close(trade);
}

TEST_F(CapiTest, GoesOnOverARestartOfTheEngine) {
    hf_trade* trade = nullptr;
    ASSERT_EQ(hf_trade_open(socket().c_str(), nullptr, &trade), HF_OK);
    char id[37];
    ASSERT_EQ(hf_uuid(id), HF_OK);
    auto signal = sized<hf_signal>();
    signal.id = id;
    signal.symbol = "EURUSD";
    signal.side = "sell";
    signal.quantity = "1";
    ASSERT_EQ(hf_trade_submit(trade, &signal, nullptr), HF_OK);
    intake_.reset();
    EXPECT_EQ(hf_trade_submit(trade, &signal, nullptr), HF_UNREACHABLE);
    start();
    EXPECT_EQ(hf_trade_submit(trade, &signal, nullptr), HF_DUPLICATE);
    engine_.away(true);
    EXPECT_EQ(hf_trade_submit(trade, &signal, nullptr), HF_UNAVAILABLE);
    EXPECT_THAT(hf_last_error(), HasSubstr("disk is full"));
    hf_trade_close(trade);
    EXPECT_EQ(engine_.orders(), 1u);
}

TEST_F(CapiTest, SaysWhenResultsAreMissing) {
    hf_trade* trade = nullptr;
    ASSERT_EQ(hf_trade_open(socket().c_str(), nullptr, &trade), HF_OK);
    hf_order orders[8] = {sized<hf_order>()};
    ASSERT_EQ(hf_trade_poll(trade, orders, 8, 0), 0);
    for (int i = 0; i < 10; ++i) feed_->publish(++sequence_, {});
    EXPECT_EQ(hf_trade_poll(trade, orders, 8, 0), HF_GAP);
    EXPECT_EQ(hf_trade_poll(trade, orders, 8, 0), 4);
    EXPECT_EQ(orders[3].sequence, 10u);
    EXPECT_EQ(orders[3].size, sizeof(hf_order));
    hf_trade_close(trade);
}

// A caller that was compiled with a larger struct, of a later version.
TEST_F(CapiTest, StepsByTheCallersSize) {
    struct Later {
        hf_order order;
        char more[16];
    } orders[2];
    std::memset(orders, 'x', sizeof orders);
    orders[0].order.size = sizeof(Later);
    hf_trade* trade = nullptr;
    ASSERT_EQ(hf_trade_open(socket().c_str(), nullptr, &trade), HF_OK);
    ASSERT_EQ(hf_trade_seek(trade, 0), HF_OK);
    feed_->publish(++sequence_, {});
    feed_->publish(++sequence_, {});
    EXPECT_EQ(hf_trade_poll(trade, &orders[0].order, 2, 0), 2);
    EXPECT_EQ(orders[1].order.sequence, 2u);
    EXPECT_EQ(orders[1].order.size, sizeof(Later));
    EXPECT_EQ(orders[1].more[0], 0);
    orders[0].order.size = sizeof(hf_order) - 1;
    EXPECT_EQ(hf_trade_poll(trade, &orders[0].order, 2, 0), HF_USAGE);
    hf_trade_close(trade);
}

TEST_F(CapiTest, APollThatWaitsDoesNotHoldUpASubmit) {
    hf_trade* trade = nullptr;
    ASSERT_EQ(hf_trade_open(socket().c_str(), nullptr, &trade), HF_OK);
    std::atomic<int> polled = -100;
    std::thread poller([&] {
        auto order = sized<hf_order>();
        polled = hf_trade_poll(trade, &order, 1, 30000);
    });
    std::this_thread::sleep_for(20ms);
    char id[37];
    ASSERT_EQ(hf_uuid(id), HF_OK);
    auto signal = sized<hf_signal>();
    signal.id = id;
    signal.symbol = "EURUSD";
    signal.side = "buy";
    signal.quantity = "1";
    EXPECT_EQ(hf_trade_submit(trade, &signal, nullptr), HF_OK);
    poller.join();
    EXPECT_THAT(polled.load(), ::testing::AnyOf(0, 1));
    hf_trade_close(trade);
}

TEST_F(CapiTest, TheExampleSubmitsAndFollowsItsOrder) {
    closes_ = true;
    os::Command command;
    command.arguments = {HF_CAPI_EXAMPLE, socket(), "EURUSD", "buy", "0.10"};
    const auto finished = os::run(command);
    ASSERT_TRUE(finished) << finished.error().message;
    EXPECT_TRUE(finished->status.ok()) << finished->errors;
    EXPECT_THAT(finished->output, HasSubstr("filled"));
    EXPECT_EQ(engine_.orders(), 1u);
}

TEST(Capi, ShowsNothingButItsOwnNames) {
    os::Command command;
    command.arguments = {"nm", "-D", "--defined-only", HF_CAPI_LIBRARY};
    const auto finished = os::run(command);
    ASSERT_TRUE(finished && finished->status.ok());
    std::istringstream lines(finished->output);
    unsigned functions = 0;
    for (std::string address, kind, name; lines >> address >> kind >> name;) {
        EXPECT_TRUE(name.starts_with("hf_") || name.starts_with("HOLDFAST_1")) << name;
        functions += kind == "T";
    }
    EXPECT_EQ(functions, 12u);
}

}    // namespace
}    // namespace holdfast::trade
