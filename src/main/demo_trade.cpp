// holdfast-demo-trade: the engine trades while each part of its stack is killed in turn; at the end the broker's book is compared
// with the stores, by queries that share nothing with the engine.
//
//   exit   0 all equal; 1 anything differs or fails; 130 stopped

#include <fmt/core.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "demo_report.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/testing/trade_stack.hpp"

namespace {

using namespace holdfast;
using namespace std::chrono_literals;
using testing::SignalFeed;
using testing::TradeStack;

constexpr std::string_view k_help = R"(usage: holdfast-demo-trade [--rate N] [--rounds N]
Starts PostgreSQL, Redis with Sentinels, ClickHouse, a paper broker and `holdfast trade run` on free ports of 127.0.0.1, hands
in N signals a second (2,000), and kills each of them in turn with kill -9. Then the broker's book, DuckDB and ClickHouse are
compared, execution by execution.
)";

os::SystemClock g_clock;

void tell(std::string_view text) {
    fmt::print("{}\n", text);
    std::fflush(stdout);
}

double seconds_since(Instant begin) { return std::chrono::duration<double>(g_clock.instant() - begin).count(); }

Status pause(Duration time) {
    for (const Instant until = g_clock.instant() + time; g_clock.instant() < until; g_clock.sleep(20ms))
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped by a signal");
    return {};
}

Status kill_each(TradeStack& stack, const SignalFeed& feed) {
    for (const TradeStack::Part part : TradeStack::k_parts) {
        const std::uint64_t before = feed.acknowledged();
        const Instant killed = g_clock.instant();
        HF_DO(stack.kill(part));
        HF_DO(pause(2s));
        const std::uint64_t meanwhile = feed.acknowledged() - before;
        HF_DO(stack.bring_back(part));
        HF_DO(stack.wait_for_gate());
        const double closed = seconds_since(killed);
        HF_DO(pause(2s));
        tell(fmt::format("  {:<28} {:>9} {:>17.1f} s {:>17}", TradeStack::name_of(part), demo::grouped(meanwhile),
                         closed, demo::grouped(feed.acknowledged())));
    }
    return {};
}

Result<bool> show(unsigned rate, unsigned rounds) {
    tell(fmt::format("{} starting PostgreSQL, Redis with Sentinels, ClickHouse, the paper broker and the engine …",
                     demo::bold("•")));
    HF_TRY(const auto stack, TradeStack::start({}));
    HF_DO(stack->start_engine());
    HF_DO(stack->wait_for_gate());
    tell(fmt::format("{} {} signals a second; each part is killed (kill -9), is away for 2 s and comes back\n",
                     demo::bold("•"), demo::grouped(rate)));
    tell(fmt::format("  {:<28} {:>9} {:>19} {:>17}", "KILLED", "MEANWHILE", "GATE OPEN AFTER", "SIGNALS TAKEN"));
    SignalFeed feed({stack->socket()}, rate);
    HF_DO(pause(3s));
    for (unsigned i = 0; i < rounds; ++i) HF_DO(kill_each(*stack, feed));
    HF_DO(feed.finish());
    const Instant ended = g_clock.instant();
    HF_DO(stack->wait_until_settled());
    tell(fmt::format("\n{} every order closed and every store level {:.1f} s after the last signal", demo::bold("•"),
                     seconds_since(ended)));
    HF_DO(stack->stop_engine());
    HF_TRY(const TradeStack::Comparison result, stack->compare());
    tell(fmt::format("{} the broker has {} orders and {} executions, of {} signals that were acknowledged\n",
                     demo::bold("•"), demo::grouped(result.orders), demo::grouped(result.executions),
                     demo::grouped(feed.acknowledged())));
    tell(fmt::format("  {:<28} {:>11} {:>9} {:>9} {:>10}", "STORE", "EXECUTIONS", "MISSING", "UNKNOWN", "DIFFERENT"));
    for (const TradeStack::Compared& store : result.stores)
        tell(fmt::format("  {:<28} {:>11} {:>9} {:>9} {:>10}", store.store, demo::grouped(store.executions),
                         store.missing, store.unknown, store.different));
    tell(fmt::format("\n  orders sent twice: {}; signals overfilled: {}", result.refused_twice, result.overfilled));
    tell(result.equal() ? demo::green("no trade was lost, none was sent twice") : demo::red("the books do not agree"));
    return result.equal();
}

bool number(const char* text, unsigned& to) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(text, &end, 10);
    to = static_cast<unsigned>(value);
    return *text != 0 && *end == 0 && value >= 1 && value <= 100'000;
}

}    // namespace

int main(int argc, char** argv) {
    unsigned rate = 2000, rounds = 1;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word == "--help" || word == "-h") {
            fmt::print("{}", k_help);
            return 0;
        }
        unsigned* const to = word == "--rate" ? &rate : word == "--rounds" ? &rounds : nullptr;
        if (to == nullptr || i + 1 >= argc || !number(argv[++i], *to)) {
            fmt::print(stderr, "{}", k_help);
            return 2;
        }
    }
    os::install_signal_handlers();
    const auto done = show(rate, rounds);
    if (done) return *done ? 0 : 1;
    fmt::print(stderr, "holdfast-demo-trade: {}\n", done.error().message);
    if (!done.error().hint.empty()) fmt::print(stderr, "  {}\n", done.error().hint);
    return done.error().code == ErrorCode::cancelled ? 130 : 1;
}
