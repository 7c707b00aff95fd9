// The FIX adapter against a real QuickFIX acceptor, in a network namespace: the acceptor cannot be bound to one address.

#include "holdfast/broker/fix.hpp"

#include <gmock/gmock.h>

#include <array>
#include <future>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/broker/broker_suite.hpp"
#include "holdfast/broker/paper.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/os/socket.hpp"
#include "holdfast/testing/fault_proxy.hpp"
#include "holdfast/testing/private_network.hpp"

namespace holdfast::broker {
namespace {

using namespace std::chrono_literals;

const os::SystemClock g_clock;
constexpr std::string_view k_password = "hunter2-open-sesame";

// Before any thread exists.
const Status g_network = testing::enter_private_network();

class FixStand final : public BrokerStand {
public:
    FixStand() : folder_(os::TempFolder::create("hf-fix").value()) {
        EXPECT_TRUE(g_network) << g_network.error().message << "; " << g_network.error().hint;
        if (!g_network) return;
        port_ = os::free_port().value();
        restart();
        proxy_ = testing::FaultProxy::start(port_).value();
        options.host = "127.0.0.1";
        options.port = proxy_->port();
        options.sender = "HOLDFAST";
        options.target = "BROKER";
        options.folder = folder_.path() + "/ours";
        options.reconnect_seconds = 1;
        options.heartbeat_seconds = 10;
        options.username = "trader";
    }
    std::unique_ptr<Broker> adapter() override {
        FixOptions now = {options.host,
                          options.port,
                          options.sender,
                          options.target,
                          options.folder,
                          options.account,
                          options.username,
                          Secret(std::string(k_password)),
                          options.heartbeat_seconds,
                          options.reconnect_seconds,
                          options.reset_sequence,
                          options.mass_status,
                          {},
                          {}};
        return FixBroker::create(std::move(now), g_clock).value();
    }
    void tick(const std::string& bid, const std::string& ask, const std::string& size) override {
        const Status told = control_->tick({"EURUSD", Decimal::parse(bid).value(), Decimal::parse(ask).value(),
                                            Decimal::parse(size.empty() ? "0" : size).value()});
        ASSERT_TRUE(told) << told.error().message;
    }
    void cut() override { proxy_->cut_now(); }
    void hang(bool on) { proxy_->hang(on); }
    void shut(bool on) override {
        proxy_->plan([on](unsigned) { return testing::LineFaults{{}, {}, on}; });
        if (on) proxy_->cut_now();
    }
    void repeat(bool on) override {
        ASSERT_TRUE(control_->tell(json::Value::object({{"do", "faults"}, {"twice", on ? 1.0 : 0.0}})));
    }
    void restart() override {
        control_.reset();
        server_.reset();
        os::Command command;
        command.arguments = {std::string(HF_BIN_DIR) + "/hf-fix-acceptor", std::to_string(port_), folder_.path()};
        auto started = os::Process::start(command);
        ASSERT_TRUE(started) << started.error().message;
        server_.emplace(std::move(*started));
        std::array<char, 6> ready{};
        const auto n = os::read_full(server_->output(), std::as_writable_bytes(std::span(ready)));
        ASSERT_TRUE(n && *n == ready.size()) << server_->errors();
        auto control = PaperControl::connect(folder_.path() + "/paper");
        ASSERT_TRUE(control) << control.error().message;
        control_.emplace(std::move(*control));
    }
    PaperControl& control() { return *control_; }
    /// Until the FIX side has made a report of each execution: it hears of them on its own, after the tick is answered.
    void wait_reported() {
        const auto listing = control_->list();
        ASSERT_TRUE(listing) << listing.error().message;
        const auto all_there = [&] {
            const auto sent = os::read_text(folder_.path() + "/fix/FIX.4.4-BROKER-HOLDFAST.body");
            return sent && std::ranges::all_of(listing->executions, [&](const ledger::Execution& one) {
                       return sent->find("\00117=" + one.id + '\001') != sent->npos;
                   });
        };
        for (const auto end = std::chrono::steady_clock::now() + 60s; !all_there(); std::this_thread::sleep_for(5ms))
            ASSERT_LT(std::chrono::steady_clock::now(), end);
    }
    const std::string& folder() const { return folder_.path(); }

