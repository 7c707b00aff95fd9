#include "holdfast/broker/paper.hpp"

#include <gmock/gmock.h>

#include "holdfast/broker/broker_suite.hpp"
#include "holdfast/broker/paper_server.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::broker {
namespace {

using namespace std::chrono_literals;

const os::SystemClock g_clock;

class PaperStand final : public BrokerStand {
public:
    explicit PaperStand(bool unix_socket) : folder_(os::TempFolder::create("hf-paper").value()) {
        options_.file = folder_.path() + "/book";
        options_.rules.symbols = {"EURUSD"};
        if (unix_socket) options_.listen = folder_.path() + "/socket";
        restart();
        options_.listen = server_->address();    // the port that it got stays its own
    }
    std::unique_ptr<Broker> adapter() override { return PaperBroker::create(server_->address()).value(); }
    void tick(const std::string& bid, const std::string& ask, const std::string& size) override {
        const Tick tick{"EURUSD", Decimal::parse(bid).value(), Decimal::parse(ask).value(),
                        Decimal::parse(size.empty() ? "0" : size).value()};
        ASSERT_TRUE(control_->tick(tick));
    }
    void cut() override { tell({{"do", "drop"}}); }
    void shut(bool on) override { tell({{"do", "away"}, {"on", on}}); }
    void repeat(bool on) override { tell({{"do", "faults"}, {"twice", on ? 1.0 : 0.0}}); }
    void restart() override {
        control_.reset();
        server_.reset();
        auto server = PaperServer::start(options_, g_clock);
        ASSERT_TRUE(server) << server.error().message;
        server_ = std::move(*server);
        auto control = PaperControl::connect(server_->address());
        ASSERT_TRUE(control) << control.error().message;
        control_.emplace(std::move(*control));
    }
    PaperControl& control() { return *control_; }
    const PaperServerOptions& options() const { return options_; }
    PaperServerOptions& options() { return options_; }
    void end() { server_.reset(); }

private:
    void tell(std::initializer_list<std::pair<std::string, json::Value>> line) {
        const Status told = control_->tell(json::Value::object(line));
        ASSERT_TRUE(told) << told.error().message;
    }
    os::TempFolder folder_;
    PaperServerOptions options_;
    std::unique_ptr<PaperServer> server_;
    std::optional<PaperControl> control_;
};

INSTANTIATE_TEST_SUITE_P(Paper, BrokerSuite,
                         ::testing::Values(StandMaker{"Tcp", [] { return std::make_unique<PaperStand>(false); }},
                                           StandMaker{"Unix", [] { return std::make_unique<PaperStand>(true); }}),
                         [](const auto& maker) { return maker.param.name; });

ledger::Order order_of(std::uint64_t number) {
    ledger::Order order;
    store_le(order.id.bytes.data() + 8, number);
    order.signal = order.id;
    order.symbol = "EURUSD";
    order.quantity = Decimal::whole(10);
    return order;
}

// Requirement: EA-16
TEST(PaperServer, ListsItsBookAsItWasTold) {
    PaperStand stand(true);
    Heard heard;
    auto broker = stand.adapter();
    ASSERT_TRUE(broker->start(heard.sink()));
    ASSERT_TRUE(heard.wait(ReportKind::link_up, {}));
    for (std::uint64_t i = 1; i <= 50; ++i) ASSERT_TRUE(broker->send(order_of(i)));
    ASSERT_TRUE(broker->send(order_of(50)));
    ASSERT_TRUE(heard.wait(ReportKind::acked, order_of(50).id));
    stand.tick("1.0999", "1.1001", "");
    for (std::uint64_t i = 1; i <= 50; ++i) EXPECT_TRUE(heard.wait_filled(order_of(i).id, "10"));
    stand.restart();
    const auto listing = stand.control().list();
    ASSERT_TRUE(listing) << listing.error().message;
    EXPECT_EQ(listing->orders.size(), 50u);
    EXPECT_EQ(listing->executions.size(), 50u);
    EXPECT_EQ(listing->duplicates, 1u);
    for (const auto& entry : listing->orders) {
        EXPECT_EQ(entry.state, "filled");
        EXPECT_EQ(entry.order.filled.text(), "10");
    }
    broker->stop();
}

TEST(PaperServer, CutsATornEndAndRefusesADamagedBook) {
    PaperStand stand(true);
    Heard heard;
    auto broker = stand.adapter();
    ASSERT_TRUE(broker->start(heard.sink()));
    ASSERT_TRUE(heard.wait(ReportKind::link_up, {}));
    for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_TRUE(broker->send(order_of(i)));
    ASSERT_TRUE(heard.wait(ReportKind::acked, order_of(3).id));
    broker->stop();
    stand.end();
    const std::string file = stand.options().file;
    Bytes bytes = os::read_file(file).value();
    const Bytes whole = bytes;
    bytes.resize(bytes.size() - 5);
    ASSERT_TRUE(os::write_file(file, bytes));
    stand.restart();
    EXPECT_EQ(stand.control().list().value().orders.size(), 3u);
    stand.end();
    bytes = whole;
    bytes[30] ^= std::byte{1};
    ASSERT_TRUE(os::write_file(file, bytes));
    const auto server = PaperServer::start(stand.options(), g_clock);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ErrorCode::corrupt) << server.error().message;
}

