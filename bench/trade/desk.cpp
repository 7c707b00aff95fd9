#include "desk.hpp"

#include <fmt/core.h>

#include <future>
#include <thread>

#include "bench.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::bench {
namespace {

constexpr unsigned k_priority = 10;

/// splitmix64, for the random half of an ID.
std::uint64_t mixed(std::uint64_t n) {
    n += 0x9e3779b97f4a7c15u;
    n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9u;
    n = (n ^ (n >> 27)) * 0x94d049bb133111ebu;
    return n ^ (n >> 31);
}

/// Of the only instance there is. Its tokens follow each other, so nobody else has traded in between.
class OwnLease final : public trade::LeaseStore {
public:
    Result<trade::LeaseAnswer> acquire(std::optional<trade::FencingToken> own) override {
        return trade::LeaseGrant{own.value_or(0) + 1, k_ttl, own.value_or(0)};
    }
    Result<trade::LeaseAnswer> renew(trade::FencingToken token) override { return trade::LeaseGrant{token, k_ttl}; }
    Status release(trade::FencingToken) override { return {}; }
    std::string name() const override { return "own"; }

private:
    static constexpr Duration k_ttl = std::chrono::hours(1);
};

Timestamp hour_ago() { return os::SystemClock().now() - std::chrono::hours(1); }

}    // namespace

ledger::Signal signal_number(std::uint64_t n) {
    ledger::Signal signal;
    const std::uint64_t time = 1'795'000'000'000 + n;    // milliseconds, the first 48 bits
    for (std::size_t i = 0; i < 6; ++i) signal.id.bytes[i] = static_cast<std::byte>(time >> (40 - 8 * i));
    signal.id.bytes[6] = std::byte{0x70};
    store_le(signal.id.bytes.data() + 8, mixed(n));
    signal.symbol = "EURUSD";
    signal.type = ledger::OrderType::market;
    signal.quantity = ledger::Decimal::whole(10);
    signal.strategy = "breakout-m15";
    return signal;
}