    FixOptions options;

private:
    os::TempFolder folder_;
    std::uint16_t port_ = 0;
    std::optional<os::Process> server_;
    std::unique_ptr<testing::FaultProxy> proxy_;
    std::optional<PaperControl> control_;
};

INSTANTIATE_TEST_SUITE_P(Fix, BrokerSuite,
                         ::testing::Values(StandMaker{"QuickFix", [] { return std::make_unique<FixStand>(); }}),
                         [](const auto& maker) { return maker.param.name; });

class FixTest : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(g_network) << g_network.error().message << "; " << g_network.error().hint; }
    void TearDown() override {
        if (broker_) broker_->stop();
    }
    void connect() {
        if (broker_) broker_->stop();
        const std::size_t begin = heard_.size();
        broker_ = stand_.adapter();
        const Status started = broker_->start(heard_.sink());
        ASSERT_TRUE(started) << started.error().message;
        ASSERT_TRUE(heard_.wait(ReportKind::link_up, {}, begin));
    }
    static ledger::Order order(std::uint32_t number, const std::string& symbol = "EURUSD") {
        ledger::Order order;
        order.id.bytes[0] = std::byte{7};
        store_le(order.id.bytes.data() + 12, number);
        order.signal = order.id;
        order.symbol = symbol;
        order.type = ledger::OrderType::limit;
        order.price = Decimal::parse("1.2").value();
        order.quantity = Decimal::whole(10);
        return order;
    }
    FixStand stand_;
    Heard heard_;
    std::unique_ptr<Broker> broker_;
};

// Requirement: EA-16
TEST_F(FixTest, TakesARejectOfEitherKindThatNamesTheOrderAsDefinite) {
    connect();
    const ledger::Order one = order(1, "BUSINESS"), two = order(2, "MALFORMED");
    ASSERT_TRUE(broker_->send(one));
    const auto business = heard_.wait(ReportKind::rejected, one.id);
    ASSERT_TRUE(business);
    EXPECT_EQ(business->text, "not taken");
    ASSERT_TRUE(broker_->send(two));
    EXPECT_TRUE(heard_.wait(ReportKind::rejected, two.id));
}

// What was handed to a line that had died is kept by QuickFIX, and the broker asks for it after the next Logon: it gets a gap
// fill. The order must not come to life after it was called unknown; and the first one after link_up must not be
// covered by that gap fill.
TEST_F(FixTest, NeverSendsAnOrderASecondTimeAndLosesNoneAfterAGap) {
    connect();
    std::set<Uuid> arrived;
    for (std::uint32_t round = 1; round <= 3; ++round) {
        std::vector<ledger::Order> lost;
        stand_.hang(true);
        for (std::uint32_t i = 0; i < 50; ++i) {
            lost.push_back(order(round * 1000 + i));
            ASSERT_TRUE(broker_->send(lost.back()));
        }
        const std::size_t begin = heard_.size();
        stand_.shut(true);
        ASSERT_TRUE(heard_.wait(ReportKind::link_down, {}, begin));
        EXPECT_FALSE(broker_->send(order(round * 1000 + 100)));
        stand_.hang(false);
        stand_.shut(false);
        ASSERT_TRUE(heard_.wait(ReportKind::link_up, {}, begin));
        const ledger::Order first = order(round * 1000 + 200);
        ASSERT_TRUE(broker_->send(first));
        ASSERT_TRUE(heard_.wait(ReportKind::acked, first.id));
        arrived.insert(first.id);
        std::uint64_t question = round * 1000;
        for (const ledger::Order& one : lost) {
            ASSERT_TRUE(broker_->query(one, ++question));
            const auto said = heard_.wait([&](const Report& r) { return r.order == one.id; });
            ASSERT_TRUE(said);
            EXPECT_EQ(said->kind, ReportKind::unknown);
        }
    }
    const auto listing = stand_.control().list();
    ASSERT_TRUE(listing) << listing.error().message;
    EXPECT_EQ(listing->duplicates, 0u);
    std::set<Uuid> there;
    for (const auto& entry : listing->orders) there.insert(entry.order.id);
    EXPECT_EQ(there, arrived);
}

// Else a question that got lost would shift all later answers, and the engine would wait for its own for ever.
TEST_F(FixTest, TakesAnAnswerWithoutNameAsOneToTheNewestQuestion) {
    connect();
    const ledger::Order never = order(1, "UNNAMED");
    ASSERT_TRUE(broker_->query(never, 1));
    ASSERT_TRUE(broker_->query(never, 2));
    const auto unknown = heard_.wait(ReportKind::unknown, never.id);
    ASSERT_TRUE(unknown);
    EXPECT_EQ(unknown->question, 2u);
}

