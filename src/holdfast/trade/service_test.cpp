// The engine as a running thing, against the paper broker: stopped, dropped as if killed, and started again while signals flow.

#include "holdfast/trade/service.hpp"

#include <gtest/gtest.h>

#include <future>
#include <random>
#include <set>

#include "holdfast/broker/paper.hpp"
#include "holdfast/broker/paper_server.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::trade {
namespace {

using namespace std::chrono_literals;
using ledger::Decimal;
using ledger::OrderState;
using ledger::Uuid;

os::SystemClock g_clock;

class ServiceTest : public testing::Test {
protected:
    void SetUp() override {
        broker::PaperServerOptions options;
        options.rules.symbols = {"EURUSD"};
        options.file = folder_.path() + "/book";
        auto server = broker::PaperServer::start(options, g_clock);
        ASSERT_TRUE(server) << server.error().message;
        paper_ = std::move(*server);
        auto control = broker::PaperControl::connect(paper_->address());
        ASSERT_TRUE(control) << control.error().message;
        control_.emplace(std::move(*control));
        ASSERT_TRUE(control_->tick({"EURUSD", Decimal::whole(1), Decimal::whole(2), {}}));
    }

    void start(std::unique_ptr<LeaseStore> lease = no_lease(g_clock)) {
        ServiceOptions options;
        options.account = "acct";
        options.instance = "here";
        options.folder = folder_.path() + "/journal";
        // Patience as short as a test's.
        options.rules.answer_max = 300ms;
        options.rules.ask_again = 100ms;
        options.rules.retries = {50ms, 100ms};
        options.rules.look_again = 500ms;
        // But on a busy machine no signal may expire that a test expects to be traded.
        options.rules.signal_ttl = 1h;
        auto service = Service::start(std::move(options), broker::PaperBroker::create(paper_->address()).value(),
                                      std::move(lease), g_clock);
        ASSERT_TRUE(service) << service.error().message;
        service_ = std::move(*service);
        service_->tell(ledger::StoresAgreed{});
    }
    static ledger::Signal signal(std::uint64_t n) {
        ledger::Signal signal;
        signal.id.bytes[0] = std::byte{7};
        store_le(signal.id.bytes.data() + 8, n);
        signal.symbol = "EURUSD";
        signal.quantity = Decimal::whole(1);
        return signal;
    }
    /// Nothing when the service ended before it answered.
    std::optional<Outcome> submit(const ledger::Signal& signal) {
        auto answer = std::make_shared<std::promise<Outcome>>();
        auto future = answer->get_future();
        service_->submit({signal, [answer](const Outcome& outcome) { answer->set_value(outcome); }});
        if (future.wait_for(30s) != std::future_status::ready) return std::nullopt;
        return future.get();
    }
    /// Until the engine trades: a standby answers `unavailable`.
    std::optional<Outcome> submit_until_taken(const ledger::Signal& signal) {
        std::optional<Outcome> outcome;
        for (int i = 0; i < 3000; ++i) {
            outcome = submit(signal);
            if (!outcome || outcome->verdict != Outcome::Verdict::unavailable) break;
            g_clock.sleep(10ms);
        }
        return outcome;
    }
    void wait_until_none_is_open() {
        for (int i = 0; i < 6000 && !service_->open_orders().empty(); ++i) g_clock.sleep(10ms);
        EXPECT_TRUE(service_->open_orders().empty());
    }

    os::TempFolder folder_ = os::TempFolder::create("hf-service").value();
    std::unique_ptr<broker::PaperServer> paper_;
    std::optional<broker::PaperControl> control_;
    std::unique_ptr<Service> service_;
};

TEST_F(ServiceTest, ASignalBecomesAnOrderAndItsExecutionIsKnownAfterAStop) {
    start();
    const auto outcome = submit_until_taken(signal(1));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->verdict, Outcome::Verdict::accepted);
    wait_until_none_is_open();
    EXPECT_EQ(service_->order(signal(1).id)->state, OrderState::filled);
    ASSERT_TRUE(service_->stop());
    service_.reset();
    start();
    const auto again = submit_until_taken(signal(1));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->verdict, Outcome::Verdict::duplicate);
    EXPECT_EQ(again->order->state, OrderState::filled);
    EXPECT_EQ(control_->list()->orders.size(), 1u);
}

TEST_F(ServiceTest, AnotherSignalWithAUuidThatIsTakenIsRefused) {
    start();
    ledger::Signal limit = signal(1);
    limit.type = ledger::OrderType::limit;
    limit.price = Decimal::parse("0.5").value();    // works, and is not filled
    ASSERT_EQ(submit_until_taken(limit)->verdict, Outcome::Verdict::accepted);
    limit.quantity = Decimal::whole(2);
    const auto outcome = submit(limit);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->verdict, Outcome::Verdict::refused);
}