TEST(PaperServer, LetsNoSecondOneWriteItsBook) {
    PaperStand stand(false);
    PaperServerOptions second = stand.options();
    second.listen = "127.0.0.1:0";
    const auto server = PaperServer::start(second, g_clock);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ErrorCode::exists);
}

TEST(PaperServer, ClosesTheOldSessionBeforeItWelcomesANewOne) {
    PaperStand stand(true);
    Heard heard, other;
    auto first = stand.adapter();
    ASSERT_TRUE(first->start(heard.sink()));
    ASSERT_TRUE(heard.wait(ReportKind::link_up, {}));
    auto second = stand.adapter();
    ASSERT_TRUE(second->start(other.sink()));
    ASSERT_TRUE(other.wait(ReportKind::link_up, {}));
    EXPECT_TRUE(heard.wait(ReportKind::link_down, {}));
    first->stop();
    second->stop();
}

// Lost, doubled and swapped answers, and a link that drops: with reconnects and questions every execution comes in the end,
// and none comes under two names.
TEST(PaperServer, HoldsNoExecutionBackForGood) {
    PaperStand stand(true);
    Heard heard;
    auto broker = stand.adapter();
    ASSERT_TRUE(broker->start(heard.sink()));
    ASSERT_TRUE(heard.wait(ReportKind::link_up, {}));
    stand.tick("1.0999", "1.1001", "");
    ASSERT_TRUE(stand.control().tell(
        json::Value::object({{"do", "faults"}, {"lose", 0.3}, {"twice", 0.2}, {"swap", 0.2}, {"drop", 0.02}})));
    // As an engine does it: sent again only when it is certain that the order is not there.
    std::uint64_t question = 0;
    for (std::uint64_t i = 1; i <= 100; ++i) {
        const ledger::Order order = order_of(i);
        std::size_t begin = heard.size();
        for (bool sent = false;;) {
            if (!sent && broker->send(order)) sent = true;
            const auto said = heard.wait([&](const Report& r) { return r.order == order.id; }, begin, 20ms);
            if (said && said->kind != ReportKind::unknown) break;
            begin = heard.size();
            if (said && said->question == question) sent = false;
            if (sent) broker->query(order, ++question);
        }
    }
    ASSERT_TRUE(stand.control().tell(
        json::Value::object({{"do", "faults"}, {"lose", 0}, {"twice", 0}, {"swap", 0}, {"drop", 0}})));
    stand.cut();
    const auto known = [&] { return stand.control().list().value().executions; };
    for (const ledger::Execution& execution : known())
        EXPECT_TRUE(heard.wait_filled(execution.order, "10")) << execution.id;
    EXPECT_EQ(known().size(), 100u);
    broker->stop();
}

TEST(PaperBroker, SaysWhatIsWrongWithAnAddress) {
    for (const char* bad : {"", "localhost", ":17", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"})
        EXPECT_EQ(PaperBroker::create(bad).error().code, ErrorCode::config) << bad;
    EXPECT_EQ(PaperBroker::create("127.0.0.1:7000").value()->name(), "paper at 127.0.0.1:7000");
}

}    // namespace
}    // namespace holdfast::broker