// Sequence numbers were begun anew while executions waited: their reports are lost, what they filled is not.
TEST_F(FixTest, TakesOverFillsWhoseReportsASessionResetHasLost) {
    connect();
    const ledger::Order one = order(1);
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    stand_.tick("1.0999", "1.1001", "2");
    ASSERT_TRUE(heard_.wait_filled(one.id, "2"));
    broker_->stop();
    stand_.tick("1.0999", "1.1003", "3");
    stand_.tick("1.0999", "1.1005", "1");
    stand_.wait_reported();
    stand_.options.reset_sequence = true;
    connect();
    ledger::Order known = one;
    known.filled = Decimal::whole(2);
    for (std::uint64_t question = 1; question <= 2; ++question) {
        const std::size_t begin = heard_.size();
        ASSERT_TRUE(broker_->query(known, question));
        ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id, begin));
    }
    ASSERT_TRUE(heard_.wait_filled(one.id, "6"));
    const auto all = heard_.all();
    const auto taken = std::ranges::find_if(all, [](const Report& r) { return r.execution.id.starts_with("S-"); });
    ASSERT_NE(taken, all.end());
    EXPECT_EQ(taken->execution.quantity.text(), "4");
    EXPECT_NEAR(static_cast<double>(taken->execution.price.units) / 1e8, (3 * 1.1003 + 1.1005) / 4, 1e-6);
    // And it keeps its name.
    stand_.options.reset_sequence = false;
    connect();
    const std::size_t begin = heard_.size();
    ASSERT_TRUE(broker_->query(known, 3));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id, begin));
    EXPECT_TRUE(heard_.wait_filled(one.id, "6"));
}

// What the broker changes afterwards is said, and neither it nor the new count becomes an execution.
TEST_F(FixTest, SaysThatATradeWasChangedAndCountsNothingTwice) {
    connect();
    ledger::Order one = order(1);
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id));
    stand_.tick("1.0999", "1.1001", "3");
    ASSERT_TRUE(heard_.wait_filled(one.id, "3"));
    for (const char* what : {"CORRECT", "BUST"}) {
        ledger::Order at = one;
        at.symbol = what;
        const std::size_t begin = heard_.size();
        ASSERT_TRUE(broker_->cancel(at));
        const auto changed = heard_.wait(ReportKind::changed, one.id, begin);
        ASSERT_TRUE(changed);
        EXPECT_THAT(changed->text, ::testing::HasSubstr("settle it by hand"));
    }
    one.filled = Decimal::whole(3);
    for (int run = 0; run < 2; ++run) {
        for (std::uint64_t question = 1; question <= 3; ++question) {
            const std::size_t begin = heard_.size();
            ASSERT_TRUE(broker_->query(one, question));
            ASSERT_TRUE(heard_.wait(ReportKind::acked, one.id, begin));
        }
        connect();    // it knows it after a restart, too
    }
    EXPECT_TRUE(heard_.wait_filled(one.id, "3"));
}

// As after a power loss: QuickFIX's files, which nobody syncs, are old and torn.
TEST_F(FixTest, GoesOnWithNumbersThatWereNotUsedWhenItsFilesAreOld) {
    connect();
    const std::string prefix = stand_.options.folder + "/FIX.4.4-HOLDFAST-BROKER",
                      numbers = stand_.options.folder + "/numbers";
    const std::string old = os::read_text(prefix + ".seqnums").value();
    constexpr std::uint32_t k_orders = 1100;    // more than are reserved at once
    for (std::uint32_t i = 1; i <= k_orders; ++i) ASSERT_TRUE(broker_->send(order(i)));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, order(k_orders).id));
    broker_->stop();
    const std::string reserved = os::read_text(numbers).value();
    ASSERT_TRUE(os::write_file(numbers, as_bytes(reserved.substr(0, reserved.find(' ')) + " another boot\n")));
    ASSERT_TRUE(os::write_file(prefix + ".seqnums", as_bytes(old)));
    const std::string body = os::read_text(prefix + ".body").value();
    ASSERT_TRUE(os::write_file(prefix + ".body", as_bytes(body.substr(0, body.size() / 2) + std::string(1000, '\0'))));
    std::mutex mutex;
    std::string errors;
    set_log({.level = LogLevel::error, .json = false, .timestamp = {}, .sink = [&](std::string_view line) {
                 const std::scoped_lock lock(mutex);
                 errors += line;
             }});
    connect();
    set_log({});
    EXPECT_EQ(errors, "") << "refused at first: each Logon uses up a number, so it comes right in the end";
    const ledger::Order next = order(k_orders + 1);
    ASSERT_TRUE(broker_->send(next));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, next.id));
    const auto listing = stand_.control().list();
    ASSERT_TRUE(listing) << listing.error().message;
    EXPECT_EQ(listing->orders.size(), k_orders + 1);
    EXPECT_EQ(listing->duplicates, 0u);
}

