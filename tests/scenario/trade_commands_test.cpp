// `holdfast trade` as its user sees it, with the paper broker and a journal only. Requirements: EA-08, NS-21.

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "holdfast/broker/paper.hpp"
#include "holdfast/http/line.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/socket.hpp"
#include "scenario.hpp"

namespace holdfast::scenario {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* k_id = "0197b8e4-7b6a-7c3e-9d3f-000000000001";
os::SystemClock g_clock;

std::string program(std::string_view name) {
    const std::string own = os::own_program();
    return own.substr(0, own.rfind('/') + 1) + std::string(name);
}

class TradeCommands : public Scenario {
protected:
    void SetUp() override {
        os::Command broker;
        broker.arguments = {program("holdfast-paper-broker"), "--listen", at("paper"), "--book", at("book")};
        broker.output_file = at("broker.log");
        broker.errors = os::Stream::null;
        auto process = os::Process::start(broker);
        ASSERT_TRUE(process) << process.error().message;
        broker_.emplace(*std::move(process));
        for (int i = 0; i < 3000 && !broker::PaperControl::connect(at("paper")); ++i) g_clock.sleep(10ms);
        write(at("holdfast.toml"), config("desk-1", ""));
    }
    std::string config(std::string_view account, std::string_view more) const {
        return fmt::format(
            "[[journal]]\npath = \"{0}\"\n[[trade]]\naccount = \"{1}\"\ninstance = \"here\"\n{2}\n"
            "[trade.broker]\nkind = \"paper\"\naddress = \"{3}\"\n",
            at("journal"), account, more, at("paper"));
    }
    Answer trade(std::vector<std::string> words, const Environment& environment = {}) const {
        words.insert(words.begin(), {"--config", at("holdfast.toml"), "trade"});
        return holdfast_bare(std::move(words), environment);
    }
    void start(const Environment& environment = {}) {
        os::Command engine = command({"--config", at("holdfast.toml"), "trade", "run"}, environment);
        engine.output_file = at("engine.log");
        engine.errors = os::Stream::null;
        auto process = os::Process::start(engine);
        ASSERT_TRUE(process) << process.error().message;
        engine_.emplace(*std::move(process));
    }
    void wait_until(std::string_view what, const std::function<bool(const json::Value&)>& is_so) const {
        Answer last;
        for (int i = 0; i < 600; ++i) {
            last = trade({"status", "--json"});
            if (const auto status = json::parse(last.output, "status"); status && is_so(*status)) return;
            g_clock.sleep(100ms);
        }
        const auto log = os::read_text(at("engine.log"));
        FAIL() << what << " never came: " << last.output << last.errors << (log ? *log : "");
    }
    void wait_for_gate() const {
        wait_until("the open gate", [](const json::Value& status) { return status["gate"].text() == "open"; });
    }
    void tick() const {
        auto control = broker::PaperControl::connect(at("paper"));
        ASSERT_TRUE(control) << control.error().message;
        ASSERT_TRUE(control->tick({"EURUSD", ledger::Decimal::whole(1), ledger::Decimal::whole(2), {}}));
    }
    void stop() {
        engine_->kill(SIGTERM);
        const auto ended = engine_->wait(60s);
        ASSERT_TRUE(ended) << ended.error().message;
        EXPECT_TRUE(ended->ok()) << ended->text();
        engine_.reset();
    }