void Day::each_fact(const std::function<void(const ledger::Fact&)>& take) const {
    const Timestamp begin = hour_ago();
    std::int64_t noted = 0;
    const auto note = [&](ledger::FactData data) {
        // A fact every three microseconds: the first million within three seconds of the same day.
        take({begin + Duration(3'000 * noted++), std::move(data)});
    };
    for (std::uint64_t n = 0; n < count; ++n) {
        ledger::Signal signal = signal_number(n);
        const ledger::Uuid id = signal.id;
        // What stays open is an order that still works at the broker.
        const bool stays = n + open >= count;
        if (stays) {
            signal.type = ledger::OrderType::limit;
            signal.price = {108'512'000};
        }
        note(ledger::SignalAccepted{signal});
        note(ledger::OrderIntended{id, 1, 0, {}, {}});
        note(ledger::OrderSent{id, 1});
        note(ledger::OrderAcked{id, fmt::format("B{}", n)});
        const std::int64_t part = signal.quantity.units / executions;
        for (unsigned i = 0; i < executions; ++i) {
            ledger::Execution execution;
            execution.id = fmt::format("X{}-{}", n, i);
            execution.order = execution.signal = id;
            execution.symbol = signal.symbol;
            const bool last = i + 1 == executions;
            execution.quantity = {!last ? part : stays ? part / 2 : signal.quantity.units - part * (executions - 1)};
            execution.price = {108'512'000};
            execution.executed_at = begin + Duration(3'000 * noted);
            note(ledger::OrderExecuted{std::move(execution)});
        }
    }
}

Result<ledger::Sequence> Day::write(trade::Journal& journal) const {
    Bytes payload;
    Result<ledger::Sequence> last = 0;
    each_fact([&](const ledger::Fact& fact) {
        if (!last) return;
        payload.clear();
        ledger::append_fact(payload, fact);
        last = journal.append(payload);
    });
    HF_TRY(const ledger::Sequence end, std::move(last));
    journal.commit();
    HF_TRY(const bool durable, journal.wait(end, std::chrono::minutes(5)));
    if (!durable) return fail(ErrorCode::io, "the disk takes more than five minutes for the journal");
    return end;
}

Status InstantBroker::start(broker::ReportSink sink) {
    sink_ = std::move(sink);
    sink_({broker::ReportKind::link_up, {}, {}, {}, {}, 0, {}});
    return {};
}

bool InstantBroker::send(const ledger::Order& order) {
    sent_(order);
    return query(order, 0);
}

bool InstantBroker::query(const ledger::Order& order, std::uint64_t) {
    sink_({broker::ReportKind::acked, order.id, "B" + order.id.text(), {}, {}, 0, {}});
    if (order.type != ledger::OrderType::market) return true;
    ledger::Execution execution;
    execution.id = "X" + order.id.text();
    execution.order = order.id;
    execution.symbol = order.symbol;
    execution.side = order.side;
    execution.quantity = order.quantity;
    execution.price = {108'512'000};
    execution.executed_at = os::SystemClock().now();
    sink_({broker::ReportKind::executed, order.id, {}, std::move(execution), {}, 0, {}});
    return true;
}

Result<std::unique_ptr<trade::Service>> open_desk(const std::string& folder, InstantBroker::Sent sent, Clock& clock) {
    trade::ServiceOptions options;
    options.account = "bench";
    options.instance = "bench";
    options.folder = folder;
    options.sinks = {ledger::Sink::clickhouse};    // it never confirms: all of the journal stays
    options.realtime_priority = k_priority;    // where it is allowed, as docs/operations/trade.md advises
    HF_TRY(auto desk, trade::Service::start(std::move(options), std::make_unique<InstantBroker>(std::move(sent)),
                                            std::make_unique<OwnLease>(), clock));
    desk->tell(ledger::StoresAgreed{});
    return desk;
}

Status submit_until_taken(trade::Service& desk, const ledger::Signal& signal) {
    const Stopwatch watch;
    for (;;) {
        std::promise<trade::Outcome> answer;
        desk.submit({signal, [&](const trade::Outcome& outcome) { answer.set_value(outcome); }});
        const trade::Outcome outcome = answer.get_future().get();
        using Verdict = trade::Outcome::Verdict;
        if (outcome.verdict == Verdict::accepted) return {};
        if (outcome.verdict != Verdict::unavailable || watch.seconds() > 60)
            return fail(ErrorCode::internal, "the engine does not take a signal: " + outcome.text);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

Result<std::unique_ptr<SignalLatency>> SignalLatency::open(const std::string& folder) {
    auto latency = std::make_unique<SignalLatency>();
    HF_TRY(latency->desk_,
           open_desk(folder, [raw = latency.get()](const ledger::Order& order) { raw->sent(order); }, latency->clock_));
    HF_DO(submit_until_taken(*latency->desk_, signal_number(latency->next_++)));
    return latency;
}

void SignalLatency::sent(const ledger::Order& order) {
    if (order.created_at.nanoseconds == 0) return;    // the one that tried the desk
    took_.push_back(seconds(clock_.now() - order.created_at));
    arrived_.fetch_add(1, std::memory_order_release);
}

Result<std::vector<double>> SignalLatency::measure(double per_second, const std::function<bool()>& more) {
    auto due = std::chrono::steady_clock::now();
    const auto step = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / per_second));
    // The strategy is not on this machine: it must not wait for a processor between its clock and the engine.
    std::jthread([&] {
        (void)os::prefer_this_thread(k_priority);
        for (; more(); due += step) {
            ledger::Signal signal = signal_number(next_++);
            std::this_thread::sleep_until(due);
            signal.created_at = clock_.now();
            ++handed_over_;
            desk_->submit({std::move(signal), [](const trade::Outcome&) {}});
        }
    }).join();
    for (const Stopwatch watch; watch.seconds() < 60; std::this_thread::sleep_for(std::chrono::milliseconds(5))) {
        if (arrived_.load(std::memory_order_acquire) == handed_over_) return std::exchange(took_, {});
    }
    return fail(ErrorCode::internal, "a signal did not reach the broker within a minute");
}

}    // namespace holdfast::bench