TEST_F(FixTest, SaysWhatToDoWhenTheBrokerExpectsOtherNumbers) {
    connect();
    const std::string file = stand_.options.folder + "/FIX.4.4-HOLDFAST-BROKER.seqnums";
    const std::string old = os::read_text(file).value();
    for (std::uint32_t i = 1; i <= 100; ++i) ASSERT_TRUE(broker_->send(order(i)));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, order(100).id));
    broker_->stop();
    ASSERT_TRUE(os::write_file(file, as_bytes(old)));    // as out of a backup, in the same boot
    std::promise<void> told;
    set_log({.level = LogLevel::error, .json = false, .timestamp = {}, .sink = [&](std::string_view line) {
                 if (line.find("start once with reset_sequence") != line.npos) told.set_value();
             }});
    broker_ = stand_.adapter();
    ASSERT_TRUE(broker_->start(heard_.sink()));
    EXPECT_EQ(told.get_future().wait_for(60s), std::future_status::ready);
    broker_->stop();
    set_log({});
}

TEST_F(FixTest, TellsOfAllOrdersAfterALogonWhenItIsToldTo) {
    connect();
    const ledger::Order one = order(1), two = order(2);
    ASSERT_TRUE(broker_->send(one));
    ASSERT_TRUE(broker_->send(two));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, two.id));
    ASSERT_TRUE(broker_->cancel(two));
    ASSERT_TRUE(heard_.wait(ReportKind::cancelled, two.id));
    stand_.options.mass_status = true;
    const std::size_t begin = heard_.size();
    connect();
    EXPECT_TRUE(heard_.wait(ReportKind::acked, one.id, begin));
    EXPECT_TRUE(heard_.wait(ReportKind::cancelled, two.id, begin));
}

TEST_F(FixTest, KeepsThePasswordOutOfItsFolderAndItsLog) {
    std::mutex mutex;
    std::string log;
    set_log({.level = LogLevel::debug, .json = false, .timestamp = {}, .sink = [&](std::string_view line) {
                 const std::scoped_lock lock(mutex);
                 log += line;
             }});
    connect();
    ASSERT_TRUE(broker_->send(order(1)));
    ASSERT_TRUE(heard_.wait(ReportKind::acked, order(1).id));
    const std::size_t begin = heard_.size();
    stand_.cut();
    ASSERT_TRUE(heard_.wait(ReportKind::link_up, {}, begin));
    broker_->stop();
    set_log({});
    EXPECT_NE(log, "");
    EXPECT_EQ(log.find(k_password), log.npos);
    const auto names = os::list_folder(stand_.options.folder);
    ASSERT_TRUE(names);
    bool logon = false;
    for (const std::string& name : *names) {
        const std::string path = stand_.options.folder + '/' + name;
        const std::string text = os::read_text(path).value();
        EXPECT_EQ(text.find(k_password), text.npos) << name;
        logon |= text.find("\00135=A\001") != text.npos;
        EXPECT_EQ(os::status_of(path).value().st_mode & 077, 0u) << name;
    }
    EXPECT_TRUE(logon) << "no Logon was stored: the test proves nothing";
}

TEST_F(FixTest, SaysWhatIsMissing) {
    const auto message_of = [](FixOptions options) {
        const auto made = FixBroker::create(std::move(options), g_clock);
        return made ? std::string() : made.error().message;
    };
    EXPECT_THAT(message_of({}), ::testing::HasSubstr("host and port"));
    FixOptions options;
    options.host = "127.0.0.1";
    options.port = 1;
    EXPECT_THAT(message_of(std::move(options)), ::testing::HasSubstr("CompID"));
}

TEST(FixTime, IsReadAndWrittenToTheMillisecond) {
    const Timestamp at = parse_rfc3339("2026-11-27T11:45:30.123456789Z").value();
    EXPECT_EQ(fix_time(at), "20261127-11:45:30.123");
    EXPECT_EQ(fix_time(parse_rfc3339("2026-11-27T11:45:30Z").value()), "20261127-11:45:30.000");
    EXPECT_EQ(fix_time(parse_rfc3339("2026-11-27T11:45:30.5Z").value()), "20261127-11:45:30.500");
    EXPECT_EQ(parse_fix_time("20261127-11:45:30.123456789"), at);
    EXPECT_EQ(parse_fix_time("20261127-11:45:30Z"), parse_rfc3339("2026-11-27T11:45:30Z").value());
    for (const char* bad : {"", "20261127", "20261327-11:45:30", "20261127 11:45:30", "2026-11-27-11:45"})
        EXPECT_FALSE(parse_fix_time(bad)) << bad;
}

}    // namespace
}    // namespace holdfast::broker