    std::optional<os::Process> broker_, engine_;
};

TEST_F(TradeCommands, ASignalIsTradedShownAndRemembered) {
    start();
    wait_for_gate();
    tick();
    const Answer taken = trade({"submit", "--id", k_id, "--symbol", "EURUSD", "--side", "buy", "--quantity", "1.5",
                                "--type", "limit", "--price", "1.2"});
    ASSERT_EQ(taken.exit, 0) << taken.errors;
    EXPECT_THAT(taken.output, AllOf(HasSubstr(k_id), HasSubstr("accepted")));
    wait_until("the working order", [](const json::Value& status) { return status["orders"]["open"].natural() == 1; });
    EXPECT_THAT(trade({"orders"}).output, AllOf(HasSubstr(k_id), HasSubstr("EURUSD"), HasSubstr("1.5")));
    // The same signal again is the same order; another one under its name is refused.
    EXPECT_THAT(trade({"submit", "--id", k_id, "--symbol", "EURUSD", "--side", "buy", "--quantity", "1.5", "--type",
                       "limit", "--price", "1.2"})
                    .output,
                HasSubstr("duplicate"));
    const Answer other = trade({"submit", "--id", k_id, "--symbol", "EURUSD", "--side", "sell", "--quantity", "9"});
    EXPECT_EQ(other.exit, 1);
    EXPECT_THAT(other.errors, HasSubstr("UUID"));

    EXPECT_EQ(trade({"cancel", k_id}).exit, 0);
    wait_until("the cancellation", [](const json::Value& status) { return status["orders"]["open"].natural() == 0; });
    const Answer life = trade({"order", k_id});
    EXPECT_THAT(life.output, AllOf(HasSubstr("signal_accepted"), HasSubstr("order_intended"), HasSubstr("order_acked"),
                                   HasSubstr("cancel_requested"), HasSubstr("cancelled")));
    stop();
    // The journal tells it also when no engine runs.
    EXPECT_EQ(trade({"order", k_id, "--json"}).json()["now"]["state"].text(), "cancelled");
}

TEST_F(TradeCommands, MarketOrdersAreFilledWhileOneWaits) {
    start();
    wait_for_gate();
    tick();
    os::Command submit = command({"--config", at("holdfast.toml"), "trade", "submit", "--symbol", "EURUSD", "--side",
                                  "buy", "--quantity", "1", "--wait", "60", "--json"});
    auto waiting = os::Process::start(submit);
    ASSERT_TRUE(waiting) << waiting.error().message;
    wait_until("the order", [](const json::Value& status) {
        return status["orders"]["remembered"].natural() + status["orders"]["open"].natural() == 1;
    });
    for (int i = 0; i < 100; ++i) {
        tick();
        if (const auto ended = waiting->wait(200ms)) {
            EXPECT_TRUE(ended->ok()) << ended->text() << waiting->errors();
            return;
        }
    }
    FAIL() << "the order was never filled";
}

TEST_F(TradeCommands, PausedItTakesSignalsAndSendsNone) {
    start({{"TRADING_ENABLED", "false"}});
    wait_until("the pause", [](const json::Value& status) {
        return !status["trading"].boolean(true) && status["waits_for"].items().size() == 1;
    });
    EXPECT_EQ(trade({"status"}).exit, 1);
    EXPECT_THAT(trade({"status"}).output, AllOf(HasSubstr("gate closed"), HasSubstr("paused")));
    EXPECT_EQ(trade({"submit", "--id", k_id, "--symbol", "EURUSD", "--side", "buy", "--quantity", "1"}).exit, 0);
    auto control = broker::PaperControl::connect(at("paper"));
    ASSERT_TRUE(control);
    EXPECT_TRUE(control->list()->orders.empty());
    EXPECT_EQ(trade({"resume"}).exit, 0);
    wait_for_gate();
    for (int i = 0; i < 3000 && control->list()->orders.empty(); ++i) g_clock.sleep(10ms);
    EXPECT_EQ(control->list()->orders.size(), 1u);
    // It stays over a restart.
    EXPECT_EQ(trade({"pause"}).exit, 0);
    stop();
    start();
    wait_until("the pause", [](const json::Value& status) { return !status["trading"].boolean(true); });
    stop();
}

// Requirement: EA-02. Prices go to the market and nowhere else: nothing of them is kept that a restart or a backup could repeat.
TEST_F(TradeCommands, TicksAreNeitherKeptNorBackedUp) {
    start();
    wait_for_gate();
    const auto facts = [&] { return trade({"status", "--json"}).json()["journal"]["last"].natural(); };
    const std::uint64_t before = facts();
    http::Line line({at("journal/engine.sock"), {}, 0}, {});
    for (int i = 0; i < 100; ++i) {
        const auto taken = line.ask("POST", "/v1/ticks", R"([{"symbol":"TICKONLY","bid":"1.1","ask":"1.2"}])", 10s);
        ASSERT_TRUE(taken) << taken.error().message;
        ASSERT_EQ(taken->status, 200) << taken->body;
    }
    EXPECT_EQ(facts(), before);
    make_cheap_repository();
    ASSERT_EQ(holdfast({"backup", "--config", at("holdfast.toml")}).exit, 0);
    ASSERT_EQ(holdfast({"restore", "latest", "--target", at("back")}).exit, 0);
    stop();
    // grep finds nothing: 1.
    for (const std::string& folder : {at("journal"), at("back")})
        EXPECT_EQ(run({"grep", "-r", "-a", "-q", "TICKONLY", folder}).exit, 1) << folder;
    start();
    wait_for_gate();
    EXPECT_EQ(run({"grep", "-r", "-a", "-q", "TICKONLY", at("journal")}).exit, 1);
    stop();
}

TEST_F(TradeCommands, TwoEnginesNeverShareAJournal) {
    start();
    wait_for_gate();
    const Answer second = trade({"run"});
    EXPECT_EQ(second.exit, 11) << second.errors;
    EXPECT_THAT(second.errors, HasSubstr("account desk-1"));
    EXPECT_EQ(trade({"status"}).exit, 0) << "the first one goes on";
    stop();
}

TEST_F(TradeCommands, WhatIsWrongIsSaidWithItsRemedy) {
    const Answer nobody = trade({"status"});
    EXPECT_EQ(nobody.exit, 1);
    EXPECT_THAT(nobody.errors, AllOf(HasSubstr("desk-1"), HasSubstr("holdfast trade run")));
    EXPECT_THAT(trade({"submit", "--symbol", "EURUSD"}).errors, HasSubstr("--side"));
    EXPECT_THAT(trade({"status", "--account", "desk-2"}).errors, HasSubstr("use --account with one of: desk-1"));
    EXPECT_THAT(trade({"order", "abc"}).errors, HasSubstr("no UUID"));
    start();
    wait_for_gate();
    const Answer unknown = trade({"order", k_id});
    EXPECT_EQ(unknown.exit, 1);
    EXPECT_THAT(unknown.errors, HasSubstr("nothing about"));
    EXPECT_THAT(trade({"cancel", k_id}).errors, Not(HasSubstr("under way")));
    EXPECT_THAT(trade({"resume-sync", "clickhouse"}).errors, HasSubstr("no such store"));
    EXPECT_THAT(trade({"submit", "--symbol", "EURUSD", "--side", "buy", "--quantity", "NaN"}).errors,
                HasSubstr("quantity"));
    stop();
    write(at("holdfast.toml"), "[repository]\nlocation = \"/nowhere\"\n");
    EXPECT_THAT(trade({"run"}).errors, HasSubstr("no account to trade"));
}

// NS-21: a restore pauses an engine that trades, and lets it go on when everything passed; one that was paused before stays so.
TEST_F(TradeCommands, ARestorePausesTheEngineAndLetsItGoOn) {
    make_files(at("etc"));
    const std::string paused = fmt::format("{} --config {} trade status --json | grep -Eq '\"trading\": ?false'",
                                           program("holdfast"), at("holdfast.toml"));
    write(at("holdfast.toml"),
          config("desk-1", "") + fmt::format("[[files]]\npaths = [\"{}\"]\n[restore]\ncheck_wait_seconds = 0\n"
                                             "check_commands = [[\"sh\", \"-c\", '''{}''']]\n",
                                             at("etc"), paused));
    make_cheap_repository();
    const auto configured = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {"--config", at("holdfast.toml")});
        return holdfast(std::move(words));
    };
    ASSERT_EQ(configured({"backup", "--only", "config"}).exit, 0);
    start();
    wait_for_gate();
    const auto trades = [&] {
        return json::parse(trade({"status", "--json"}).output, "status").value()["trading"].boolean();
    };
    Answer restored = configured({"restore", "latest", "--only", "config", "--replace", "--yes"});
    EXPECT_EQ(restored.exit, 0) << restored.output << restored.errors;
    EXPECT_THAT(restored.errors,
                AllOf(HasSubstr("the engine of desk-1 is paused"), HasSubstr("the engine of desk-1 goes on")));
    EXPECT_TRUE(trades());
    ASSERT_EQ(trade({"pause"}).exit, 0);
    restored = configured({"restore", "latest", "--only", "config", "--replace", "--yes"});
    EXPECT_EQ(restored.exit, 0) << restored.output << restored.errors;
    EXPECT_FALSE(trades());
    ASSERT_EQ(trade({"resume"}).exit, 0);
    stop();
}

}    // namespace
}    // namespace holdfast::scenario