TEST_F(ServiceTest, TheJournalIsLockedAgainstASecondEngine) {
    start();
    ServiceOptions options;
    options.account = "acct";
    options.folder = folder_.path() + "/journal";
    const auto second = Service::start(std::move(options), broker::PaperBroker::create(paper_->address()).value(),
                                       no_lease(g_clock), g_clock);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::locked);
}

/// Grants at once; its tokens leave gaps, as a clock's do.
class ClockedLease final : public LeaseStore {
public:
    explicit ClockedLease(FencingToken& last) : last_(last) {}
    Result<LeaseAnswer> acquire(std::optional<FencingToken>) override {
        const FencingToken previous = std::exchange(last_, last_ + 1000);
        return LeaseGrant{last_, 60s, previous};
    }
    Result<LeaseAnswer> renew(FencingToken) override { return LeaseGrant{last_, 60s}; }
    Status release(FencingToken) override { return {}; }
    std::string name() const override { return "clocked"; }

private:
    FencingToken& last_;
};

TEST_F(ServiceTest, OnlyAnotherHolderOfTheLeaseCountsAsOthersThatTraded) {
    FencingToken last = 1000;
    const auto run = [&](std::uint64_t n) {
        start(std::make_unique<ClockedLease>(last));
        EXPECT_TRUE(submit_until_taken(signal(n)));
        EXPECT_EQ(service_->status().lease, "held");
        EXPECT_TRUE(service_->stop());
        service_.reset();
    };
    run(1);    // nobody knows who had 1000
    run(2);
    last += 1000;    // somebody
    run(3);
    std::vector<bool> foreign;
    Journal::Options options;
    options.log.account = "acct";
    auto journal = Journal::open(folder_.path() + "/journal", std::move(options));
    ASSERT_TRUE(journal) << journal.error().message;
    auto reader = (*journal)->reader(0);
    ASSERT_TRUE(reader) << reader.error().message;
    for (;;) {
        const auto record = reader->next((*journal)->durable());
        ASSERT_TRUE(record) << record.error().message;
        if (!*record) break;
        const auto fact = ledger::parse_fact((*record)->payload);
        ASSERT_TRUE(fact);
        if (const auto* session = std::get_if<ledger::SessionStarted>(&fact->data)) foreign.push_back(session->foreign);
    }
    EXPECT_EQ(foreign, (std::vector<bool>{true, false, true}));
}

// Requirements: MT-07, HA-05, DD-09.
TEST_F(ServiceTest, DroppedAtAnyMomentItTradesEachSignalOnce) {
    std::mt19937_64 random(20261127);
    std::set<std::uint64_t> accepted;
    std::uint64_t next = 1;
    ASSERT_TRUE(control_->tell(
        json::Value::object({{"do", "faults"}, {"lose", 0.05}, {"twice", 0.05}, {"swap", 0.05}, {"drop", 0.01}})));
    constexpr int k_rounds = 8;
    for (int round = 0; round < k_rounds; ++round) {
        start();
        for (int i = 0; i < 40; ++i) {
            const std::uint64_t n = random() % 4 == 0 && next > 1 ? 1 + random() % (next - 1) : next++;
            const auto outcome = submit_until_taken(signal(n));
            if (outcome &&
                (outcome->verdict == Outcome::Verdict::accepted || outcome->verdict == Outcome::Verdict::duplicate))
                accepted.insert(n);
        }
        if (round % 3 == 2) {
            ASSERT_TRUE(service_->stop());
        }
        service_.reset();    // without stop(): as if killed
    }
    ASSERT_TRUE(control_->tell(
        json::Value::object({{"do", "faults"}, {"lose", 0.0}, {"twice", 0.0}, {"swap", 0.0}, {"drop", 0.0}})));
    start();
    ASSERT_TRUE(submit_until_taken(signal(next)));
    wait_until_none_is_open();
    const auto listing = control_->list();
    ASSERT_TRUE(listing);
    std::map<Uuid, Decimal> filled;
    std::set<Uuid> orders;
    for (const auto& entry : listing->orders) EXPECT_TRUE(orders.insert(entry.order.id).second);
    for (const auto& execution : listing->executions) filled[execution.order] += execution.quantity;
    for (const auto& [id, quantity] : filled) {
        EXPECT_LE(quantity, Decimal::whole(1)) << id.text();
        EXPECT_EQ(service_->order(id)->filled, quantity) << id.text();
    }
    EXPECT_GE(accepted.size(), std::size_t{k_rounds} * 20);
    for (const std::uint64_t n : accepted) {
        const auto order = service_->order(signal(n).id);
        ASSERT_TRUE(order) << n;
        EXPECT_EQ(order->state, OrderState::filled) << n;
        EXPECT_TRUE(orders.contains(signal(n).id)) << n;
    }
}

}    // namespace
}    // namespace holdfast::trade
